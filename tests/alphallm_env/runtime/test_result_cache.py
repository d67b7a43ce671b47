import asyncio
import pickle

import pytest

from alphallm_env.runtime.metering import Meter, Usage, current_meter, metering
from alphallm_env.runtime.result_cache import ResultCache


class Counting:
    """Answers with how often it was asked, and charges a token for each question."""

    def __init__(self):
        self.asked = []

    async def ask(self, keys):
        self.asked.append(keys)
        current_meter().add(Usage(critic_tokens=len(keys)))
        return [len(self.asked)] * len(keys)


def find(cache, keys, source):
    return asyncio.run(cache.get_or_compute(keys, source.ask))


def test_what_was_asked_is_not_asked_again():
    cache, source = ResultCache(), Counting()
    assert find(cache, ["a", "b", "a"], source) == [1, 1, 1]
    assert find(cache, ["c", "a"], source) == [2, 1]
    assert find(cache, ["c"], source) == [2]
    assert source.asked == [["a", "b"], ["c"]]
    assert (cache.get("c"), cache.get("d")) == (2, None)


def test_each_meter_pays_once_and_hears_what_the_first_heard():
    cache, source = ResultCache(), Counting()
    for _ in range(2):
        with metering(Meter()) as meter:
            assert find(cache, ["a"], source) == [1]
            assert find(cache, ["a"], source) == [1]
        assert meter.usage.critic_tokens == 1
    assert len(source.asked) == 2


def test_the_oldest_results_are_evicted():
    cache, source = ResultCache(max_size=2), Counting()
    assert find(cache, ["a", "b", "c"], source) == [1, 1, 1]
    assert len(cache) == 2
    assert cache.get("a") is None
    cache.clear()
    assert len(cache) == 0
    with pytest.raises(ValueError, match="max_size must be >= 1, got 0"):
        ResultCache(max_size=0)


def test_what_was_told_first_stays():
    cache = ResultCache()
    assert (cache.put("a", 1), cache.put("a", 2)) == (1, 1)


def test_a_pickled_cache_is_empty():
    cache = ResultCache(max_size=5)
    cache.put("a", 1)
    assert len(pickle.loads(pickle.dumps(cache))) == 0
