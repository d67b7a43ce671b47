"""Attacks through the interpreter: what objects, frames and memory know, crashes, and what is left for the next."""

from experiments.bench.attacks.attack import table

_OBJECTS = table("objects", {
    "subclasses: Popen": "for c in ().__class__.__base__.__subclasses__():\n    if c.__name__ == 'Popen': found = c(['/bin/sh', '-c', 'echo x > {target}'])",
    "subclasses: os._wrap_close": "[c for c in ().__class__.__base__.__subclasses__() if c.__name__ == '_wrap_close'][0].__init__.__globals__['system']('echo x > {target}')\nraise OSError",
    "subclasses: FileLoader": "print([c for c in object.__subclasses__() if c.__name__ == 'FileLoader' and 'frozen' in c.__module__][0]('x', '{canary}').get_data('{canary}'))",
    "subclasses: FileIO": "import _io\nprint([c for c in _io._RawIOBase.__subclasses__() if c.__name__ == 'FileIO'][0]('{canary}').read())",
    "builtins of a function": "print((lambda: 0).__globals__['__builtins__']['open']('{canary}').read())",
    "builtins of a generator": "g = (x for x in ())\nprint(g.gi_frame.f_builtins['open']('{canary}').read())",
    "frames above": """
        import sys
        frame, texts = sys._getframe(), []
        while frame: texts.append(repr({k: v for k, v in frame.f_locals.items() if k != 'texts'})); frame = frame.f_back
        print([t for t in texts if '{secret_start}' in t])""",
    "all objects": "import gc\ngc.unfreeze()\nprint([v for o in gc.get_objects() if type(o) in (dict, list, tuple) for v in (o.values() if type(o) is dict else o) if type(v) is str and '{secret_start}' in v])",
    "the environment": "import os\nprint(dict(os.environ), os.environb)",
    "the environment, in memory": "import ctypes\ne = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), 'environ')\nn = 0\nwhile e[n]: print(e[n]); n += 1",
    "the heap, searched": """
        import ctypes, re
        for start in {id(o) & ~0xFFFF for o in (object(), [], {}, 'x' * 300, print, sys if 'sys' in dir() else re)}:
            print(re.findall(rb'{secret_start}.{0,40}', ctypes.string_at(start, 1 << 16)))""",
    "arguments of the process": "import sys\nprint(sys.orig_argv, sys.argv)\nfound = '{library}' in str(sys.orig_argv)",
    "the wardens' module": "import sys\nm = sys.modules['jail.warden']\nm.os.open('{canary}', 0)",
    "the zygote's loop": "import sys\nsys.modules['jail.zygote'].main([])\nfound = True",
    "its own filter": "import sys\nm = sys.modules['jail.seccomp']\nm.install([(6, 0, 0, 0x7FFF0000)])\nfound = True",
    "its own namespaces": "import sys\nm = sys.modules['jail.namespaces']\nm.unshare(0x10000000)\nfound = True",
    "the library": "import alphallm_env\nfound = True",
    "a model's library": "import torch\nfound = True",
    "pip": "import pip\npip.main(['download', 'x'])\nfound = True",
    "pickle": "import pickle\npickle.loads(b\"cposix\\nsystem\\n(S'echo x > {target}'\\ntR.\")\nraise OSError",
    "marshal": "import marshal, types\nexec(marshal.loads(marshal.dumps(compile(\"print(open('{canary}').read())\", 'x', 'exec'))))",
    "yaml-like eval": "print(eval(\"__import__('os').open('{canary}', 0)\"))",
    "code of its own": "import types\nf = types.FunctionType((lambda: open('{canary}').read()).__code__, {})\nf.__globals__['__builtins__'] = __builtins__\nprint(f())",
    "input": "exec(input())",
    "interactive": "import code\ncode.interact()",
    "audit hooks": "import sys\nsys.addaudithook(lambda *_: None)\nprint(open('{canary}').read())",
    "site packages by path": "import sys\nsys.path.insert(0, '{folder}')\nimport evil\nfound = True",
    "import hooks": "import sys\nclass F:\n    def find_spec(self, *a): print(open('{canary}').read())\nsys.meta_path.insert(0, F())\nimport nothing_there",
}, reached="bool(globals().get('found'))")  # fmt: skip

_CRASHES = table("crash", {
    "read at 0": "import ctypes\nctypes.string_at(0)",
    "write at 0": "import ctypes\nctypes.memset(0, 0, 1)",
    "write everywhere": "import ctypes\nctypes.memset(id(object) & ~0xFFFF, 0, 1 << 20)",
    "jump": "import ctypes\nctypes.CFUNCTYPE(None)(1)()",
    "abort": "import os\nos.abort()",
    "exit in C": "import os\nos._exit(0)",
    "exit by a signal": "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\nwhile True: pass",
    "segmentation signal": "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)",
    "bad code": "import types\nc = (lambda: 0).__code__.replace(co_code=bytes([100, 255] * 99), co_stacksize=1)\ntypes.FunctionType(c, {})()",
    "a freed object": "import ctypes\nx = object()\nfor _ in range(9): ctypes.pythonapi.Py_DecRef(ctypes.py_object(x))\ny = [object() for _ in range(99)]\nprint(x)",
    "fault handler": "import faulthandler\nfaulthandler._sigsegv()",
    "system call without its place": "import ctypes\nctypes.CDLL(None).syscall(1 << 30 | 39)",
    "negative system call": "import ctypes\nctypes.CDLL(None).syscall(-1)",
    "exit code of its own": "import os\nos._exit(3)",
    "source with NULs": "exec('x' + chr(0))",
    "source that is none": "exec(bytes(range(256)))",
}, spins=True)  # fmt: skip

# Nothing of this may be seen by the next program, which is always asked.
_POISON = table("poison the next program", {
    "print": "import builtins\nbuiltins.print = lambda *a: None",
    "open and import": "import builtins\nbuiltins.__import__ = builtins.open = None",
    "pi": "import math\nmath.pi = 3",
    "sympy's functions": "import sympy\nsympy.factorint = lambda n: {}",
    "sympy's classes": "import sympy\nsympy.Integer.__add__ = lambda a, b: sympy.Integer(5)",
    "sympy's cache": "import sympy\nfrom sympy.core.cache import clear_cache\nclear_cache()\nsympy.sqrt(8)",
    "sympy's singletons": "import sympy\nsympy.S.Half.p = 5\nprint(sympy.S.Half + 1)",
    "small numbers": "import ctypes\nctypes.memmove(id(7) + 24, b'\\x08', 1)",
    "standard output": "import sys\nsys.stdout = sys.stderr = None",
    "standard output's file": "import os\nos.close(1)",
    "the random numbers": "import random\nrandom.seed(7)",
    "decimal's context": "import decimal\ndecimal.getcontext().prec = 2",
    "signals": "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)",
    "the environment": "import os\nos.environ['PYTHONSTARTUP'] = 'x'",
    "the path": "import sys\nsys.path[:] = []\nsys.modules.clear()",
    "the recursion limit": "import sys\nsys.setrecursionlimit(60)",
    "the garbage collector": "import gc\ngc.disable()\ngc.set_threshold(1)",
    "a trace function": "import sys\nsys.settrace(lambda *_: None)\nsys.setprofile(lambda *_: None)",
    "at exit": "import atexit\natexit.register(print, 'poison')",
    "its own folder": "open('left', 'w').write('poison')",
    "its own folder's mode": "import os\nos.mkdir('left')\nos.chdir('left')",
    "an alarm": "import signal\nsignal.setitimer(signal.ITIMER_REAL, 0.2)",
    "jail's modules": "import sys\nsys.modules['jail.program'].run = None\nsys.modules['jail.lockdown'].lock_up = lambda *a: None",
    "umask": "import os\nos.umask(0o777)",
    "the locale": "import locale\nlocale.setlocale(locale.LC_ALL, 'C')",
    "digits of numbers": "import sys\nsys.set_int_max_str_digits(0)",
    "a module of its own": "import sys, types\nsys.modules['sympy'] = types.ModuleType('sympy')",
    "warnings": "import warnings\nwarnings.simplefilter('error')",
})  # fmt: skip

ATTACKS = (*_OBJECTS, *_CRASHES, *_POISON)
