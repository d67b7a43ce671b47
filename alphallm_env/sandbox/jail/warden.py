"""The warden: forks a confined process for one program, watches it, and kills it at its limits."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from . import namespaces, program
from .frames import Json
from .lockdown import KEPT, Confinement, Request, lock_up
from .protocol import EXITED, NAMESPACES, OUT_OF_TIME, TOO_MUCH_OUTPUT
from .system import PR_SET_PDEATHSIG, LockdownError, prctl

_CHUNK = 65_536
_READY = b"ready"
_LOCKDOWN_SECONDS = 60.0  # on a machine that is busy with other things


@dataclass
class _Stream:
    """One of the two output streams of a program."""

    descriptor: int
    data: bytearray = field(default_factory=bytearray)
    is_open: bool = True

    def take(self) -> bool:
        """Reads without blocking. Returns whether there was anything to read."""
        try:
            chunk = os.read(self.descriptor, _CHUNK)
        except BlockingIOError:
            return False
        self.data += chunk
        self.is_open = bool(chunk)
        return self.is_open

    def text(self, most: int) -> str:
        """Returns the first `most` bytes as text."""
        return self.data[:most].decode("utf-8", "replace")


@dataclass(frozen=True)
class _Child:
    """The process of a program: its id, its handle, the pipe that reports its lock-down, and its outputs."""

    id: int
    handle: int
    ready: int
    streams: tuple[_Stream, _Stream]


def serve(confinement: Confinement, request: Request) -> dict[str, Json]:
    """Returns the result of a program. Raises OSError where it could not be confined, and so was not run."""
    prctl("parent's death", PR_SET_PDEATHSIG, signal.SIGKILL)
    if NAMESPACES in confinement:
        namespaces.enter_workspace(request.folder_bytes)
    child = _start(confinement, request)
    end, seconds = EXITED, 0.0
    try:
        _await_lockdown(child)
        started = time.monotonic()
        end = _watch(child, request, started + request.seconds)
        seconds = time.monotonic() - started
    finally:
        signal.pidfd_send_signal(child.handle, signal.SIGKILL)
        _, status, usage = os.wait4(child.id, 0)
    for stream in child.streams:
        while stream.is_open and len(stream.data) <= request.output_bytes and stream.take():
            pass
    stdout, stderr = (stream.text(request.output_bytes) for stream in child.streams)
    return {
        "end": end,
        "exit_code": os.waitstatus_to_exitcode(status),
        "stdout": stdout,
        "stderr": stderr,
        "seconds": seconds,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
    }


def _start(confinement: Confinement, request: Request) -> _Child:
    """Forks the process that confines itself and runs the program."""
    ready, is_ready = os.pipe()
    out, own_out = os.pipe()
    err, own_err = os.pipe()
    child = os.fork()
    if child == 0:
        _become_program(confinement, request, (own_out, own_err), is_ready)
    for descriptor in (is_ready, own_out, own_err):
        os.close(descriptor)
    for descriptor in (out, err):
        os.set_blocking(descriptor, False)
    return _Child(child, os.pidfd_open(child), ready, (_Stream(out), _Stream(err)))


def _become_program(confinement: Confinement, request: Request, outputs: Sequence[int], is_ready: int) -> None:
    """Confines this process and runs the program in it. Does not return."""
    try:
        for number, output in enumerate(outputs, start=1):
            os.dup2(output, number)
        lock_up(confinement, request, is_ready)
    except BaseException as error:
        os.write(is_ready, (str(error) or repr(error)).encode()[:1000])
        os._exit(1)
    os.write(KEPT, _READY)
    os.close(KEPT)
    program.run(request.code)


def _await_lockdown(child: _Child) -> None:
    """Waits until the program starts. Raises LockdownError where the lock-down fails."""
    poll = select.poll()
    poll.register(child.ready, select.POLLIN)
    said = os.read(child.ready, _CHUNK) if poll.poll(1000 * _LOCKDOWN_SECONDS) else b"it took too long"
    if said != _READY:
        raise LockdownError(f"lock-down failed: {said.decode(errors='replace') or 'the process died'}")


def _watch(child: _Child, request: Request, deadline: float) -> str:
    """Reads the outputs until the program exits, times out, or writes too much. Returns which."""
    poll = select.poll()
    poll.register(child.handle, select.POLLIN)
    streams = {stream.descriptor: stream for stream in child.streams}
    for descriptor in streams:
        poll.register(descriptor, select.POLLIN)
    while (left := deadline - time.monotonic()) > 0:
        for descriptor, _ in poll.poll(1000 * left):
            if descriptor == child.handle:
                return EXITED
            stream = streams[descriptor]
            stream.take()
            if not stream.is_open:
                poll.unregister(descriptor)
            if len(stream.data) > request.output_bytes:
                return TOO_MUCH_OUTPUT
    return OUT_OF_TIME
