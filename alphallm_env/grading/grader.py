"""Grader: decides whether an answer equals the gold answer, with worker processes for algebra."""

import functools
import math
import os
import weakref
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from alphallm_env.grading.equivalence import MAX_CHARACTERS, decide
from alphallm_env.grading.verdict import Verdict
from alphallm_env.grading.workers import PROGRAM, Pool, WorkerLostError

CACHED_VERDICTS = 4_096


class Grader:
    """Grades answers with a pool of killable workers. Thread-safe; a context manager; `close` may be called twice.

    Workers start when first needed: plain numbers need none.
    """

    def __init__(self, num_workers: int = 1, *, program: Path = PROGRAM) -> None:
        if num_workers < 1:
            raise ValueError(f"num_workers must be at least 1, got {num_workers}")
        pool = Pool(num_workers, program)
        self._num_workers = num_workers
        # Also runs at interpreter exit, and when the grader is garbage-collected.
        self._finalizer = weakref.finalize(self, pool.close)
        # Caches verdicts only: a lost worker raises, so a comparison that timed out is tried again.
        self._decide = functools.lru_cache(CACHED_VERDICTS)(functools.partial(_decide, pool))

    def grade(self, answer: str | None, gold: str, *, timeout: float = 5.0) -> Verdict:
        """Returns whether the answer equals the gold answer.

        UNGRADABLE when the comparison takes longer than `timeout` seconds or kills its worker, when a text is no
        mathematics that can be read, or has over 2,000 characters. No answer, or a hedge, is INCORRECT.
        """
        if not 0 < timeout < math.inf:
            raise ValueError(f"timeout must be positive and finite, got {timeout}")
        if answer is not None and len(answer) > MAX_CHARACTERS:
            answer = answer[: MAX_CHARACTERS + 1]  # just long enough to be refused, since it is a key of the cache
        try:
            return self._decide(answer, gold, timeout)
        except WorkerLostError:
            return Verdict.UNGRADABLE

    def grade_many(self, pairs: Iterable[tuple[str | None, str]], *, timeout: float = 5.0) -> list[Verdict]:
        """Returns one verdict per pair of answer and gold answer, in the given order."""

        def grade_pair(pair: tuple[str | None, str]) -> Verdict:
            return self.grade(*pair, timeout=timeout)

        with ThreadPoolExecutor(self._num_workers) as threads:
            return list(threads.map(grade_pair, pairs))

    def close(self) -> None:
        """Ends the workers. Answers that need none can still be graded."""
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


def _decide(pool: Pool, answer: str | None, gold: str, timeout: float) -> Verdict:
    """Returns the verdict on two texts. Raises WorkerLostError where they killed a worker."""
    found = decide(answer, gold)
    while not isinstance(found, Verdict):
        found = found.answered(pool.ask(found.pairs, timeout))
    return found
