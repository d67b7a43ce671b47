"""Constants that the library and its zygotes share. Imports nothing that only Linux has."""

from __future__ import annotations

NAMESPACES, LANDLOCK, SECCOMP, PRIVILEGES, LIMITS = "namespaces", "landlock", "seccomp", "privileges", "limits"
OPTIONAL_LAYERS = (NAMESPACES, LANDLOCK, SECCOMP)
LAYERS = (*OPTIONAL_LAYERS, PRIVILEGES, LIMITS)  # the last two hold wherever Linux runs
MAX_REQUEST_BYTES = 32 << 20
EXITED, OUT_OF_TIME, TOO_MUCH_OUTPUT = "exited", "out_of_time", "too_much_output"  # how a program ended
FAILED, OUT_OF_MEMORY = 1, 3  # exit codes
