"""Runs one program as `__main__`, in a confined process."""

from __future__ import annotations

import linecache
import os
import random
import sys
import traceback
import types

from .protocol import FAILED, OUT_OF_MEMORY

NAME = "<program>"
_MOST_FRAMES = 20


def run(code: str) -> None:
    """Runs `code` and exits: with 0 on success, 3 out of memory, else 1 and a traceback."""
    exit_code = FAILED
    try:
        exit_code = _execute(code)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(exit_code)


def _execute(code: str) -> int:
    random.seed(0)  # a fixed seed, so that scores are reproducible
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    sys.argv = [NAME]
    linecache.cache[NAME] = (len(code), None, code.splitlines(keepends=True), NAME)
    try:
        exec(compile(code, NAME, "exec", dont_inherit=True), module.__dict__)
    except SystemExit as leaving:
        return _exit_code(leaving)
    except MemoryError:
        sys.stderr.write("MemoryError\n")
        return OUT_OF_MEMORY
    except BaseException as error:
        error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next  # without this function
        traceback.print_exception(error, limit=-_MOST_FRAMES)
        return FAILED
    return 0


def _exit_code(leaving: SystemExit) -> int:
    """Returns 0 or 1, as the program asked to leave. A text is written to the errors, as Python does."""
    if leaving.code is None or leaving.code == 0:
        return 0
    if not isinstance(leaving.code, int):
        sys.stderr.write(f"{leaving.code}\n")
    return FAILED
