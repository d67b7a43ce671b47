"""The modules that every program finds loaded: computer algebra and the standard library's mathematics.

Every module with compiled parts must be here: a confined process cannot map more code. Python modules of the standard
library, sympy and mpmath can still be imported, only more slowly.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import sysconfig
from pathlib import Path

_STANDARD = (
    "abc", "array", "ast", "bisect", "calendar", "cmath", "collections", "contextlib", "copy", "ctypes", "dataclasses",
    "datetime", "decimal", "enum", "fractions", "functools", "graphlib", "hashlib", "heapq", "io", "itertools", "json",
    "math", "numbers", "operator", "pprint", "random", "re", "secrets", "signal", "socket", "statistics", "string",
    "struct", "subprocess", "sys", "textwrap", "threading", "time", "timeit", "types", "typing", "unicodedata",
    "zoneinfo", "multiprocessing", "mmap", "fcntl", "select", "asyncio", "queue", "uuid", "zlib", "binascii",
)  # fmt: skip
_ALGEBRA = (
    "mpmath", "sympy", "sympy.abc", "sympy.combinatorics", "sympy.geometry", "sympy.ntheory",
    "sympy.parsing.sympy_parser", "sympy.physics.units", "sympy.solvers.inequalities", "sympy.stats",
    "sympy.integrals.manualintegrate",
    "sympy.integrals.heurisch", "sympy.integrals.meijerint", "sympy.integrals.risch", "sympy.solvers.diophantine",
    "sympy.plotting.experimental_lambdify",
)  # fmt: skip


def load() -> list[Path]:
    """Loads and warms everything. Returns the folders that hold the modules."""
    for name in (*_STANDARD, *_ALGEBRA):
        with contextlib.suppress(ImportError):  # a Python may be built without some of them
            importlib.import_module(name)
    _warm()
    standard = Path(sysconfig.get_path("stdlib"))
    sys.path[:] = [str(standard)]  # loaded packages still find their submodules; no other package is found
    return [standard, *(_folder(name) for name in ("sympy", "mpmath"))]


def _folder(name: str) -> Path:
    file = importlib.import_module(name).__file__
    assert file is not None
    return Path(file).parent


def _warm() -> None:
    """Uses computer algebra once, so that its caches are filled before programs are forked."""
    import sympy

    x, y = sympy.symbols("x y")
    sympy.solve([x + y - 3, x * y - 2], [x, y])
    sympy.solve(x**2 - 5 * x + 6, x)
    sympy.simplify((x**2 - 1) / (x - 1) - sympy.sqrt(8))
    sympy.integrate(x * sympy.exp(x), x)
    sympy.limit(sympy.sin(x) / x, x, 0)
    sympy.factorint(360)
    str(sympy.Matrix([[1, 2], [3, 4]]).inv())
    sympy.N(sympy.pi, 30)
