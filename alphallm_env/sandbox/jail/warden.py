"""The warden: has one program run in a process of its own, locked up; watches it, and ends it in time."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from . import namespaces, program
from .frames import Json
from .lockdown import KEPT, House, Request, lock_up
from .protocol import EXITED, NAMESPACES, OUT_OF_TIME, TOO_MUCH_OUTPUT
from .system import PR_SET_PDEATHSIG, LockdownError, prctl

_CHUNK = 65_536
_READY = b"ready"
_LOCKDOWN_SECONDS = 60.0  # on a machine that is busy with other things


@dataclass
class _Stream:
    """What a program writes to one of its two outputs."""

    descriptor: int
    data: bytearray = field(default_factory=bytearray)
    is_open: bool = True

    def take(self) -> bool:
        """Reads what is there, and does not wait. Returns whether there was anything."""
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
class _Prisoner:
    """The process of a program: its id, its handle, what tells that it is locked up, and its outputs."""

    id: int
    handle: int
    ready: int
    streams: tuple[_Stream, _Stream]


def serve(house: House, request: Request) -> dict[str, Json]:
    """Returns what came of a program. Raises OSError where it could not be locked up, and so was not run."""
    prctl("parent's death", PR_SET_PDEATHSIG, signal.SIGKILL)
    if NAMESPACES in house:
        namespaces.enter_cell(request.folder_bytes)
    prisoner = _start(house, request)
    end, seconds = EXITED, 0.0
    try:
        _await_lockdown(prisoner)
        started = time.monotonic()
        end = _watch(prisoner, request, started + request.seconds)
        seconds = time.monotonic() - started
    finally:
        signal.pidfd_send_signal(prisoner.handle, signal.SIGKILL)
        _, status, usage = os.wait4(prisoner.id, 0)
    for stream in prisoner.streams:
        while stream.is_open and len(stream.data) <= request.output_bytes and stream.take():
            pass
    stdout, stderr = (stream.text(request.output_bytes) for stream in prisoner.streams)
    return {
        "end": end,
        "exit_code": os.waitstatus_to_exitcode(status),
        "stdout": stdout,
        "stderr": stderr,
        "seconds": seconds,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
    }


def _start(house: House, request: Request) -> _Prisoner:
    """Forks the process that locks itself up and runs the program."""
    ready, is_ready = os.pipe()
    out, own_out = os.pipe()
    err, own_err = os.pipe()
    child = os.fork()
    if child == 0:
        _become_prisoner(house, request, (own_out, own_err), is_ready)
    for descriptor in (is_ready, own_out, own_err):
        os.close(descriptor)
    for descriptor in (out, err):
        os.set_blocking(descriptor, False)
    return _Prisoner(child, os.pidfd_open(child), ready, (_Stream(out), _Stream(err)))


def _become_prisoner(house: House, request: Request, outputs: Sequence[int], is_ready: int) -> None:
    """Locks this process up and runs the program in it. Does not return."""
    try:
        for number, output in enumerate(outputs, start=1):
            os.dup2(output, number)
        lock_up(house, request, is_ready)
    except BaseException as error:
        os.write(is_ready, (str(error) or repr(error)).encode()[:1000])
        os._exit(1)
    os.write(KEPT, _READY)
    os.close(KEPT)
    program.run(request.code)


def _await_lockdown(prisoner: _Prisoner) -> None:
    """Waits until the program begins. Raises LockdownError where it never will."""
    poll = select.poll()
    poll.register(prisoner.ready, select.POLLIN)
    said = os.read(prisoner.ready, _CHUNK) if poll.poll(1000 * _LOCKDOWN_SECONDS) else b"it took too long"
    if said != _READY:
        raise LockdownError(f"lock-down failed: {said.decode(errors='replace') or 'the process died'}")


def _watch(prisoner: _Prisoner, request: Request, deadline: float) -> str:
    """Reads what the program writes until it ends, its time is over, or it wrote too much. Returns which."""
    poll = select.poll()
    poll.register(prisoner.handle, select.POLLIN)
    streams = {stream.descriptor: stream for stream in prisoner.streams}
    for descriptor in streams:
        poll.register(descriptor, select.POLLIN)
    while (left := deadline - time.monotonic()) > 0:
        for descriptor, _ in poll.poll(1000 * left):
            if descriptor == prisoner.handle:
                return EXITED
            stream = streams[descriptor]
            stream.take()
            if not stream.is_open:
                poll.unregister(descriptor)
            if len(stream.data) > request.output_bytes:
                return TOO_MUCH_OUTPUT
    return OUT_OF_TIME
