"""The OpenMP workers of a thread: kept from spinning for long, and released while another thread computes.

GNU's OpenMP, with which torch computes on Linux, keeps a team of workers for every thread that ever computed in
parallel. Two of its habits cost an engine time:

- An idle worker spins 300,000 times before it sleeps.
- Once all teams together have more threads than there are processors, idle workers sleep at once and have to be
  woken for every operation: after another thread has trained, or multiplied two matrices, an engine's models take
  twice as long.

A forked child has none of the workers and would wait for them for ever: a thread that forks releases its own before.

Nothing here loads torch.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

_HARD = 2  # omp_pause_hard: frees all that can be freed
_SPINS = 1_000  # long enough to bridge the gap between two operations of torch


def limit_openmp_spinning() -> None:
    """Sets how often an idle OpenMP worker spins before it sleeps, unless the user has set it.

    Idle OpenMP workers spin for 10 ms and block the thread they wait for, as soon as another program uses a core.
    The library reads `GOMP_SPINCOUNT` once, when torch is loaded: call this before. Where the user has set that or
    `OMP_WAIT_POLICY`, nothing changes.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", str(_SPINS))


def release_openmp_workers() -> None:
    """Ends the OpenMP workers of the calling thread; the next parallel operation starts them again.

    Both take some 100 µs in all. Does nothing where torch is not loaded or uses another library.
    """
    torch = sys.modules.get("torch")
    if torch is not None and torch.__file__ is not None and (pause := _pause_of(torch.__file__)) is not None:
        pause(_HARD)


@cache
def _pause_of(torch_file: str) -> Callable[[int], int] | None:
    """Returns `omp_pause_resource_all` of the loaded libgomp that torch ships, None where there is none."""
    for path in (Path(torch_file).parent / "lib").glob("libgomp*"):
        try:
            return ctypes.CDLL(str(path), mode=os.RTLD_NOLOAD).omp_pause_resource_all
        except (OSError, AttributeError):  # not loaded; older than OpenMP 5
            continue
    return None


if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(before=release_openmp_workers)
