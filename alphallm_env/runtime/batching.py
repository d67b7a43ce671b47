"""Batches the model calls of searches: queues of pending items, and the stepped batches that they join.

Everything here runs on the engine's loop, so nothing is locked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
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


class Request(Generic[Item, Result]):
    """The items of one `submit`: what came of them so far, the model's seconds, and the future of them all."""

    __slots__ = ("future", "items", "model_seconds", "num_left", "results")

    def __init__(self, items: Sequence[Item], future: asyncio.Future[list[Result]]) -> None:
        self.items = items
        self.results: list[Result | None] = [None] * len(items)
        self.num_left = len(items)
        self.future = future
        self.model_seconds = 0.0

    @property
    def is_unwanted(self) -> bool:
        """Whether nobody waits for the results any more: the search was cancelled, or another item failed."""
        return self.future.done()

    def fail(self, error: Exception) -> None:
        """Raises the error in the search."""
        if not self.future.done():
            self.future.set_exception(error)


class Part(Generic[Item, Result]):
    """The items of a request from `start` up to `stop`, which are in one batch or wait for one."""

    __slots__ = ("request", "start", "stop")

    def __init__(self, request: Request[Item, Result], start: int, stop: int) -> None:
        self.request = request
        self.start = start
        self.stop = stop

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def items(self) -> Sequence[Item]:
        """The part's items, in order."""
        return self.request.items[self.start : self.stop]

    def split(self, num_items: int) -> tuple[Part[Item, Result], Part[Item, Result]]:
        """Returns the first `num_items`, and the others."""
        middle = self.start + num_items
        return Part(self.request, self.start, middle), Part(self.request, middle, self.stop)

    def succeed(self, results: Sequence[Result]) -> None:
        """Returns the part's results to the search, which resumes once it has all of the request."""
        request = self.request
        request.results[self.start : self.stop] = results
        request.num_left -= len(results)
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


_Part = Part[object, object]


@dataclass
class _Queue:
    """The parts of requests that wait for one operation."""

    operation: Queued[object, object]
    pending: list[_Part] = field(default_factory=list[_Part])

    def __len__(self) -> int:
        """Returns the number of pending items."""
        return sum(map(len, self.pending))

    def drop_unwanted(self) -> None:
        """Removes items that nobody waits for."""
        self.pending = [part for part in self.pending if not part.request.is_unwanted]

    def take(self, most: int) -> list[_Part]:
        """Removes and returns the first `most` items."""
        taken: list[_Part] = []
        for number, part in enumerate(self.pending):
            if len(part) > most:
                first, rest = part.split(most)
                self.pending = [rest, *self.pending[number + 1 :]]
                return [*taken, first] if most else taken
            taken.append(part)
            most -= len(part)
        self.pending = []
        return taken


@dataclass
class _Running:
    """One stepped batch, and the items whose jobs are in it, each a part of its own."""

    batch: SteppedBatch[object, object]
    jobs: dict[int, tuple[Job[object], _Part]] = field(default_factory=dict[int, tuple[Job[object], _Part]])


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
        return sum(map(len, list(self._queues.values())))

    @property
    def has_work(self) -> bool:
        """Whether any item is pending or in a stepped batch."""
        return bool(self._queues or self._running)

    @property
    def is_stepping(self) -> bool:
        """Whether any item is in a stepped batch."""
        return bool(self._running)

    def add(self, operation: Queued[Item, Result], request: Request[Item, Result]) -> None:
        """Queues the items of a request. Operations that compare equal share a queue."""
        queue = self._queues.get(operation)
        if queue is None:
            queue = self._queues[operation] = _Queue(cast("Queued[object, object]", operation))
        queue.pending.append(cast("_Part", Part(request, 0, len(request.items))))

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
        if not isinstance(queue.operation, SteppedOperation):
            return len(queue) >= _BATCH_SHARE * num_running
        room = self._max_batch - len(queue.operation.batch)
        return min(room, len(queue)) >= max(1.0, _JOIN_SHARE * num_running)

    def _join(self, batch: SteppedBatch[object, object], queue: _Queue) -> None:
        """Moves a queue's items to a stepped batch, up to its maximum size."""
        joining = [single for part in queue.take(self._max_batch - len(batch)) for single in _singles(part)]
        items = self._counted(joining)
        started = time.perf_counter()
        try:
            jobs = checked(batch.join(items), items, batch)
        except Exception as error:  # raised in every caller, whatever it is
            _fail(joining, error, batch)
            return
        finally:
            self._charge(joining, len(items), started, in_steps=True)
        running = self._running.setdefault(id(batch), _Running(batch))
        running.jobs.update((id(job), (job, part)) for job, part in zip(jobs, joining, strict=True))

    def _step(self) -> None:
        """Advances every stepped batch by one step."""
        for running in self._running.values():
            self._statistics.steps += 1
            self._statistics.items_stepped += len(running.batch)
            in_batch = [part for _, part in running.jobs.values()]
            started = time.perf_counter()
            try:
                done = running.batch.step()
            except Exception as error:  # raised in every caller, whatever it is
                _fail(in_batch, error, running.batch)
                running.jobs.clear()
                continue
            finally:
                self._charge(in_batch, len(in_batch), started, in_steps=True)
            for job in done:
                _, part = running.jobs.pop(id(job))
                try:
                    part.succeed([job.completion()])
                except Exception as error:  # of this item alone
                    _fail([part], error, running.batch)
        self._running = {key: running for key, running in self._running.items() if running.jobs}

    def _leave_unwanted(self) -> None:
        for running in self._running.values():
            gone = [(key, job) for key, (job, part) in running.jobs.items() if part.request.is_unwanted]
            if gone:
                running.batch.leave([job for _, job in gone])
                for key, _ in gone:
                    del running.jobs[key]
        self._running = {key: running for key, running in self._running.items() if running.jobs}

    def _serve(self, function: BatchFunction[object, object], batch: Sequence[_Part]) -> None:
        """Calls a plain function on a batch."""
        items = self._counted(batch)
        started = time.perf_counter()
        try:
            results = checked(function(items), items, function)
        except Exception as error:  # raised in every caller, whatever it is
            _fail(batch, error, function)
            return
        finally:
            self._charge(batch, len(items), started)
        start = 0
        for part in batch:
            part.succeed(results[start : start + len(part)])
            start += len(part)

    def _counted(self, batch: Sequence[_Part]) -> list[object]:
        """Returns the items of a batch, and adds it to the statistics."""
        items = [item for part in batch for item in part.items]
        self._statistics.batches += 1
        self._statistics.items += len(items)
        return items

    def _charge(self, batch: Sequence[_Part], num_items: int, started: float, *, in_steps: bool = False) -> None:
        """Splits the time since `started` equally among the items of a batch."""
        seconds = time.perf_counter() - started
        self._statistics.model_seconds += seconds
        self._statistics.stepping_seconds += seconds if in_steps else 0.0
        for part in batch:
            part.request.model_seconds += seconds * len(part) / num_items


def _singles(part: _Part) -> list[_Part]:
    """Returns a part of its own for each item."""
    return [Part(part.request, place, place + 1) for place in range(part.start, part.stop)]


def _fail(batch: Sequence[_Part], error: Exception, source: object) -> None:
    # A future cannot hold a StopIteration: it would end the coroutine that awaits it.
    stopped = RuntimeError(f"{source} raised StopIteration") if isinstance(error, StopIteration) else error
    for part in batch:
        part.request.fail(stopped)


def checked(results: Sequence[Result], items: Sequence[object], source: object) -> Sequence[Result]:
    """Returns `results` as they are. Raises RuntimeError, which names `source`, unless there is one per item."""
    if len(results) != len(items):
        raise RuntimeError(f"{source} must give {len(items)} results, got {len(results)}")
    return results
