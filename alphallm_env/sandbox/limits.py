"""What a program may use, and its result."""

from __future__ import annotations

import enum
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The limits of one program. Past any of them it is killed.

    `seconds` are wall clock from its first line, `cpu_seconds` processor time, rounded up to whole seconds.
    `memory_bytes` are in addition to the loaded libraries. `output_bytes` apply to stdout and stderr each.
    `folder_bytes` are the size of its folder.
    """

    seconds: float = 15.0
    cpu_seconds: float = 5.0
    memory_bytes: int = 512 << 20
    output_bytes: int = 20_000
    folder_bytes: int = 4 << 20

    def __post_init__(self) -> None:
        for name in ("seconds", "cpu_seconds", "memory_bytes", "output_bytes", "folder_bytes"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be positive and finite, got {getattr(self, name)}")


class Status(enum.Enum):
    """How a program ended."""

    OK = "ok"
    ERROR = "error"  # an exception, an exit code, or a crash
    TIMEOUT = "timeout"  # wall clock or processor time
    OUT_OF_MEMORY = "out_of_memory"
    TOO_MUCH_OUTPUT = "too_much_output"


@dataclass(frozen=True, slots=True)
class ProgramResult:
    """A program's output, cut at the limit, and how it ended. `stderr` holds the traceback of an error."""

    status: Status
    stdout: str
    stderr: str
    seconds: float  # wall clock
    cpu_seconds: float
