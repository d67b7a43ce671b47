"""The OpenMP workers of a thread: given back, so that they are not in the way of other threads that compute.

GNU's OpenMP, with which torch computes on Linux, keeps a team of workers for every thread that ever computed in
parallel. Once all teams together have more threads than there are processors, workers that wait go to sleep at
once, and have to be woken for every operation: an engine's models take twice as long from the moment on in which
another thread has trained, or multiplied two matrices.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

_HARD = 2  # omp_pause_hard: what can be freed is


def give_back_workers() -> None:
    """Ends the OpenMP workers of the calling thread; they come back with the next thing it computes in parallel.

    That takes some 100 µs together. Does nothing where torch is not loaded or uses another library.
    """
    torch = sys.modules.get("torch")
    if torch is not None and torch.__file__ is not None and (pause := _pause_of(torch.__file__)) is not None:
        pause(_HARD)


@cache
def _pause_of(torch_file: str) -> Callable[[int], int] | None:
    """Returns `omp_pause_resource_all` of the library that comes with torch and is loaded, None where there is none."""
    for path in (Path(torch_file).parent / "lib").glob("libgomp*"):
        try:
            return ctypes.CDLL(str(path), mode=os.RTLD_NOLOAD).omp_pause_resource_all
        except (OSError, AttributeError):  # not loaded; older than OpenMP 5
            continue
    return None
