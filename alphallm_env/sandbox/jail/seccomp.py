"""seccomp: the kernel refuses every system call that is not on a list (a filter in classic BPF).

A refused call fails with EPERM, so a program sees a PermissionError; a call by another machine's numbers
(32-bit, x32) kills it. A filter cannot be removed, and is inherited by forks and across exec.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import struct
from dataclasses import dataclass

from . import syscalls
from .system import MACHINES, address, machine, syscall

# include/uapi/linux/{audit,seccomp,filter}.h
_ARCHITECTURES = (0xC000003E, 0xC00000B7)  # of AUDIT_ARCH_X86_64 and AUDIT_ARCH_AARCH64
_SET_MODE_FILTER = 1
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000 | errno.EPERM
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_X32 = 0x40000000
_FCNTL_COMMANDS = (fcntl.F_DUPFD, fcntl.F_GETFD, fcntl.F_SETFD, fcntl.F_GETFL, fcntl.F_SETFL, fcntl.F_DUPFD_CLOEXEC)

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, operand


@dataclass(frozen=True)
class IsOneOf:
    """An argument's low 32 bits must be one of some values."""

    argument: int
    values: tuple[int, ...]

    def assemble(self) -> list[Instruction]:
        """Returns instructions that continue where this holds, and refuse the call where it does not."""
        last = len(self.values)
        tests = [(_EQUAL, last - place, 0, value) for place, value in enumerate(self.values)]
        return [_load(self.argument), *tests, (_RETURN, 0, 0, _REFUSE)]


@dataclass(frozen=True)
class IsZero:
    """All 64 bits of an argument must be 0."""

    argument: int

    def assemble(self) -> list[Instruction]:
        """Returns instructions that continue where this holds, and refuse the call where it does not."""
        refuse = (_RETURN, 0, 0, _REFUSE)
        return [
            _load(self.argument), (_EQUAL, 1, 0, 0), refuse,
            _load(self.argument, high=True), (_EQUAL, 1, 0, 0), refuse,
        ]  # fmt: skip


@dataclass(frozen=True)
class HasNoBit:
    """Some of an argument's low 32 bits must be 0."""

    argument: int
    bits: int

    def assemble(self) -> list[Instruction]:
        """Returns instructions that continue where this holds, and refuse the call where it does not."""
        return [_load(self.argument), (_ANY_BIT, 0, 1, self.bits), (_RETURN, 0, 0, _REFUSE)]


Condition = IsOneOf | IsZero | HasNoBit


def conditions(process_id: int) -> dict[str, tuple[Condition, ...]]:
    """Returns the conditions on the arguments of calls that are not always allowed.

    Memory cannot become executable, no signal reaches another process, no limit can be set.
    """
    itself = (IsOneOf(0, (process_id,)),)
    return {
        "fcntl": (IsOneOf(1, _FCNTL_COMMANDS),),
        "kill": itself,
        "mmap": (HasNoBit(2, mmap.PROT_EXEC),),
        "mprotect": (HasNoBit(2, mmap.PROT_EXEC),),
        "prlimit64": (IsZero(0), IsZero(2)),
        "tgkill": itself,
        "tkill": itself,
    }


def assemble(process_id: int, machine_index: int) -> list[Instruction]:
    """Returns the filter of the process with that id, as it sees itself."""
    program: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_EQUAL, 1, 0, _ARCHITECTURES[machine_index]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
    ]
    if machine_index == MACHINES["x86_64"]:
        program += [(_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, _KILL)]
    required = conditions(process_id)
    for name, row in (syscalls.ALLOWED | syscalls.CONDITIONAL).items():
        number = row[machine_index]
        if number is None:
            continue
        body = [step for condition in required.get(name, ()) for step in condition.assemble()]
        body.append((_RETURN, 0, 0, _ALLOW))
        program += [(_EQUAL, 0, len(body), number), *body]
    return [*program, (_RETURN, 0, 0, _REFUSE)]


def install(program: list[Instruction]) -> None:
    """Installs a filter on this process, irrevocably. It must have no_new_privs. Raises LockdownError if refused."""
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *instruction) for instruction in program))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program), address(code)))
    syscall("seccomp", _SET_MODE_FILTER, 0, address(header))


def restrict(process_id: int) -> None:
    """Refuses this process every call that is not on the list."""
    install(assemble(process_id, machine()))


def _load(argument: int, *, high: bool = False) -> Instruction:
    """Returns the instruction that loads one half of an argument; both machines are little-endian."""
    return (_LOAD, 0, 0, _ARGUMENTS_AT + 8 * argument + (4 if high else 0))
