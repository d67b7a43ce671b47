import asyncio
import copy
import threading
import time
from collections.abc import Sequence

import pytest

from alphallm_env.runtime.engine import Engine
from alphallm_env.runtime.operations import AsyncOperation, SteppedOperation


class Doubler:
    """Remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def double(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        if -1 in items:
            raise ArithmeticError("minus one")
        return [2 * item for item in items]

    def lose_one(self, items: Sequence[int]) -> list[int]:
        return list(items)[1:]

    def run_dry(self, items: Sequence[int]) -> list[int]:
        return [next(iter(()))]


class SelfBatching(Doubler):
    """Serves each caller as it comes, as a server does."""

    async def double_async(self, items: Sequence[int]) -> list[int]:
        await asyncio.sleep(0)
        return self.double(items)

    @property
    def operation(self) -> AsyncOperation[int, int]:
        return AsyncOperation(self.double_async)


class Countdown:
    """Counts each item down to 0, all of them by one a step; its result is the item."""

    class Job:
        def __init__(self, item: int) -> None:
            self.item = self.left = item

        def completion(self) -> int:
            return self.item

    def __init__(self) -> None:
        self.jobs: list[Countdown.Job] = []
        self.steps: list[list[int]] = []  # what was under way
        self.fails = False

    def __len__(self) -> int:
        return len(self.jobs)

    def join(self, items: Sequence[int]) -> list[Job]:
        if -1 in items:
            raise ArithmeticError("minus one")
        new = [self.Job(item) for item in items]
        self.jobs += new
        return new

    def step(self) -> list[Job]:
        self.steps.append([job.item for job in self.jobs])
        if self.fails:
            self.jobs.clear()
            raise ArithmeticError("a step failed")
        for job in self.jobs:
            job.left -= 1
        done = [job for job in self.jobs if job.left <= 0]
        self.leave(done)
        return done

    def leave(self, jobs: Sequence[Job]) -> None:
        self.jobs = [job for job in self.jobs if job not in jobs]


class Counter(Doubler):
    """Works in steps."""

    def __init__(self) -> None:
        super().__init__()
        self.countdown = Countdown()

    @property
    def count(self) -> SteppedOperation[int, int]:
        return SteppedOperation(self.countdown)


@pytest.fixture
def engine():
    with Engine() as started:
        yield started


async def gather(*work):
    return await asyncio.gather(*work, return_exceptions=True)


def test_coroutines_share_a_batch_and_each_gets_its_own_in_order(engine):
    model = Doubler()
    work = [engine.submit(model.double, items) for items in ([1, 2], [3], [4, 5, 6])]
    assert engine.run(gather(*work)) == [[2, 4], [6], [8, 10, 12]]
    assert model.batches == [[1, 2, 3, 4, 5, 6]]
    assert (engine.statistics.batches, engine.statistics.items) == (1, 6)


def test_a_backend_that_batches_by_itself_is_awaited_by_each_search(engine):
    model = SelfBatching()
    work = [engine.submit(model.operation, items) for items in ([1, 2], [-1], [3])]
    first, failed, last = engine.run(gather(*work))
    assert (first, last) == ([2, 4], [6])
    assert isinstance(failed, ArithmeticError)
    assert sorted(model.batches) == [[-1], [1, 2], [3]]
    assert engine.statistics.batches == 0


def test_what_works_in_steps_is_joined_while_it_works(engine):
    model = Counter()

    async def search(*items: int) -> list[int]:
        return [(await engine.submit(model.count, [item]))[0] for item in items]

    assert engine.run(gather(search(5), search(2, 2), search(1, 1))) == [[5], [2, 2], [1, 1]]
    # The searches that have their answers ask again while the longest one still waits for its own.
    assert model.countdown.steps == [[5, 2, 1], [5, 2, 1], [5, 2], [5, 2], [5]]
    assert (engine.statistics.steps, engine.statistics.items_stepped) == (5, 11)


def test_other_work_is_done_between_steps_once_enough_of_it_waits(engine):
    model = Counter()

    async def search(item: int) -> list[int]:
        counted = await engine.submit(model.count, [item])
        return counted + await engine.submit(model.double, [len(model.countdown)])

    results = engine.run(gather(*(search(item) for item in range(1, 9))))
    assert [counted for counted, _ in results] == list(range(1, 9))
    assert [under_way for _, under_way in results] == [14, 12, 10, 8, 6, 4, 2, 0]  # when each was done, doubled
    assert model.batches == [[7, 6], [5, 4], [3], [2], [1], [0]]


def test_only_so_many_are_under_way_at_once():
    model = Counter()
    with Engine(max_batch=3) as engine:
        assert engine.run(engine.submit(model.count, [2] * 7)) == [2] * 7
    assert max(map(len, model.countdown.steps)) == 3


def test_an_error_in_a_step_reaches_all_that_were_under_way(engine):
    model = Counter()
    model.countdown.fails = True
    first, second = engine.run(gather(engine.submit(model.count, [2]), engine.submit(model.count, [3])))
    assert isinstance(first, ArithmeticError)
    assert isinstance(second, ArithmeticError)
    model.countdown.fails = False
    joined, refused = engine.run(gather(engine.submit(model.count, [2]), engine.submit(Counter().count, [-1])))
    assert joined == [2]
    assert isinstance(refused, ArithmeticError)


def test_an_engine_that_closes_leaves_nothing_under_way():
    model = Counter()
    engine = Engine()
    failures: list[str] = []

    def search() -> None:
        try:
            engine.run(engine.submit(model.count, [10**9]))
        except RuntimeError as error:
            failures.append(str(error))

    thread = threading.Thread(target=search)
    thread.start()
    while not model.countdown.steps:
        time.sleep(0.001)
    engine.close()
    thread.join()
    assert failures == ["the engine was closed while this search was in flight"]
    assert len(model.countdown) == 0
    with engine:
        assert engine.run(engine.submit(model.count, [3])) == [3]


def test_what_nobody_waits_for_leaves(engine):
    model = Counter()

    async def give_up() -> list[int]:
        long, short = (asyncio.ensure_future(engine.submit(model.count, [item])) for item in (10**9, 3))
        await short
        long.cancel()
        return await engine.submit(model.count, [2])

    assert engine.run(give_up()) == [2]
    assert len(model.countdown) == 0
    assert len(model.countdown.steps) == 5


def test_searches_of_different_length_stay_together_while_they_last(engine):
    async def search(steps: int) -> int:
        value = 1
        for _ in range(steps):
            [value] = await engine.submit(model.double, [value])
        return value

    model = Doubler()
    assert engine.run(gather(search(1), search(3), search(2))) == [2, 8, 4]
    assert [len(batch) for batch in model.batches] == [3, 2, 1]


def test_different_functions_have_different_batches(engine):
    one, other = Doubler(), Doubler()
    engine.run(gather(engine.submit(one.double, [1]), engine.submit(other.double, [2])))
    assert (one.batches, other.batches) == ([[1]], [[2]])


def test_a_batch_is_cut_at_its_maximum():
    model = Doubler()
    with Engine(max_batch=2) as engine:
        assert engine.run(engine.submit(model.double, [1, 2, 3, 4, 5])) == [2, 4, 6, 8, 10]
    assert model.batches == [[1, 2], [3, 4], [5]]


def test_nothing_asked_is_nothing_computed(engine):
    model = Doubler()
    assert engine.run(engine.submit(model.double, [])) == []
    assert model.batches == []


def test_an_error_reaches_every_caller_of_its_batch_and_no_other(engine):
    model, other = Doubler(), Doubler()
    work = [
        engine.submit(model.double, [1, 2]),
        engine.submit(model.double, [-1]),
        engine.submit(other.double, [3]),
    ]
    first, second, third = engine.run(gather(*work))
    assert isinstance(first, ArithmeticError)
    assert isinstance(second, ArithmeticError)
    assert third == [6]
    assert engine.run(engine.submit(model.double, [4])) == [8]  # and the engine works on


def test_a_function_that_loses_an_item_is_named(engine):
    with pytest.raises(RuntimeError, match=r"lose_one.* must give 3 results, got 2"):
        engine.run(engine.submit(Doubler().lose_one, [1, 2, 3]))


def test_threads_that_participate_share_batches(engine):
    def search(number: int) -> None:
        value = number
        with engine.participant():
            everybody.wait()
            for _ in range(3):
                [value] = engine.run(engine.submit(model.double, [value]))
        found[number] = value

    model, found, everybody = Doubler(), {}, threading.Barrier(4)
    threads = [threading.Thread(target=search, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {0: 0, 1: 8, 2: 16, 3: 24}
    assert max(len(batch) for batch in model.batches) >= 2


def test_a_participant_that_computes_for_long_does_not_hold_up_the_others(engine):
    model = Doubler()
    with engine.participant():  # this thread never asks
        thread = threading.Thread(target=lambda: engine.run(engine.submit(model.double, [1])))
        thread.start()
        thread.join(timeout=10)
    assert model.batches == [[1]]


def test_a_cancelled_search_leaves_the_others_their_results(engine):
    async def impatient() -> list[int]:
        task = asyncio.ensure_future(engine.submit(model.double, [1]))
        await asyncio.sleep(0)
        task.cancel()
        return await engine.submit(model.double, [2])

    model = Doubler()
    assert engine.run(impatient()) == [4]


def test_what_nobody_waits_for_any_more_is_not_computed(engine):
    async def impatient() -> list[int]:
        task = asyncio.ensure_future(engine.submit(model.double, [1, 2]))
        await asyncio.sleep(0)
        task.cancel()
        return await engine.submit(model.double, [3])

    model = Doubler()
    assert engine.run(impatient()) == [6]
    assert model.batches == [[3]]


def test_an_error_that_no_future_can_hold_still_reaches_its_caller(engine):
    with pytest.raises(RuntimeError, match=r"run_dry.* raised StopIteration"):
        engine.run(engine.submit(Doubler().run_dry, [1]))


def test_waiting_on_the_engines_own_loop_is_refused(engine):
    async def outer() -> None:
        engine.run(engine.submit(Doubler().double, [1]))

    async def closing() -> None:
        engine.close()

    with pytest.raises(RuntimeError, match="await the coroutine instead"):
        engine.run(outer())
    with pytest.raises(RuntimeError, match=r"Engine\.close was called on the engine's own loop"):
        engine.run(closing())


def test_closing_tells_every_search_in_flight():
    def search(number: int) -> None:
        with engine.participant():
            started.wait()
            try:
                engine.run(asyncio.sleep(60))
            except RuntimeError as error:
                told[number] = str(error)

    engine, told, started = Engine(), {}, threading.Barrier(4)
    threads = [threading.Thread(target=search, args=(number,), daemon=True) for number in range(3)]
    for thread in threads:
        thread.start()
    started.wait()
    while engine._waiting < 3:
        time.sleep(0.001)
    engine.close()
    for thread in threads:
        thread.join(timeout=10)
    assert told == dict.fromkeys(range(3), "the engine was closed while this search was in flight")
    model = Doubler()
    assert engine.run(engine.submit(model.double, [1])) == [2]  # as good as new: nobody is waited for
    engine.close()


def test_closing_lets_coroutines_tidy_up():
    async def search() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            tidied.append(True)

    async def begin() -> None:
        tasks.append(asyncio.create_task(search()))
        await asyncio.sleep(0)

    engine, tasks, tidied = Engine(), [], []
    engine.run(begin())
    engine.close()
    assert tidied == [True]
    assert tasks[0].cancelled()


def test_an_engine_closes_twice_and_starts_again_when_used():
    engine, model = Engine(), Doubler()
    engine.close()
    for item in (1, 2):
        assert engine.run(engine.submit(model.double, [item])) == [2 * item]
        engine.close()
        engine.close()


def test_a_copied_engine_is_the_same_engine():
    engine = Engine()
    assert copy.deepcopy([engine])[0] is engine


def test_a_batch_holds_at_least_one():
    with pytest.raises(ValueError, match="max_batch must be >= 1, got 0"):
        Engine(max_batch=0)
