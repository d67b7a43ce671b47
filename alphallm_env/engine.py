"""One background event loop that owns the models and batches what all searches ask.

Searches run as coroutines on the loop, or as plain code in threads; both only `submit`. A batch leaves
when nothing else can run: every coroutine waits for a model and so does every participating thread.
Which searches run side by side therefore changes how batches are cut, and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from concurrent.futures import CancelledError
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
        self._lock = threading.Lock()  # held while the loop starts, is given work from outside, or stops
        self._forget_loop()

    def _forget_loop(self) -> None:
        self._queues: dict[object, _Queue[object, object]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
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
        """Returns the running loop. Called with the lock held."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=_run_until_stopped, args=(self._loop,), name="engine", daemon=True)
            self._thread.start()
        return self._loop

    def close(self) -> None:
        """Stops the loop. May be called twice; the engine starts again when it is used again.

        What is still in flight is cancelled, and raises RuntimeError in the threads that wait for it.
        """
        self._refuse_own_loop("close")
        with self._lock:
            if self._loop is not None and self._thread is not None:
                if self._thread.is_alive():
                    self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join()
            self._forget_loop()

    def _refuse_own_loop(self, method: str) -> None:
        if threading.current_thread() is self._thread:
            raise RuntimeError(f"Engine.{method} was called on the engine's own loop: await the coroutine instead")

    def run(self, work: Coroutine[object, object, Result]) -> Result:
        """Returns the result of a coroutine run on the loop. Call it from any thread but the loop's.

        Raises RuntimeError if the engine is closed meanwhile.
        """
        try:
            self._refuse_own_loop("run")
            with self._lock:
                loop = self._started()
                future = asyncio.run_coroutine_threadsafe(self._counted(work), loop)
        except BaseException:
            work.close()
            raise
        try:
            return future.result()
        except CancelledError:
            work.close()
            with self._lock:
                was_closed = self._loop is not loop
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

    @contextlib.contextmanager
    def participant(self) -> Generator[None]:
        """Counts the calling thread among those whose requests a batch waits for."""
        with self._lock:
            loop = self._started()
            loop.call_soon_threadsafe(self._join, 1)
        try:
            yield
        finally:
            with self._lock:
                if self._loop is loop:  # else the engine was closed, and has forgotten its participants
                    loop.call_soon_threadsafe(self._join, -1)

    def _join(self, change: int) -> None:
        self._participants += change
        self._schedule_check()

    async def submit(self, function: BatchFunction[Item, Result], items: Sequence[Item]) -> list[Result]:
        """Returns `function`'s results for `items`, in order, computed beside what others submitted.

        Functions that compare equal share their batches: submit bound methods, not lambdas. An error of
        the function is raised in every caller whose items were in the batch. A method with an asynchronous
        twin is not batched here: its backend serves what comes when it comes.
        """
        if not items:
            return []
        if (twin := asynchronous(function)) is not None:
            return list(_checked(await twin(items), items, function))
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
            wanted = [(i, f) for i, f in zip(queue.items, queue.futures, strict=True) if not f.cancelled()]
            for start in range(0, len(wanted), self.max_batch):
                items, futures = zip(*wanted[start : start + self.max_batch], strict=True)
                self._serve(queue.function, items, futures)

    def _serve(
        self,
        function: BatchFunction[object, object],
        items: Sequence[object],
        futures: Sequence[asyncio.Future[object]],
    ) -> None:
        self.statistics.batches += 1
        self.statistics.items += len(items)
        try:
            results = _checked(function(items), items, function)
        except Exception as error:  # handed on to every caller, whatever it is
            # A future cannot hold a StopIteration: it would end the coroutine that awaits it.
            stopped = RuntimeError(f"{function} raised StopIteration") if isinstance(error, StopIteration) else error
            for future in futures:
                future.set_exception(stopped)
            return
        for future, result in zip(futures, results, strict=True):
            future.set_result(result)


def asynchronous(method: Callable[..., Result]) -> Callable[..., Awaitable[Result]] | None:
    """Returns the coroutine method `<name>_async` of the same object, None where it has none.

    Backends that batch by themselves (a server, continuous batching) offer one beside their blocking method.
    """
    return getattr(getattr(method, "__self__", None), f"{getattr(method, '__name__', '')}_async", None)


def _checked(results: Sequence[Result], items: Sequence[object], function: object) -> Sequence[Result]:
    if len(results) != len(items):
        raise RuntimeError(f"{function} must give {len(items)} results, got {len(results)}")
    return results


def _run_until_stopped(loop: asyncio.AbstractEventLoop) -> None:
    """Runs the loop, and in the end cancels what is in flight, so that nobody waits for it for ever."""
    try:
        loop.run_forever()
    finally:
        while tasks := asyncio.all_tasks(loop):
            for task in tasks:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.close()
