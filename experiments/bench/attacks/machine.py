"""Attacks on the machine: privileges, namespaces, limits, descriptors that were left open."""

from experiments.bench.attacks.attack import table

_LIBC = "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"


def _calls(expressions: dict[str, str]) -> dict[str, str]:
    """Returns programs that raise unless a call of the C library returns 0."""
    return {name: f"{_LIBC}if {call} != 0: raise OSError(ctypes.get_errno())" for name, call in expressions.items()}


_PRIVILEGES = table(
    "privileges",
    {
        "become root": "import os\nos.setuid(0)",
        "become root's group": "import os\nos.setgid(0)",
        "all three ids": "import os\nos.setresuid(0, 0, 0)",
        "groups": "import os\nos.setgroups([0])",
        "change the root": "import os\nos.chroot('.')",
        "raise the processor's limit": "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (9999, 9999))",
        "raise the memory's limit": "import resource\nresource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
        "raise the processes' limit": "import resource\nresource.setrlimit(resource.RLIMIT_NPROC, (99, 99))",
        "raise the files' limit": "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (9999, 9999))",
        "raise the core's limit": "import resource\nresource.setrlimit(resource.RLIMIT_CORE, (1, 1))",
        "host name": "import socket\nsocket.sethostname('x')",
        "the clock": "import time\ntime.clock_settime(time.CLOCK_REALTIME, 0)",
    }
    | _calls(
        {
            "user namespace": "libc.unshare(0x10000000)",
            "mount namespace": "libc.unshare(0x20000)",
            "user and mount namespaces": "libc.unshare(0x10020000)",
            "network namespace": "libc.unshare(0x40000000)",
            "process namespace": "libc.unshare(0x20000000)",
            "mount memory": "libc.mount(b'tmpfs', b'.', b'tmpfs', 0, b'')",
            "mount /proc": "libc.mount(b'proc', b'.', b'proc', 0, b'')",
            "mount the disk": "libc.mount(b'/dev/vda', b'.', b'ext4', 0, b'')",
            "make the root writable": "libc.mount(b'none', b'/', b'', 32 | 4096, b'')",
            "unmount": "libc.umount2(b'/own-folder', 2)",
            "capabilities": "libc.prctl(47, 2, 21, 0, 0)",
            "survive the warden": "libc.prctl(1, 0, 0, 0, 0)",
            "be dumpable": "libc.prctl(4, 1, 0, 0, 0)",
            "strict seccomp off": "libc.prctl(22, 0, 0, 0, 0)",
            "personality": "libc.personality(0x0040000)",
            "I/O privileges": "libc.iopl(3)",
            "reboot": "libc.reboot(0)",
            "swap": "libc.swapon(b'x', 0)",
            "lock memory": "libc.mlockall(3)",
            "executable memory": "0 if libc.mmap(0, 4096, 7, 0x22, -1, 0) != -1 else 1",
            "executable stack": "libc.mprotect(ctypes.c_void_p(id(libc) & ~4095), 4096, 7)",
        }
    ),
    reached="True",
)

_DESCRIPTORS = table("descriptors", {
    "forge a reply on every one": """
        import json, os, struct
        body = json.dumps({'end': 'exited', 'exit_code': 0, 'stdout': 'forged', 'stderr': '', 'seconds': 0, 'cpu_seconds': 0}).encode()
        sent = 0
        for n in range(3, 1024):
            try: os.write(n, struct.pack('>I', len(body)) + body); sent += 1
            except OSError: pass""",
    "print a reply": """
        import json, struct, sys
        body = json.dumps({'end': 'exited', 'exit_code': 0, 'stdout': 'forged', 'stderr': '', 'seconds': 0, 'cpu_seconds': 0})
        sys.stdout.buffer.write(struct.pack('>I', len(body)) + body.encode())
        sent = 0""",
    "say ready again": "import os\nsent = 0\nfor n in range(3, 64):\n    try: sent += os.write(n, b'ready')\n    except OSError: pass",
    "read every one": "import os\nsent = 0\nfor n in range(3, 1024):\n    try: sent += len(os.read(n, 10)) + 1\n    except OSError: pass",
    "standard input": "import sys\nsent = len(sys.stdin.read())",
    "write to standard input": "import os\nsent = 0\nos.write(0, b'x')",
    "read its output": "import os\nsent = len(os.read(1, 10))",
    "close all and go on": "import os, time\nos.closerange(0, 99)\ntime.sleep(0.3)\nsent = 0",
    "close all and fail": "import os\nos.closerange(0, 99)\nraise ValueError",
    "open as many as it can": "kept = []\nsent = 0\nwhile True: kept.append(open('x', 'w'))",
    "swap the outputs": "import os\nsent = 0\nos.dup2(2, 1)\nprint('x')",
    "close outputs and fill memory": "import os\nsent = 0\nos.close(1)\nos.close(2)\nx = bytes(1 << 40)",
}, reached="sent > 0")  # fmt: skip

ATTACKS = (*_PRIVILEGES, *_DESCRIPTORS)
