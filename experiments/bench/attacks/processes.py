"""Attacks by processes and threads, and on processes: starting others, signalling and tracing those outside."""

from experiments.bench.attacks.attack import table

_START = table("start a process", {
    "fork": "import os\nif os.fork() == 0: os._exit(0)",
    "forkpty": "import os\nos.forkpty()",
    "vfork": "import ctypes\nif ctypes.CDLL(None).fork() < 0: raise OSError",
    "fork bomb": "import os\nwhile True: os.fork()",
    "fork bomb that keeps trying": "import os, time\nend = time.time() + 1\nworked = 0\nwhile time.time() < end:\n    try: worked += os.fork() >= 0\n    except OSError: pass\nif not worked: raise OSError",
    "subprocess": "import subprocess\nsubprocess.run(['/bin/sh', '-c', 'echo x > {target}'])",
    "os.system": "import os\nif os.system('echo x > {target}') != 0: raise OSError",
    "os.popen": "import os\nif not os.popen('echo x').read(): raise OSError",
    "exec a shell": "import os\nos.execv('/bin/sh', ['sh', '-c', 'echo x > {target}'])",
    "exec python": "import os, sys\nos.execv(sys.executable, [sys.executable, '-c', 'print(1)'])",
    "exec by the loader": "import os\nos.execv('/lib64/ld-linux-x86-64.so.2', ['ld', '/bin/sh', '-c', 'echo x > {target}'])",
    "exec a file of its own": "import os\nopen('x', 'w').write('#!/bin/sh\\necho x > {target}')\nos.execv('x', ['x'])",
    "exec a file in memory": "import os\nf = os.memfd_create('x')\nos.write(f, b'#!/bin/sh')\nos.execv(f, ['x'])",
    "posix_spawn": "import os\nos.posix_spawn('/bin/sh', ['sh'], {})",
    "multiprocessing fork": "import multiprocessing as m\nm.get_context('fork').Process(target=print).start()",
    "multiprocessing spawn": "import multiprocessing as m\nm.get_context('spawn').Process(target=print).start()",
    "multiprocessing forkserver": "import multiprocessing as m\nm.get_context('forkserver').Process(target=print).start()",
    "process pool": "from concurrent.futures import ProcessPoolExecutor as P\nP(1).submit(print).result()",
    "pty": "import pty\npty.spawn('/bin/sh')",
    "pager": "import pydoc\npydoc.pipepager('x', 'cat > {target}')\nraise OSError",
    "web browser": "import webbrowser\nif not webbrowser.open('http://127.0.0.1:{port}'): raise OSError",
    "daemon": "import os\nif os.fork() == 0:\n    os.setsid()\n    while True: pass",
}, reached="True")  # fmt: skip

_THREADS = table("start a thread", {
    "threading": "import threading\nthreading.Thread(target=print).start()",
    "_thread": "import _thread\n_thread.start_new_thread(print, ())",
    "thread pool": "from concurrent.futures import ThreadPoolExecutor as P\nP(1).submit(print).result()",
    "timer": "import threading\nthreading.Timer(0, print).start()",
    "asyncio.to_thread": "import asyncio\nasyncio.run(asyncio.to_thread(print))",
    "pthread_create": "import ctypes\nt = ctypes.c_ulong()\nlibc = ctypes.CDLL(None)\nif libc.pthread_create(ctypes.byref(t), None, libc.getpid, None): raise OSError",
    "thread bomb": "import threading, time\nn = 0\nfor _ in range(1000):\n    try: threading.Thread(target=time.sleep, args=(99,)).start(); n += 1\n    except RuntimeError: pass\nif not n: raise OSError",
}, reached="True")  # fmt: skip

_TARGETS = {
    "the library": "{library}", "the zygote": "{zygote}", "a stranger": "{stranger}", "init": "1 if os.getpid() != 1 else 2",
    "the parent": "os.getppid() or {zygote}", "everyone": "-1", "its group": "0", "the session": "-{zygote}",
}  # fmt: skip
_SIGNALS = table(
    "signal a process",
    {f"kill {who}": f"import os\nos.kill({pid}, 9)" for who, pid in _TARGETS.items()}
    | {
        "stop the library": "import os\nos.kill({library}, 19)",
        "interrupt the library": "import os\nos.kill({library}, 2)",
        "killpg": "import os\nos.killpg(os.getpgid(0), 9)",
        "killpg of the zygote": "import os\nos.killpg({zygote}, 9)",
        "thread of the library": "import ctypes\nif ctypes.CDLL(None).tgkill({library}, {library}, 9): raise OSError",
        "queue to the library": "import ctypes\nif ctypes.CDLL(None).sigqueue({library}, 10, 0): raise OSError",
        "by a process descriptor": "import os, signal\nsignal.pidfd_send_signal(os.pidfd_open({library}), 9)",
        "every process there is": """
            import os
            n = 0
            for pid in range(2, 3000):
                try: os.kill(pid, 9); n += 1
                except OSError: pass
            if not n: raise OSError""",
        "as owner of a file": "import fcntl\nf = open('x', 'w')\nfcntl.fcntl(f, fcntl.F_SETOWN, {library})",
        "signal of a file": "import fcntl\nf = open('x', 'w')\nfcntl.fcntl(f, 10, 9)",
        "a lease": "import fcntl\nf = open('x', 'w')\nfcntl.fcntl(f, fcntl.F_SETLEASE, fcntl.F_WRLCK)",
        "notices of a folder": "import fcntl, os\nfcntl.fcntl(os.open('.', os.O_RDONLY), fcntl.F_NOTIFY, fcntl.DN_CREATE)",
    },
    reached="True",
)

_CONTROL = table("control a process", {
    "trace the zygote": "import ctypes\nif ctypes.CDLL(None).ptrace(16, {zygote}, 0, 0): raise OSError",
    "be traced": "import ctypes\nif ctypes.CDLL(None).ptrace(0, 0, 0, 0): raise OSError",
    "limits of the library": "import resource\nresource.prlimit({library}, resource.RLIMIT_NOFILE, (1, 1))",
    "limits of the zygote": "import resource\nresource.prlimit({zygote}, resource.RLIMIT_AS, (1, 1))",
    "priority of the library": "import os\nos.setpriority(os.PRIO_PROCESS, {library}, 19)",
    "own priority": "import os\nos.nice(-5)",
    "processors of the library": "import os\nos.sched_setaffinity({library}, {0})",
    "real-time scheduling": "import os\nos.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))",
    "a session of its own": "import os\nos.setsid()",
    "the zygote's group": "import os\nos.setpgid(0, {zygote})",
    "wait for others": "import os\nos.waitid(os.P_ALL, 0, os.WEXITED)",
}, reached="True")  # fmt: skip

ATTACKS = (*_START, *_THREADS, *_SIGNALS, *_CONTROL)
