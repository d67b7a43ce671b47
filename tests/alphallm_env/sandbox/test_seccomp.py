"""The filter, run by hand: which calls it lets pass. Works for both machines, wherever the test runs."""

from __future__ import annotations

import struct
import sys

import pytest

if sys.platform != "linux":
    pytest.skip("seccomp is Linux's", allow_module_level=True)

from alphallm_env.sandbox.jail import seccomp, syscalls

ALLOW, KILL, REFUSE = 0x7FFF0000, 0x80000000, 0x00050001
X86_64, AARCH64 = 0xC000003E, 0xC00000B7


def verdict(number: int, *arguments: int, architecture: int = X86_64, process_id: int = 7) -> int:
    """Interprets the filter on one call, as linux/filter.h says."""
    program = seccomp.assemble(process_id, 0 if architecture == X86_64 else 1)
    return interpret(program, number, architecture, arguments)


def interpret(program: list[seccomp.Instruction], number: int, architecture: int, arguments: tuple[int, ...]) -> int:
    padded = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    data = struct.pack("<IIQ6Q", number, architecture, 0, *(a % 2**64 for a in padded))
    place, accumulator = 0, 0
    while True:
        code, if_true, if_false, operand = program[place]
        place += 1
        if code == 0x06:
            return operand
        if code == 0x20:
            accumulator = struct.unpack_from("<I", data, operand)[0]
        else:
            holds = {0x15: accumulator == operand, 0x35: accumulator >= operand, 0x45: bool(accumulator & operand)}[
                code
            ]
            place += if_true if holds else if_false


def test_what_a_program_needs_is_allowed_and_the_rest_is_not() -> None:
    for name, row in syscalls.ALLOWED.items():
        for number, architecture in zip(row, (X86_64, AARCH64), strict=True):
            if number is not None:
                assert verdict(number, architecture=architecture) == ALLOW, name
    known = {row[0] for row in (syscalls.ALLOWED | syscalls.CONDITIONAL).values()}
    assert {verdict(number) for number in range(600) if number not in known} == {REFUSE}


def test_no_two_calls_have_one_number() -> None:
    rows = [*syscalls.ALLOWED.values(), *syscalls.CONDITIONAL.values()]
    for machine in (0, 1):
        numbers = [row[machine] for row in rows if row[machine] is not None]
        assert len(numbers) == len(set(numbers))


def test_calls_by_another_machines_numbers_kill() -> None:
    program = seccomp.assemble(7, 0)
    assert interpret(program, 0, 0x40000003, ()) == KILL  # 32-bit
    assert interpret(program, 0, AARCH64, ()) == KILL
    assert verdict(0x40000000) == KILL  # x32
    assert verdict(0xFFFFFFFF) == KILL


@pytest.mark.parametrize("name", ["mmap", "mprotect"])
def test_no_memory_becomes_executable(name: str) -> None:
    number, _ = syscalls.CONDITIONAL[name]
    assert number is not None
    assert verdict(number, 0, 4096, 3) == ALLOW  # read and write
    assert verdict(number, 0, 4096, 7) == REFUSE
    assert verdict(number, 0, 4096, 4) == REFUSE


def test_signals_reach_the_process_itself_only() -> None:
    for name in ("kill", "tgkill", "tkill"):
        number, _ = syscalls.CONDITIONAL[name]
        assert number is not None
        assert [verdict(number, pid) for pid in (7, 8, 0, -1, -7, 1)] == [ALLOW, *[REFUSE] * 5], name


def test_limits_are_read_and_never_set() -> None:
    number, _ = syscalls.CONDITIONAL["prlimit64"]
    assert number is not None
    assert verdict(number, 0, 7, 0, 4096) == ALLOW
    assert verdict(number, 0, 7, 4096, 0) == REFUSE
    assert verdict(number, 0, 7, 1 << 32, 0) == REFUSE  # an address whose low half is 0
    assert verdict(number, 8, 7, 0, 4096) == REFUSE


def test_descriptors_are_copied_and_never_made_to_signal() -> None:
    number, _ = syscalls.CONDITIONAL["fcntl"]
    assert number is not None
    set_owner, set_signal, get_flags, set_lease, set_pipe_size = 8, 10, 3, 1024, 1031
    assert verdict(number, 1, get_flags) == ALLOW
    assert {verdict(number, 1, command) for command in (set_owner, set_signal, set_lease, set_pipe_size)} == {REFUSE}
