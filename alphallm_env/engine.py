"""One background event loop that owns the models and batches what all searches ask.

Searches run as coroutines on the loop, or as plain code in threads; both only `submit`. A batch leaves
when nothing else can run: every coroutine waits for a model and so does every participating thread.
Which searches run side by side therefore changes how batches are cut, and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Generator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
BatchFunction = Callable[[Sequence[Item]], Sequence[Result]]

_SETTLED_AFTER = 2  # loop iterations without a new request before a batch leaves
_STRAGGLER_SECONDS = 0.05  # how long a thread that computes may hold up the others


@dataclass
class _Queue(Generic[Item, Result]):
    """What waits for one batch function."""

    function: BatchFunction[Item, Result]
    items: list[Item] = field(default_factory=list)
    futures: list[asyncio.Future[Result]] = field(default_factory=list)


@dataclass
class EngineStatistics:
    """How well the batches were filled."""

    batches: int = 0
    items: int = 0


class Engine:
    """Batches calls to blocking functions. Use as a context manager, or call `close`."""

    def __init__(self, max_batch: int = 256) -> None:
        if max_batch < 1:
            raise ValueError(f"max_batch must be >= 1, got {max_batch}")
        self.max_batch = max_batch
        self.statistics = EngineStatistics()
        self._queues: dict[object, _Queue[object, object]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._participants = 0  # threads that run searches
        self._waiting = 0  # those of them that wait for an answer
        self._quiet = 0
        self._next_check: asyncio.Handle | None = None

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __deepcopy__(self, memo: dict[int, object]) -> Engine:
        return self  # a copied environment shares the models

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="engine", daemon=True)
                self._thread.start()
            return self._loop

    def close(self) -> None:
        """Stops the loop. May be called twice; the engine starts again when it is used again."""
        with self._lock:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def run(self, work: Coroutine[object, object, Result]) -> Result:
        """Returns the result of a coroutine run on the loop. Call it from any thread but the loop's."""
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("Engine.run was called on the engine's own loop: await the coroutine instead")
        future = asyncio.run_coroutine_threadsafe(self._counted(work), self._started())
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    async def _counted(self, work: Coroutine[object, object, Result]) -> Result:
        self._waiting += 1
        try:
            return await work
        finally:
            self._waiting -= 1

    @contextlib.contextmanager
    def participant(self) -> Generator[None]:
        """Counts the calling thread among those whose requests a batch waits for."""
        loop = self._started()
        loop.call_soon_threadsafe(self._join, 1)
        try:
            yield
        finally:
            loop.call_soon_threadsafe(self._join, -1)

    def _join(self, change: int) -> None:
        self._participants += change
        self._schedule_check()

    async def submit(self, function: BatchFunction[Item, Result], items: Sequence[Item]) -> list[Result]:
        """Returns `function`'s results for `items`, in order, computed beside what others submitted.

        Functions that compare equal share their batches: submit bound methods, not lambdas. An error of
        the function is raised in every caller whose items were in the batch.
        """
        if not items:
            return []
        loop = asyncio.get_running_loop()
        queue = self._queues.setdefault(function, _Queue(function))  # type: ignore[arg-type]
        futures: list[asyncio.Future[Result]] = [loop.create_future() for _ in items]
        queue.items.extend(items)
        queue.futures.extend(futures)  # type: ignore[arg-type]
        self._schedule_check()
        return list(await asyncio.gather(*futures))

    def _schedule_check(self) -> None:
        """Begins to wait for quiet anew; a timer for stragglers is not waited for."""
        self._quiet = 0
        if self._next_check is not None:
            self._next_check.cancel()
        loop = asyncio.get_running_loop()
        self._next_check = loop.call_soon(self._check) if self._queues else None

    def _check(self) -> None:
        """Sends everything off once the loop has been quiet, and no thread is about to ask for more."""
        loop = asyncio.get_running_loop()
        self._quiet += 1
        if self._quiet <= _SETTLED_AFTER:
            self._next_check = loop.call_soon(self._check)
        elif self._waiting < self._participants and self._quiet == _SETTLED_AFTER + 1:
            self._next_check = loop.call_later(_STRAGGLER_SECONDS, self._check)
        else:
            self._next_check = None
            self._flush()

    def _flush(self) -> None:
        queues, self._queues = self._queues, {}
        for queue in queues.values():
            for start in range(0, len(queue.items), self.max_batch):
                part = slice(start, start + self.max_batch)
                self._serve(queue.function, queue.items[part], queue.futures[part])

    def _serve(
        self,
        function: BatchFunction[object, object],
        items: Sequence[object],
        futures: Sequence[asyncio.Future[object]],
    ) -> None:
        self.statistics.batches += 1
        self.statistics.items += len(items)
        try:
            results = function(items)
            if len(results) != len(items):
                raise RuntimeError(f"{function} must give {len(items)} results, got {len(results)}")
        except Exception as error:  # handed on to every caller, whatever it is
            for future in futures:
                if not future.cancelled():
                    future.set_exception(error)
            return
        for future, result in zip(futures, results, strict=True):
            if not future.cancelled():
                future.set_result(result)
