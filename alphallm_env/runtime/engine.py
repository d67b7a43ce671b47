"""One background event loop that owns the models and batches the calls of all searches.

Searches run as coroutines on the loop, or as plain code in threads; both only `submit`. A batch is computed once every
coroutine and every participating thread waits for a model. New requests join a model that decodes in steps between any
two steps: a search that has its result resumes and submits more while others still wait for theirs.
Which searches run side by side therefore changes the composition of batches, and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Coroutine, Generator, Sequence
from concurrent.futures import CancelledError
from typing import TypeVar

from alphallm_env.runtime.batching import Batcher, EngineStatistics, Request, checked
from alphallm_env.runtime.concurrency import LoopThread
from alphallm_env.runtime.forking import ForkAware
from alphallm_env.runtime.metering import Role, current_meter
from alphallm_env.runtime.openmp import release_openmp_workers
from alphallm_env.runtime.operations import AsyncOperation, Operation

Item = TypeVar("Item")
Result = TypeVar("Result")

_SETTLED_AFTER = 2  # loop iterations without a new request before a batch is computed
_STRAGGLER_SECONDS = 0.05  # how long a batch waits for participating threads that are computing
_FORK_SECONDS = 60.0  # how long a fork waits for a batch that is being computed


class Engine(ForkAware):
    """Batches model calls: of blocking functions, and of batches that advance in steps.

    Use as a context manager, or call `close`. A forked child has the models, and an engine of its own that is idle.
    """

    def __init__(self, max_batch: int = 256) -> None:
        if max_batch < 1:
            raise ValueError(f"max_batch must be >= 1, got {max_batch}")
        self.max_batch = max_batch
        self.statistics = EngineStatistics()
        self._lock = threading.Lock()  # held while the loop starts, takes work from another thread, or stops
        self._thread = LoopThread("engine")
        self._num_closes = 0
        self._computing = threading.RLock()  # held while a batch is computed: no fork leaves the child half of one
        self._forked_amid: str | None = None  # why this process cannot use the models
        self._reset()
        self.follow_forks()

    def before_fork(self) -> None:
        """Waits, within bounds, for the batch that is being computed."""
        acquired = self._computing.acquire(timeout=_FORK_SECONDS)
        self._forked_amid = None if acquired else f"process {os.getpid()} was forked amid a batch of its models"

    def after_fork_in_parent(self) -> None:
        """Lets batches be computed again."""
        if self._forked_amid is None:
            self._computing.release()
        self._forked_amid = None

    def after_fork_in_child(self) -> None:
        """Drops what the parent's searches wait for: they are not here."""
        inherited = self._batcher
        self._lock, self._computing = threading.Lock(), threading.RLock()
        self._num_closes += 1
        self._reset()
        if self._forked_amid is None:
            with contextlib.suppress(RuntimeError):  # on a GPU, which no child can use, as torch says at the first use
                inherited.close()

    def _reset(self) -> None:
        self._batcher = Batcher(self.max_batch, self.statistics)
        self._participants = 0  # threads that run searches
        self._waiting = 0  # those of them that wait for a result
        self._settled = 0  # loop iterations without a new request
        self._next_check: asyncio.Handle | None = None

    @property
    def num_waiting(self) -> int:
        """How many items wait for a batch."""
        return self._batcher.num_pending

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __deepcopy__(self, memo: dict[int, object]) -> Engine:
        return self  # a copied environment shares the models

    def close(self) -> None:
        """Stops the loop. May be called twice; the engine starts again when it is used again.

        What is still in flight is cancelled, and raises RuntimeError in the threads that wait for it.
        """
        self._refuse_own_loop("close")
        with self._lock:
            self._thread.close()
            self._batcher.close()
            self._num_closes += 1
            self._reset()

    def _refuse_own_loop(self, method: str) -> None:
        if self._thread.is_current:
            raise RuntimeError(f"Engine.{method} was called on the engine's own loop: await the coroutine instead")

    def run(self, work: Coroutine[object, object, Result]) -> Result:
        """Returns the result of a coroutine run on the loop. Call it from any thread but the loop's.

        Raises RuntimeError if the engine is closed meanwhile, and in a child that was forked amid a batch.
        """
        try:
            self._refuse_own_loop("run")
            if self._forked_amid is not None:
                raise RuntimeError(f'{self._forked_amid}: load the models anew, or start processes by "spawn"')
            release_openmp_workers()
            with self._lock:
                num_closes = self._num_closes
                future = self._thread.start(self._counted(work))
        except BaseException:
            work.close()
            raise
        try:
            return future.result()
        except CancelledError:
            work.close()
            with self._lock:
                was_closed = self._num_closes != num_closes
            if was_closed:
                raise RuntimeError("the engine was closed while this search was in flight") from None
            raise
        except BaseException:
            future.cancel()
            raise

    async def _counted(self, work: Coroutine[object, object, Result]) -> Result:
        self._waiting += 1
        try:
            return await work
        finally:
            self._waiting -= 1
            if self._waiting == 0:
                release_openmp_workers()

    @contextlib.contextmanager
    def participant(self) -> Generator[None]:
        """Counts the calling thread, inside the block, among those whose requests a batch waits for."""
        with self._lock:
            num_closes = self._num_closes
            self._thread.call(self._enter, 1)
        try:
            yield
        finally:
            with self._lock:
                if self._num_closes == num_closes:  # else the engine was closed, and the count is 0 again
                    self._thread.call(self._enter, -1)

    def _enter(self, change: int) -> None:
        self._participants += change
        self._restart_countdown()

    async def submit(
        self, operation: Operation[Item, Result], items: Sequence[Item], role: Role | None = None
    ) -> list[Result]:
        """Returns the operation's results for `items`, in order, computed in batches with items that others submitted.

        Operations that compare equal share a queue: submit a bound method of an object that callers share, as two
        lambdas, or methods of two equal objects, are not equal. An error of the operation is raised in every caller
        whose items were in the batch. An `AsyncOperation` is not batched here. With a `role`, the seconds of the
        model and of waiting are counted on the current meter.
        """
        if not items:
            return []
        meter, started = current_meter(), time.perf_counter()
        request: Request[Item, Result] | None = None
        try:
            if isinstance(operation, AsyncOperation):
                return list(checked(await operation.function(items), items, operation.function))
            request = Request(items, asyncio.get_running_loop().create_future())
            self._batcher.add(operation, request)
            self._restart_countdown()
            return await request.future
        finally:
            if role is not None:
                seconds = request.model_seconds if request else 0.0
                meter.waited(role, seconds, time.perf_counter() - started)

    def _restart_countdown(self) -> None:
        """Restarts the settle countdown, or the wait for computing threads that follows it."""
        self._settled = 0
        if self._next_check is not None:
            self._next_check.cancel()
        loop = asyncio.get_running_loop()
        self._next_check = loop.call_soon(self._check) if self._batcher.has_work else None

    def _check(self) -> None:
        """Runs the models once the loop has settled and every participating thread waits, or has been waited for."""
        loop = asyncio.get_running_loop()
        self._settled += 1
        if self._settled <= _SETTLED_AFTER:
            self._next_check = loop.call_soon(self._check)
        elif (
            not self._batcher.is_stepping and self._waiting < self._participants and self._settled == _SETTLED_AFTER + 1
        ):
            self._next_check = loop.call_later(_STRAGGLER_SECONDS, self._check)
        else:
            self._next_check = None
            with self._computing:
                self._batcher.work()
            self._restart_countdown()
