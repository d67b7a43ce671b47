"""The library's side of one zygote: starts it, sends it programs, replaces it when it is lost."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from alphallm_env.errors import SandboxError
from alphallm_env.sandbox.jail import frames, protocol
from alphallm_env.sandbox.limits import Limits, ProgramResult, Status

_START_SECONDS = 300.0  # loading computer algebra is slow on a busy machine
_GRACE_SECONDS = 120.0  # beyond a program's own limit, before its zygote counts as lost
_REPLY_OVERHEAD = 100_000
_SIGKILL = 9
_USED_UP = 0.5  # of the processor time: a program killed beyond this was at its limit, which the kernel counts in ticks
_MOST_ESCAPED = 6  # bytes of JSON that one byte of output may become, as \\u0000 is for a NUL
# The folder above `jail` is on the path only while it is imported: no program finds the library there.
_START = "import sys; sys.path.insert(0, sys.argv[1]); from jail.zygote import main; del sys.path[0]; main(sys.argv[2])"
# No environment variable is inherited. Hashes are not random, so that output is reproducible.
_ENVIRONMENT = {"LANG": "C.UTF-8", "PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1"}


class WorkerLostError(Exception):
    """A zygote died or does not answer. It has been killed."""


@dataclass(frozen=True)
class Layers:
    """The layers that work here, and why the others do not."""

    holding: tuple[str, ...]
    missing: dict[str, str]


class Worker:
    """One zygote, started when first needed and again when lost. Not thread-safe."""

    def __init__(self, avoided: Sequence[str] = ()) -> None:
        self._avoided = tuple(avoided)
        self._process: subprocess.Popen[bytes] | None = None
        self._layers: Layers | None = None

    @property
    def process_id(self) -> int | None:
        """The zygote's process, None where there is none yet."""
        return None if self._process is None else self._process.pid

    def layers(self) -> Layers:
        """Returns the layers that work. Raises SandboxError where they do not suffice."""
        self._ready_process()
        assert self._layers is not None
        return self._layers

    def run(self, code: str, limits: Limits) -> ProgramResult:
        """Returns the result of a program.

        Raises WorkerLostError where the zygote dies or does not answer, SandboxError where nothing can be run.
        """
        request = frames.encode(
            {
                "code": code,
                "seconds": limits.seconds,
                "cpu_seconds": math.ceil(limits.cpu_seconds),
                "memory_bytes": limits.memory_bytes,
                "output_bytes": limits.output_bytes,
                "folder_bytes": limits.folder_bytes,
            }
        )
        if len(request) > protocol.MAX_REQUEST_BYTES:
            raise ValueError(
                f"a program must have at most {protocol.MAX_REQUEST_BYTES} bytes as JSON, got {len(request)}"
            )
        process = self._ready_process()
        try:
            reply = _exchange(process, request, limits)
        except OSError as error:
            self.kill()
            raise WorkerLostError(f"the sandbox's process was lost: {error}") from error
        except BaseException:
            self.kill()  # an unread reply must not be taken for that of the next program
            raise
        if "failure" in reply:
            raise SandboxError(f"a program could not be locked up and was not run: {reply['failure']}")
        return _result(reply, limits)

    def end(self) -> None:
        """Ends the zygote and its processes, from any thread; a thread that waits for it gets WorkerLostError."""
        process = self._process
        if process is not None:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """Ends the zygote and closes its pipes."""
        self.end()
        self.forget()

    def forget(self) -> None:
        """Closes the pipes to the zygote, which lives on: in a forked child it is the parent's."""
        process, self._process = self._process, None
        for pipe in (process.stdin, process.stdout, process.stderr) if process else ():
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _ready_process(self) -> subprocess.Popen[bytes]:
        """Returns a zygote that has reported what holds."""
        if self._process is not None and self._process.poll() is not None:
            self.kill()
        if self._process is None:
            self._process = _start(self._avoided)
            try:
                self._layers = _first_report(self._process)
            except BaseException:
                self.kill()
                raise
        return self._process


def _start(avoided: Sequence[str]) -> subprocess.Popen[bytes]:
    """Returns a new zygote, in a session of its own, so that the terminal's signals do not reach it."""
    settings = json.dumps({"paths": _algebra_paths(), "avoided": list(avoided)})
    process = subprocess.Popen(
        [sys.executable, "-P", "-s", "-c", _START, str(Path(__file__).parent), settings],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        cwd="/",
        env=_ENVIRONMENT,
        start_new_session=True,
    )
    assert process.stdin is not None
    os.set_blocking(process.stdin.fileno(), False)
    return process


def _algebra_paths() -> list[str]:
    """Returns the folders of computer algebra on this process's path, without loading it."""
    found: list[str] = []
    for name in ("sympy", "mpmath"):
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise SandboxError(f"the sandbox needs {name}, which is not installed")
        found.append(str(Path(spec.origin).parents[1].absolute()))
    return list(dict.fromkeys(found))


def _first_report(process: subprocess.Popen[bytes]) -> Layers:
    """Returns the first report of a new zygote. Raises SandboxError where it refuses or does not start."""
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        report = frames.read(process.stdout.fileno(), _REPLY_OVERHEAD, time.monotonic() + _START_SECONDS)
    except OSError as error:
        process.kill()
        said = process.stderr.read().decode(errors="replace")[-2000:]
        raise SandboxError(f"the sandbox did not start: {error}\n{said}") from error
    if report["refusal"]:
        raise SandboxError(f"no program is run here, for want of {report['refusal']}")
    missing = cast("dict[str, str]", report["missing"])
    return Layers(tuple(cast("list[str]", report["layers"])), missing)


def _exchange(process: subprocess.Popen[bytes], request: bytes, limits: Limits) -> dict[str, frames.Json]:
    """Returns the reply to a request. Raises OSError on a timeout."""
    assert process.stdin is not None
    assert process.stdout is not None
    deadline = time.monotonic() + limits.seconds + _GRACE_SECONDS
    frames.write(process.stdin.fileno(), request, deadline)
    most = _REPLY_OVERHEAD + 2 * _MOST_ESCAPED * limits.output_bytes
    return frames.read(process.stdout.fileno(), most, deadline)


def _result(reply: dict[str, frames.Json], limits: Limits) -> ProgramResult:
    cpu_seconds = float(cast(float, reply["cpu_seconds"]))
    return ProgramResult(
        status=_status(str(reply["end"]), int(cast(int, reply["exit_code"])), cpu_seconds, limits),
        stdout=str(reply["stdout"]),
        stderr=str(reply["stderr"]),
        seconds=float(cast(float, reply["seconds"])),
        cpu_seconds=cpu_seconds,
    )


def _status(end: str, exit_code: int, cpu_seconds: float, limits: Limits) -> Status:
    used_up = cpu_seconds >= _USED_UP * math.ceil(limits.cpu_seconds)
    if end == protocol.OUT_OF_TIME or (exit_code == -_SIGKILL and used_up):
        return Status.TIMEOUT
    if end == protocol.TOO_MUCH_OUTPUT:
        return Status.TOO_MUCH_OUTPUT
    if exit_code == protocol.OUT_OF_MEMORY:
        return Status.OUT_OF_MEMORY
    return Status.OK if exit_code == 0 else Status.ERROR
