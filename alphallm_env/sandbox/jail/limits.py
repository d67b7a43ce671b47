"""Resource limits: memory, processor time, files, and nothing that outlives the process."""

from __future__ import annotations

import os
import resource

_DESCRIPTORS = 32


def mapped_bytes() -> int:
    """Returns the size of this process's address space. Needs /proc."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def restrict(cpu_seconds: int, address_space_bytes: int, file_bytes: int) -> None:
    """Sets the limits of this process irrevocably: without capabilities no hard limit can be raised."""
    limits = {
        resource.RLIMIT_AS: address_space_bytes,
        resource.RLIMIT_CPU: cpu_seconds,
        resource.RLIMIT_FSIZE: file_bytes,
        resource.RLIMIT_NOFILE: _DESCRIPTORS,
        resource.RLIMIT_NPROC: 0,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_SIGPENDING: 16,
    }
    for kind, amount in limits.items():
        _, hard = resource.getrlimit(kind)
        lowest = amount if hard == resource.RLIM_INFINITY else min(amount, hard)
        resource.setrlimit(kind, (lowest, lowest))
