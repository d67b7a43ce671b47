"""Workers: processes that do the symbolic comparison, can hang or die, and are killed and replaced."""

import contextlib
import functools
import json
import os
import queue
import selectors
import subprocess
import sys
import time
import weakref
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from alphallm_env.errors import AlphaLLMError
from alphallm_env.grading.equivalence import Question, decide
from alphallm_env.grading.verdict import Verdict

START_SECONDS = 120.0
CACHED_VERDICTS = 4_096
PROGRAM = Path(__file__).with_name("math_worker.py")


class GradingError(AlphaLLMError, RuntimeError):
    """Grading cannot work here at all: its worker does not start, or the grader is closed."""


class WorkerLostError(Exception):
    """A worker hung or died over one question. It has been killed."""


class Worker:
    """One grading process, started on the first question and again when lost. One thread at a time."""

    def __init__(self, program: Path = PROGRAM) -> None:
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()

    def ask(self, question: Question, timeout: float) -> Verdict:
        """Returns the worker's verdict. The clock starts once the worker is ready.

        Raises WorkerLostError after `timeout` seconds or at the worker's death.
        """
        process = self._ready_process()
        request = json.dumps({**question._asdict(), "cpu_seconds": timeout})
        try:
            return Verdict(_exchange(process, request, timeout))
        except (OSError, ValueError) as error:
            self.kill()
            raise WorkerLostError(f"worker lost over {question}: {error}") from error
        except BaseException:
            self.kill()  # a reply that nobody reads must not meet the next question
            raise

    def kill(self) -> None:
        """Ends the process, if there is one. In a forked child, leaves the parent's process alone."""
        process, self._process = self._process, None
        if process is None:
            return
        if self._owner == os.getpid():
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _ready_process(self) -> subprocess.Popen[bytes]:
        """Returns a process that has reported ready."""
        if self._owner != os.getpid():
            self.kill()
            self._owner = os.getpid()
        if self._process is not None and self._process.poll() is not None:
            self.kill()
        if self._process is None:
            self._process = _start(self._program)
            try:
                _read_line(self._process, START_SECONDS)
            except OSError as error:
                self.kill()
                raise GradingError(f"grading worker did not start: {error}") from error
        return self._process


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


def _exchange(process: subprocess.Popen[bytes], request: str, timeout: float) -> str:
    """Returns the verdict's name that the process replies within `timeout` seconds."""
    assert process.stdin is not None
    process.stdin.write(request.encode() + b"\n")
    return json.loads(_read_line(process, timeout))["verdict"]


def _read_line(process: subprocess.Popen[bytes], timeout: float) -> bytes:
    """Returns the next line that the process writes. Raises an OSError when none comes in time."""
    assert process.stdout is not None
    deadline, received = time.monotonic() + timeout, b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while not received.endswith(b"\n"):
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise TimeoutError(f"no reply within {timeout} s")
            chunk = os.read(process.stdout.fileno(), 65_536)
            if not chunk:
                raise ConnectionError(f"it ended with exit status {process.wait()}")
            received += chunk
    return received


class Grader:
    """Grades answers with a pool of killable workers. Thread-safe; a context manager; `close` may come twice.

    Workers start when first needed: plain numbers need none.
    """

    def __init__(self, num_workers: int = 1, *, program: Path = PROGRAM) -> None:
        if num_workers < 1:
            raise ValueError(f"num_workers must be at least 1, got {num_workers}")
        workers = [Worker(program) for _ in range(num_workers)]
        self._num_workers = num_workers
        self._is_closed = False
        # Also runs at interpreter exit, and when the grader is garbage.
        self._finalizer = weakref.finalize(self, _kill_all, workers)
        # Verdicts only: a lost worker raises, so what a timeout left open is asked again.
        self._ask = functools.lru_cache(CACHED_VERDICTS)(functools.partial(_ask, _pool_of(workers)))

    def grade(self, answer: str | None, gold: str, *, timeout: float = 5.0) -> Verdict:
        """Returns whether the answer equals the gold answer.

        UNGRADABLE when the comparison takes longer than `timeout` seconds or kills its worker, and when the
        gold answer cannot be parsed. No answer, a hedge, or over 2,000 characters is INCORRECT.
        """
        if not timeout > 0:
            raise ValueError(f"timeout must be positive, got {timeout}")
        found = decide(answer, gold)
        if isinstance(found, Verdict):
            return found
        if self._is_closed:
            raise GradingError("grade needs a worker, but this Grader is closed")
        try:
            return self._ask(found, timeout)
        except WorkerLostError:
            return Verdict.UNGRADABLE

    def grade_many(self, pairs: Iterable[tuple[str | None, str]], *, timeout: float = 5.0) -> list[Verdict]:
        """Returns one verdict per pair of answer and gold answer, in the given order."""

        def grade_pair(pair: tuple[str | None, str]) -> Verdict:
            return self.grade(*pair, timeout=timeout)

        with ThreadPoolExecutor(self._num_workers) as threads:
            return list(threads.map(grade_pair, pairs))

    def close(self) -> None:
        """Ends the workers. What needs none can still be graded."""
        self._is_closed = True
        self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def grade(answer: str | None, gold: str, *, timeout: float = 5.0) -> Verdict:
    """Returns whether the answer equals the gold answer, graded by one worker that the process shares.

    >>> grade("$1,000.0", "1000"), grade("18 or 20", "18"), grade(None, "18")
    (<Verdict.CORRECT: 'correct'>, <Verdict.INCORRECT: 'incorrect'>, <Verdict.INCORRECT: 'incorrect'>)
    """
    return _shared_grader(os.getpid()).grade(answer, gold, timeout=timeout)


@functools.lru_cache(maxsize=1)
def _shared_grader(_process_id: int) -> Grader:
    """Returns this process's shared grader: a forked child gets one of its own."""
    return Grader()


def _pool_of(workers: Iterable[Worker]) -> queue.SimpleQueue[Worker]:
    """Returns the workers as a queue of those that are free."""
    pool: queue.SimpleQueue[Worker] = queue.SimpleQueue()
    for worker in workers:
        pool.put(worker)
    return pool


def _ask(pool: queue.SimpleQueue[Worker], question: Question, timeout: float) -> Verdict:
    """Returns the verdict of the first worker that is free. The wait for it is not timed."""
    worker = pool.get()
    try:
        return worker.ask(question, timeout)
    finally:
        pool.put(worker)


def _kill_all(workers: Iterable[Worker]) -> None:
    """Ends every worker's process."""
    for worker in workers:
        worker.kill()
