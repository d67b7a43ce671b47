"""Batches the model calls of searches: queues of pending items, and the stepped batches that they join.

Everything here runs on the engine's loop, so nothing is locked.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar, cast

from alphallm_env.runtime.operations import BatchFunction, Job, SteppedBatch, SteppedOperation

Item = TypeVar("Item")
Result = TypeVar("Result")
Queued = BatchFunction[Item, Result] | SteppedOperation[Item, Result]

# While fewer items are pending than this share of the items in stepped batches, stepping continues: small batches cost
# more than they save.
_JOIN_SHARE = 0.25  # of pending items that join a stepped batch
_BATCH_SHARE = 0.25  # of pending items of one batch function


class Request(Generic[Result]):
    """The items of one `submit`: what came of them so far, the model's seconds, and the future of them all."""

    __slots__ = ("future", "model_seconds", "num_left", "results")

    def __init__(self, num_items: int, future: asyncio.Future[list[Result]]) -> None:
        self.results: list[Result | None] = [None] * num_items
        self.num_left = num_items
        self.future = future
        self.model_seconds = 0.0


class PendingItem(Generic[Item, Result]):
    """One item that a search waits for: the `place`-th of a request."""

    __slots__ = ("item", "place", "request")

    def __init__(self, item: Item, place: int, request: Request[Result]) -> None:
        self.item = item
        self.place = place
        self.request = request

    @property
    def is_unwanted(self) -> bool:
        """Whether nobody waits for the result any more: the search was cancelled, or another item failed."""
        return self.request.future.done()

    def fail(self, error: Exception) -> None:
        """Raises the error in the search."""
        if not self.is_unwanted:
            self.request.future.set_exception(error)

    def succeed(self, result: Result) -> None:
        """Returns the result to the search, which resumes once it has all of the request."""
        request = self.request
        request.results[self.place] = result
        request.num_left -= 1
        if request.num_left == 0 and not request.future.done():
            request.future.set_result(cast("list[Result]", request.results))


@dataclass
class EngineStatistics:
    """How many batches and steps were computed, of how many items, in how many seconds."""

    batches: int = 0
    items: int = 0
    steps: int = 0
    items_stepped: int = 0
    model_seconds: float = 0.0  # of the backends that are batched here
    stepping_seconds: float = 0.0  # the part of model_seconds spent in `step` and `join`


_Pending = PendingItem[object, object]


@dataclass
class _Queue:
    """The pending items of one operation."""

    operation: Queued[object, object]
    pending: list[_Pending] = field(default_factory=list[_Pending])

    @property
    def batch(self) -> SteppedBatch[object, object] | None:
        """The stepped batch that the items join, None for a plain function."""
        return self.operation.batch if isinstance(self.operation, SteppedOperation) else None

    def drop_unwanted(self) -> None:
        """Removes items that nobody waits for."""
        self.pending = [item for item in self.pending if not item.is_unwanted]

    def take(self, most: int) -> list[_Pending]:
        """Removes and returns the first `most` items."""
        taken, self.pending = self.pending[:most], self.pending[most:]
        return taken


@dataclass
class _Running:
    """One stepped batch, and the pending items whose jobs are in it."""

    batch: SteppedBatch[object, object]
    jobs: dict[int, tuple[Job[object], _Pending]] = field(default_factory=dict[int, tuple[Job[object], _Pending]])


class Batcher:
    """The queues and stepped batches of one engine. `work` runs them."""

    def __init__(self, max_batch: int, statistics: EngineStatistics) -> None:
        self._max_batch = max_batch
        self._statistics = statistics
        self._queues: dict[object, _Queue] = {}
        self._running: dict[int, _Running] = {}  # by the id of the stepped batch

    @property
    def num_pending(self) -> int:
        """How many items wait for a batch. May be read from any thread."""
        return sum(len(queue.pending) for queue in list(self._queues.values()))

    @property
    def has_work(self) -> bool:
        """Whether any item is pending or in a stepped batch."""
        return bool(self._queues or self._running)

    @property
    def is_stepping(self) -> bool:
        """Whether any item is in a stepped batch."""
        return bool(self._running)

    def add(self, operation: Queued[Item, Result], pending: Sequence[PendingItem[Item, Result]]) -> None:
        """Queues items. Operations that compare equal share a queue."""
        queue = self._queues.get(operation)
        if queue is None:
            queue = self._queues[operation] = _Queue(cast("Queued[object, object]", operation))
        queue.pending.extend(cast("Sequence[_Pending]", pending))

    def close(self) -> None:
        """Removes all jobs from the stepped batches."""
        for running in self._running.values():
            running.batch.leave([job for job, _ in running.jobs.values()])

    def work(self) -> None:
        """Runs the queues that are long enough; if none is, advances the stepped batches by one step."""
        for queue in self._queues.values():
            queue.drop_unwanted()
        self._leave_unwanted()
        num_running = sum(len(running.batch) for running in self._running.values())
        due = [queue for queue in self._queues.values() if queue.pending and self._is_due(queue, num_running)]
        for queue in due:
            if isinstance(queue.operation, SteppedOperation):
                self._join(queue.operation.batch, queue)
            else:
                while queue.pending:
                    self._serve(queue.operation, queue.take(self._max_batch))
        if not due:
            self._step()
        self._queues = {key: queue for key, queue in self._queues.items() if queue.pending}

    def _is_due(self, queue: _Queue, num_running: int) -> bool:
        batch = queue.batch
        if batch is None:
            return len(queue.pending) >= _BATCH_SHARE * num_running
        room = self._max_batch - len(batch)
        return min(room, len(queue.pending)) >= max(1.0, _JOIN_SHARE * num_running)

    def _join(self, batch: SteppedBatch[object, object], queue: _Queue) -> None:
        """Moves a queue's items to a stepped batch, up to its maximum size."""
        joining = queue.take(self._max_batch - len(batch))
        items = self._counted(joining)
        try:
            with self._timed(joining, in_steps=True):
                jobs = checked(batch.join(items), items, batch)
        except Exception as error:  # raised in every caller, whatever it is
            _fail(joining, error, batch)
            return
        running = self._running.setdefault(id(batch), _Running(batch))
        running.jobs.update((id(job), (job, pending)) for job, pending in zip(jobs, joining, strict=True))

    def _step(self) -> None:
        """Advances every stepped batch by one step."""
        for running in self._running.values():
            self._statistics.steps += 1
            self._statistics.items_stepped += len(running.batch)
            in_batch = [pending for _, pending in running.jobs.values()]
            try:
                with self._timed(in_batch, in_steps=True):
                    done = running.batch.step()
            except Exception as error:  # raised in every caller, whatever it is
                _fail(in_batch, error, running.batch)
                running.jobs.clear()
                continue
            for job in done:
                _, pending = running.jobs.pop(id(job))
                try:
                    pending.succeed(job.completion())
                except Exception as error:  # of this item alone
                    _fail([pending], error, running.batch)
        self._running = {key: running for key, running in self._running.items() if running.jobs}

    def _leave_unwanted(self) -> None:
        for running in self._running.values():
            gone = [(key, job) for key, (job, pending) in running.jobs.items() if pending.is_unwanted]
            if gone:
                running.batch.leave([job for _, job in gone])
                for key, _ in gone:
                    del running.jobs[key]
        self._running = {key: running for key, running in self._running.items() if running.jobs}

    def _serve(self, function: BatchFunction[object, object], batch: Sequence[_Pending]) -> None:
        """Calls a plain function on a batch."""
        items = self._counted(batch)
        try:
            with self._timed(batch):
                results = checked(function(items), items, function)
        except Exception as error:  # raised in every caller, whatever it is
            _fail(batch, error, function)
            return
        for pending, result in zip(batch, results, strict=True):
            pending.succeed(result)

    def _counted(self, batch: Sequence[_Pending]) -> list[object]:
        """Returns the items of a batch, and adds it to the statistics."""
        self._statistics.batches += 1
        self._statistics.items += len(batch)
        return [pending.item for pending in batch]

    @contextlib.contextmanager
    def _timed(self, batch: Sequence[_Pending], *, in_steps: bool = False) -> Generator[None]:
        """Splits the time of a block equally among the items of a batch."""
        started = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - started
            self._statistics.model_seconds += seconds
            self._statistics.stepping_seconds += seconds if in_steps else 0.0
            for pending in batch:
                pending.request.model_seconds += seconds / len(batch)


def _fail(batch: Sequence[_Pending], error: Exception, source: object) -> None:
    # A future cannot hold a StopIteration: it would end the coroutine that awaits it.
    stopped = RuntimeError(f"{source} raised StopIteration") if isinstance(error, StopIteration) else error
    for pending in batch:
        pending.fail(stopped)


def checked(results: Sequence[Result], items: Sequence[object], source: object) -> Sequence[Result]:
    """Returns `results` as they are. Raises RuntimeError, which names `source`, unless there is one per item."""
    if len(results) != len(items):
        raise RuntimeError(f"{source} must give {len(items)} results, got {len(results)}")
    return results
