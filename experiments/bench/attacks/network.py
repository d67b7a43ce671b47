"""Attacks on the network: every family of sockets, names, protocols; a listener outside waits for any of them."""

from experiments.bench.attacks.attack import table

ATTACKS = table("network", {
    "tcp": "import socket\nsocket.create_connection(('127.0.0.1', {port}), 2).send(b'x')",
    "tcp, without waiting": "import socket\ns = socket.socket()\ns.setblocking(False)\ns.connect_ex(('127.0.0.1', {port}))",
    "udp": "import socket\nsocket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', {udp_port}))",
    "ipv6": "import socket\nsocket.socket(socket.AF_INET6)",
    "unix socket in a folder": "import socket\ns = socket.socket(socket.AF_UNIX)\ns.connect('{unix}')\ns.send(b'x')",
    "abstract unix socket": "import socket\ns = socket.socket(socket.AF_UNIX)\ns.connect(chr(0) + '{abstract}')\ns.send(b'x')",
    "unix datagram": "import socket\nsocket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'x', '{unix}')",
    "socket pair": "import socket\nsocket.socketpair()",
    "netlink": "import socket\nsocket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)",
    "packets": "import socket\nsocket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
    "raw ip": "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)",
    "virtual machine's host": "import socket\nsocket.socket(40, socket.SOCK_STREAM).connect((2, 1))",
    "kernel crypto": "import socket\nsocket.socket(38, socket.SOCK_SEQPACKET)",
    "bluetooth": "import socket\nsocket.socket(31, socket.SOCK_RAW, 1)",
    "xdp": "import socket\nsocket.socket(44, socket.SOCK_RAW)",
    "can bus": "import socket\nsocket.socket(29, socket.SOCK_RAW, 1)",
    "sctp": "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_STREAM, 132)",
    "multipath tcp": "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)",
    "listen": "import socket\nsocket.create_server(('127.0.0.1', 0))",
    "names": "import socket\nsocket.getaddrinfo('localhost', {port}) and socket.create_connection(('localhost', {port}))",
    "host name lookup": "import socket\nsocket.gethostbyname('example.org')",
    "descriptors as sockets": """
        import socket
        found = False
        for n in range(64):
            try: socket.socket(fileno=n).getsockname(); found = True
            except OSError: pass
        if not found: raise OSError('no descriptor is a socket')""",
    "urllib": "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:{port}/', timeout=2)",
    "http.client": "import http.client\nhttp.client.HTTPConnection('127.0.0.1', {port}, timeout=2).connect()",
    "ftp": "import ftplib\nftplib.FTP().connect('127.0.0.1', {port}, 2)",
    "smtp": "import smtplib\nsmtplib.SMTP('127.0.0.1', {port}, timeout=2)",
    "asyncio": "import asyncio\nasyncio.run(asyncio.open_connection('127.0.0.1', {port}))",
    "syslog": "import logging.handlers\nlogging.handlers.SysLogHandler(('127.0.0.1', {udp_port}))",
    "multiprocessing client": "import multiprocessing.connection as c\nc.Client(('127.0.0.1', {port}))",
    "x11 and others by path": "import socket\nsocket.socket(socket.AF_UNIX).connect('/tmp/.X11-unix/X0')",
    "ctypes connect": """
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        s = libc.socket(2, 1, 0)
        if s < 0: raise OSError(ctypes.get_errno())""",
    "shell's /dev/tcp": "open('/dev/tcp/127.0.0.1/{port}', 'w').write('x')",
}, reached="True")  # fmt: skip
