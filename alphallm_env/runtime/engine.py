"""One background event loop that owns the models and batches what all searches ask.

Searches run as coroutines on the loop, or as plain code in threads; both only `submit`. The models work
when nothing else can run: every coroutine waits for a model and so does every participating thread. A model that
works in steps, as one that writes token by token does, takes new work in between any two: a search that has its
answer goes on and asks for more while others still wait for theirs.
Which searches run side by side therefore changes how batches are cut, and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar, cast

from alphallm_env.runtime.metering import Meter, Role, Work, current_meter
from alphallm_env.runtime.openmp import release_openmp_workers

Item = TypeVar("Item")
Result = TypeVar("Result")
BatchFunction = Callable[[Sequence[Item]], Sequence[Result]]


class SteppedBatch(Protocol):
    """Work that goes on in steps: a batch that items join and leave. Its length is the number of items in it."""

    def __len__(self) -> int: ...

    def join(self, items: Sequence[object], /) -> Sequence[Job]:
        """Begins to work on the items. Returns a job for each."""
        ...

    def step(self) -> Sequence[Job]:
        """Works a little on every job. Returns those that are done, which have left; a failure leaves none behind."""
        ...

    def leave(self, jobs: Sequence[Job], /) -> None:
        """Gives jobs up."""
        ...


class Job(Protocol):
    """One item under way."""

    def completion(self) -> object:
        """Returns its result, once it is done."""
        ...


# A share of the items under way in steps: as long as less is waiting, they go on, since small batches do not pay.
_JOIN_SHARE = 0.25  # of new items that wait to join them
_BATCH_SHARE = 0.25  # of items that wait for one batch function
_SETTLED_AFTER = 2  # loop iterations without a new request before a batch leaves
_STRAGGLER_SECONDS = 0.05  # how long a thread that computes may hold up the others


@dataclass
class PendingItem(Generic[Item, Result]):
    """One item that a search waits for, and who pays for the model's time."""

    item: Item
    answer: asyncio.Future[Result]
    meter: Meter
    role: Role | None
    seconds: float = 0.0

    def pay(self) -> None:
        """Charges the search for the time that the model took."""
        if self.role is not None:
            self.meter.worked(self.role, Work(model_seconds=self.seconds))

    def fail(self, error: Exception) -> None:
        """Hands an error on."""
        self.pay()
        if not self.answer.cancelled():
            self.answer.set_exception(error)

    def succeed(self, result: Result) -> None:
        """Hands the result over."""
        self.pay()
        if not self.answer.cancelled():
            self.answer.set_result(result)


@dataclass
class _Queue(Generic[Item, Result]):
    """What waits for one batch function."""

    function: BatchFunction[Item, Result]
    asked: list[PendingItem[Item, Result]] = field(default_factory=list)

    def drop_cancelled(self) -> None:
        """Forgets the questions that nobody waits for any more."""
        self.asked = [question for question in self.asked if not question.answer.cancelled()]

    def take(self, most: int) -> list[PendingItem[Item, Result]]:
        """Takes the first `most` questions out."""
        taken, self.asked = self.asked[:most], self.asked[most:]
        return taken


@dataclass
class _Running:
    """What is under way in one model that works in steps."""

    steps: SteppedBatch
    jobs: dict[int, tuple[Job, PendingItem[object, object]]] = field(default_factory=dict)  # by the job's id


@dataclass
class EngineStatistics:
    """How well the batches were filled: items a batch, items a step."""

    batches: int = 0
    items: int = 0
    steps: int = 0
    items_stepped: int = 0
    model_seconds: float = 0.0  # backends that batch by themselves left out
    stepping_seconds: float = 0.0  # of them, in steps and in taking new work in


class Engine:
    """Batches calls to blocking functions. Use as a context manager, or call `close`."""

    def __init__(self, max_batch: int = 256) -> None:
        if max_batch < 1:
            raise ValueError(f"max_batch must be >= 1, got {max_batch}")
        self.max_batch = max_batch
        self.statistics = EngineStatistics()
        self._lock = threading.Lock()  # held while the loop starts, is given work from outside, or stops
        self._reset()

    def _reset(self) -> None:
        self._queues: dict[object, _Queue[object, object]] = {}
        self._running: dict[int, _Running] = {}  # by the id of the steps
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._participants = 0  # threads that run searches
        self._waiting = 0  # those of them that wait for an answer
        self._quiet = 0
        self._next_check: asyncio.Handle | None = None

    @property
    def num_waiting(self) -> int:
        """How many items wait for a model to take them up."""
        return sum(len(queue.asked) for queue in list(self._queues.values()))

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
            for running in self._running.values():
                running.steps.leave([job for job, _ in running.jobs.values()])
            self._reset()

    def _refuse_own_loop(self, method: str) -> None:
        if threading.current_thread() is self._thread:
            raise RuntimeError(f"Engine.{method} was called on the engine's own loop: await the coroutine instead")

    def run(self, work: Coroutine[object, object, Result]) -> Result:
        """Returns the result of a coroutine run on the loop. Call it from any thread but the loop's.

        Raises RuntimeError if the engine is closed meanwhile.
        """
        try:
            self._refuse_own_loop("run")
            release_openmp_workers()
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
            if self._waiting == 0:
                release_openmp_workers()

    @contextlib.contextmanager
    def participant(self) -> Generator[None]:
        """Counts the calling thread among those whose requests a batch waits for."""
        with self._lock:
            loop = self._started()
            loop.call_soon_threadsafe(self._enter, 1)
        try:
            yield
        finally:
            with self._lock:
                if self._loop is loop:  # else the engine was closed, and has forgotten its participants
                    loop.call_soon_threadsafe(self._enter, -1)

    def _enter(self, change: int) -> None:
        self._participants += change
        self._schedule_check()

    async def submit(
        self, function: BatchFunction[Item, Result], items: Sequence[Item], role: Role | None = None
    ) -> list[Result]:
        """Returns `function`'s results for `items`, in order, computed beside what others submitted.

        Functions that compare equal share their batches: submit bound methods, not lambdas. An error of
        the function is raised in every caller whose items were in the batch. Of a method `f` whose object has
        `f_in_steps`, that is used instead. A method with an asynchronous twin `f_async` is not batched here: its
        backend serves what comes when it comes. With a `role`, the seconds that the model and the caller spend
        are counted on the current meter.
        """
        if not items:
            return []
        meter, started = current_meter(), time.perf_counter()
        try:
            return await self._answers(function, items, meter, role)
        finally:
            if role is not None:
                meter.worked(role, Work(waiting_seconds=time.perf_counter() - started))

    async def _answers(
        self, function: BatchFunction[Item, Result], items: Sequence[Item], meter: Meter, role: Role | None
    ) -> list[Result]:
        if (twin := asynchronous(function)) is not None:
            return list(_checked(await twin(items), items, function))
        loop = asyncio.get_running_loop()
        queue = self._queues.setdefault(function, _Queue(function))  # type: ignore[arg-type]
        asked: list[PendingItem[Item, Result]] = [
            PendingItem(item, loop.create_future(), meter, role) for item in items
        ]
        queue.asked.extend(asked)  # type: ignore[arg-type]
        self._schedule_check()
        return list(await asyncio.gather(*(question.answer for question in asked)))

    def _schedule_check(self) -> None:
        """Begins to wait for quiet anew; a timer for stragglers is not waited for."""
        self._quiet = 0
        if self._next_check is not None:
            self._next_check.cancel()
        loop = asyncio.get_running_loop()
        self._next_check = loop.call_soon(self._check) if self._queues or self._running else None

    def _check(self) -> None:
        """Lets the models work once the loop has been quiet, and no thread is about to ask for more."""
        loop = asyncio.get_running_loop()
        self._quiet += 1
        if self._quiet <= _SETTLED_AFTER:
            self._next_check = loop.call_soon(self._check)
        elif not self._running and self._waiting < self._participants and self._quiet == _SETTLED_AFTER + 1:
            self._next_check = loop.call_later(_STRAGGLER_SECONDS, self._check)
        else:
            self._next_check = None
            self._work()

    def _work(self) -> None:
        """Serves the queues that are long enough, or else takes one step with all that is under way."""
        for queue in self._queues.values():
            queue.drop_cancelled()
        self._leave_cancelled()
        num_running = sum(len(running.steps) for running in self._running.values())
        due = [queue for queue in self._queues.values() if queue.asked and self._is_due(queue, num_running)]
        for queue in due:
            steps = in_steps(queue.function)
            if steps is not None:
                self._join(steps, queue)
            else:
                while queue.asked:
                    self._serve(queue.function, queue.take(self.max_batch))
        if not due:
            self._step()
        self._queues = {key: queue for key, queue in self._queues.items() if queue.asked}
        self._schedule_check()

    def _is_due(self, queue: _Queue[object, object], num_running: int) -> bool:
        steps = in_steps(queue.function)
        if steps is None:
            return len(queue.asked) >= _BATCH_SHARE * num_running
        room = self.max_batch - len(steps)
        return min(room, len(queue.asked)) >= max(1.0, _JOIN_SHARE * num_running)

    def _join(self, steps: SteppedBatch, queue: _Queue[object, object]) -> None:
        """Begins to work on the items of a queue, as many as there is room for."""
        asked = queue.take(self.max_batch - len(steps))
        self.statistics.batches += 1
        self.statistics.items += len(asked)
        items = [question.item for question in asked]
        try:
            with self._timed(asked, in_steps=True):
                jobs = _checked(steps.join(items), items, queue.function)
        except Exception as error:  # handed on to every caller, whatever it is
            _fail(asked, error, queue.function)
            return
        running = self._running.setdefault(id(steps), _Running(steps))
        running.jobs.update((id(job), (job, question)) for job, question in zip(jobs, asked, strict=True))

    def _step(self) -> None:
        """Takes one step with everything that is under way."""
        for running in self._running.values():
            self.statistics.steps += 1
            self.statistics.items_stepped += len(running.steps)
            under_way = [question for _, question in running.jobs.values()]
            try:
                with self._timed(under_way, in_steps=True):
                    done = running.steps.step()
            except Exception as error:  # handed on to every caller, whatever it is
                _fail(under_way, error, running.steps)
                running.jobs.clear()
                continue
            for job in done:
                _, question = running.jobs.pop(id(job))
                try:
                    question.succeed(job.completion())
                except Exception as error:  # of this one alone
                    _fail([question], error, running.steps)
        self._running = {key: running for key, running in self._running.items() if running.jobs}

    def _leave_cancelled(self) -> None:
        for running in self._running.values():
            gone = [(key, *pair) for key, pair in running.jobs.items() if pair[1].answer.cancelled()]
            if gone:
                running.steps.leave([job for _, job, _ in gone])
                for key, _, question in gone:
                    question.pay()
                    del running.jobs[key]
        self._running = {key: running for key, running in self._running.items() if running.jobs}

    def _serve(self, function: BatchFunction[object, object], asked: Sequence[PendingItem[object, object]]) -> None:
        self.statistics.batches += 1
        self.statistics.items += len(asked)
        items = [question.item for question in asked]
        try:
            with self._timed(asked):
                results = _checked(function(items), items, function)
        except Exception as error:  # handed on to every caller, whatever it is
            _fail(asked, error, function)
            return
        for question, result in zip(asked, results, strict=True):
            question.succeed(result)

    @contextlib.contextmanager
    def _timed(self, asked: Sequence[PendingItem[object, object]], *, in_steps: bool = False) -> Generator[None]:
        """Shares the time that a block takes out among questions."""
        started = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - started
            self.statistics.model_seconds += seconds
            self.statistics.stepping_seconds += seconds if in_steps else 0.0
            for question in asked:
                question.seconds += seconds / len(asked)


def _fail(asked: Sequence[PendingItem[object, object]], error: Exception, function: object) -> None:
    # A future cannot hold a StopIteration: it would end the coroutine that awaits it.
    stopped = RuntimeError(f"{function} raised StopIteration") if isinstance(error, StopIteration) else error
    for question in asked:
        question.fail(stopped)


def in_steps(method: object) -> SteppedBatch | None:
    """Returns `<name>_in_steps` of the same object, None where it has none."""
    owner = getattr(method, "__self__", None)
    return cast("SteppedBatch | None", getattr(owner, f"{getattr(method, '__name__', '')}_in_steps", None))


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
