import asyncio
import copy
import threading
import time
from collections.abc import Sequence

import pytest

from alphallm_env.engine import Engine


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


@pytest.fixture
def engine():
    with Engine() as started:
        yield started


async def together(*work):
    return await asyncio.gather(*work, return_exceptions=True)


def test_coroutines_share_a_batch_and_each_gets_its_own_in_order(engine):
    model = Doubler()
    work = [engine.submit(model.double, items) for items in ([1, 2], [3], [4, 5, 6])]
    assert engine.run(together(*work)) == [[2, 4], [6], [8, 10, 12]]
    assert model.batches == [[1, 2, 3, 4, 5, 6]]
    assert (engine.statistics.batches, engine.statistics.items) == (1, 6)


def test_a_backend_that_batches_by_itself_is_awaited_by_each_search(engine):
    model = SelfBatching()
    work = [engine.submit(model.double, items) for items in ([1, 2], [-1], [3])]
    first, failed, last = engine.run(together(*work))
    assert (first, last) == ([2, 4], [6])
    assert isinstance(failed, ArithmeticError)
    assert sorted(model.batches) == [[-1], [1, 2], [3]]
    assert engine.statistics.batches == 0


def test_searches_of_different_length_stay_together_while_they_last(engine):
    async def search(steps: int) -> int:
        value = 1
        for _ in range(steps):
            [value] = await engine.submit(model.double, [value])
        return value

    model = Doubler()
    assert engine.run(together(search(1), search(3), search(2))) == [2, 8, 4]
    assert [len(batch) for batch in model.batches] == [3, 2, 1]


def test_different_functions_have_different_batches(engine):
    one, other = Doubler(), Doubler()
    engine.run(together(engine.submit(one.double, [1]), engine.submit(other.double, [2])))
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
    first, second, third = engine.run(together(*work))
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
