"""Workers: processes for symbolic comparison, which may hang or die and are replaced within milliseconds."""

import contextlib
import json
import logging
import os
import queue
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from alphallm_env.errors import AlphaLLMError
from alphallm_env.grading.equivalence import Pair
from alphallm_env.runtime.forking import ForkAware

START_SECONDS = 600.0  # it takes four seconds of processor time, but the machine may be busy
PROGRAM = Path(__file__).with_name("math_worker.py")


class GradingError(AlphaLLMError, RuntimeError):
    """Grading cannot work here at all: its worker does not start, or the grader is closed."""


class WorkerLostError(Exception):
    """A worker hung or died over one request. It is replaced."""


class WorkerDiedError(WorkerLostError):
    """A worker exited over one request."""


class Worker:
    """One grading process, started on the first request and again when lost. Not thread-safe.

    The program says "ready" when it can serve. SIGUSR1 makes it drop its request and say "ready" again; one that exits
    instead is restarted.
    """

    def __init__(self, program: Path = PROGRAM) -> None:
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        self._is_ready = False
        self._unread = b""
        self._number = 0  # of the request

    def ask(self, pairs: Sequence[Pair], timeout: float) -> list[bool | None]:
        """Returns which pairs are equal, None for those that cannot be decided.

        The clock starts once the worker is ready. Raises WorkerLostError after `timeout` seconds, WorkerDiedError at
        the worker's death.
        """
        process = self._make_ready()
        self._number += 1
        request = json.dumps({"number": self._number, "pairs": pairs, "cpu_seconds": timeout})
        try:
            reply = self._exchange(process, request, timeout)
        except TimeoutError as error:
            self._drop()
            raise WorkerLostError(f"no reply within {timeout} s over {pairs}") from error
        except (OSError, ValueError) as error:
            self.kill()
            raise WorkerDiedError(f"worker died over {pairs}: {error}") from error
        except BaseException:
            self._drop()  # an unread reply must not be taken for that to the next request
            raise
        if "equal" not in reply:  # the child that replaced it says "ready"
            raise WorkerDiedError(f"worker died over {pairs}")
        return reply["equal"]

    def kill(self) -> None:
        """Ends the process, if there is one."""
        if self._process is not None:
            with contextlib.suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)  # it leads a process group: its child is killed too
            self._process.kill()
            self._process.wait()
        self.forget()

    def forget(self) -> None:
        """Closes the pipes to the process, which lives on: in a forked child it is the parent's."""
        process, self._process = self._process, None
        self._is_ready, self._unread = False, b""
        for pipe in (process.stdin, process.stdout) if process else ():
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _drop(self) -> None:
        """Makes the process drop its request. It gets ready while other workers serve."""
        self._is_ready = False
        if self._process is not None:
            self._process.send_signal(signal.SIGUSR1)

    def _make_ready(self) -> subprocess.Popen[bytes]:
        """Waits until the process, started if need be, is ready. Raises GradingError if it never is."""
        if self._process is not None and not self._is_ready:
            with contextlib.suppress(OSError, ValueError):
                self._await_ready(self._process)
        if self._process is not None and (not self._is_ready or self._process.poll() is not None):
            self.kill()
        if self._process is not None:
            return self._process
        process = self._process = _start(self._program)
        try:
            self._await_ready(process)
        except (OSError, ValueError) as error:
            self.kill()
            raise GradingError(f"grading worker did not start: {error}") from error
        return process

    def _await_ready(self, process: subprocess.Popen[bytes]) -> None:
        """Reads until the process is ready; replies to earlier requests are dropped."""
        deadline = time.monotonic() + START_SECONDS
        while "ready" not in (reply := json.loads(self._read_line(process, deadline))):
            pass
        self._is_ready = True
        if reply.get("refused"):
            _say_once(", ".join(reply["refused"]))

    def _exchange(self, process: subprocess.Popen[bytes], request: str, timeout: float) -> dict[str, list[bool | None]]:
        """Returns the process's reply within `timeout` seconds."""
        assert process.stdin is not None
        deadline = time.monotonic() + timeout
        process.stdin.write(request.encode() + b"\n")
        while True:
            reply = json.loads(self._read_line(process, deadline))
            if reply.get("number", self._number) == self._number:  # else to a request that was dropped
                return reply

    def _read_line(self, process: subprocess.Popen[bytes], deadline: float) -> bytes:
        """Returns the next line that is not empty. Raises TimeoutError at the deadline, ConnectionError at the end."""
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while True:
                line, newline, rest = self._unread.lstrip(b"\n").partition(b"\n")
                if newline:
                    self._unread = rest
                    return line
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise TimeoutError("no reply in time")
                chunk = os.read(process.stdout.fileno(), 65_536)
                if not chunk:
                    raise ConnectionError(f"it ended with exit status {process.wait()}")
                self._unread += chunk


@cache
def _say_once(refused: str) -> None:
    logging.getLogger(__name__).warning(
        "grading workers run without %s, which this system refuses: only their clock ends a comparison that grows",
        refused,
    )


def _start(program: Path) -> subprocess.Popen[bytes]:
    """Returns a new process of the program, in a session of its own, away from the terminal's signals."""
    return subprocess.Popen(
        [sys.executable, "-P", str(program)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        start_new_session=True,
    )


class Pool(ForkAware):
    """A pool of workers. Thread-safe. A forked child starts workers of its own."""

    def __init__(self, num_workers: int, program: Path = PROGRAM) -> None:
        self._workers = [Worker(program) for _ in range(num_workers)]
        self._is_closed = False
        self._free_all()
        self.follow_forks()

    def _free_all(self) -> None:
        self._free: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        for worker in self._workers:
            self._free.put(worker)

    def after_fork_in_child(self) -> None:
        """Leaves the processes to the parent, also those that it was asking."""
        for worker in self._workers:
            worker.forget()
        self._free_all()

    def ask(self, pairs: Sequence[Pair], timeout: float) -> list[bool | None]:
        """Returns which pairs are equal, by the first free worker. The wait for one is not timed.

        A worker that dies is asked twice: what it died of may be an earlier question. Raises WorkerLostError then, or
        after `timeout` seconds; GradingError when the pool is closed.
        """
        worker = self._free.get()
        try:
            try:
                return self._ask(worker, pairs, timeout)
            except WorkerDiedError:
                return self._ask(worker, pairs, timeout)
        finally:
            self._free.put(worker)

    def _ask(self, worker: Worker, pairs: Sequence[Pair], timeout: float) -> list[bool | None]:
        if self._is_closed:
            raise GradingError("grade needs a worker, but this Grader is closed")
        return worker.ask(pairs, timeout)

    def close(self) -> None:
        """Ends the workers, also busy ones. May be called twice."""
        self._is_closed = True
        for worker in self._workers:
            worker.kill()
