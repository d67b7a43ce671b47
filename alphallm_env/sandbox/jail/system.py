"""System calls without a function in Python; failures raise LockdownError."""

from __future__ import annotations

import ctypes
import os
import platform

MACHINES = {"x86_64": 0, "aarch64": 1}  # a machine's place in a row of numbers
_NUMBERS = {
    "capset": (126, 91),
    "landlock_add_rule": (445, 445),
    "landlock_create_ruleset": (444, 444),
    "landlock_restrict_self": (446, 446),
    "pivot_root": (155, 41),
    "seccomp": (317, 277),
}
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 4, 24, 38

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class LockdownError(OSError):
    """The system refused a step of the lock-down. Names the step."""


def machine() -> int:
    """Returns this machine's place in a row of numbers. Raises LockdownError for an unknown one."""
    name = platform.machine()
    if name not in MACHINES or ctypes.sizeof(ctypes.c_void_p) != 8:
        raise LockdownError(f"machine must be 64-bit {' or '.join(MACHINES)}, got {name}")
    return MACHINES[name]


def syscall(name: str, *arguments: int) -> int:
    """Returns what a system call returns. Raises LockdownError where that is an error."""
    number = _NUMBERS[name][machine()]
    return checked(name, _libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments)))


def prctl(what: str, option: int, argument: int) -> None:
    """Sets a property of this process."""
    zeros = [ctypes.c_ulong(0)] * 3
    checked(what, _libc.prctl(ctypes.c_int(option), ctypes.c_ulong(argument), *zeros))


def unshare(flags: int) -> None:
    """Moves this process (with CLONE_NEWPID its children) into namespaces of its own."""
    checked("unshare", _libc.unshare(ctypes.c_int(flags)))


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    """Mounts a file system."""
    arguments = (source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode())
    checked(f"mount of {target}", _libc.mount(*arguments))


def unmount(target: str, flags: int) -> None:
    """Unmounts a file system."""
    checked(f"unmount of {target}", _libc.umount2(target.encode(), ctypes.c_int(flags)))


def address(data: ctypes.Array[ctypes.c_char] | ctypes.Structure) -> int:
    """Returns the address of `data`, which the caller keeps alive."""
    return ctypes.addressof(data)


def checked(what: str, result: int) -> int:
    """Returns the result of a call. Raises LockdownError, with what was tried, if it is -1."""
    if result == -1:
        number = ctypes.get_errno()
        raise LockdownError(number, f"{what}: {os.strerror(number)}")
    return result
