import asyncio
import pickle

import pytest

from alphallm_env.runtime.metering import Meter, Usage, current_meter, metering
from alphallm_env.runtime.result_cache import Memo


class Counting:
    """Answers with how often it was asked, and charges a token for each question."""

    def __init__(self):
        self.asked = []

    async def ask(self, keys):
        self.asked.append(keys)
        current_meter().add(Usage(critic_tokens=len(keys)))
        return [len(self.asked)] * len(keys)


def find(memo, keys, source):
    return asyncio.run(memo.find(keys, source.ask))


def test_what_was_asked_is_not_asked_again():
    memo, source = Memo(), Counting()
    assert find(memo, ["a", "b", "a"], source) == [1, 1, 1]
    assert find(memo, ["c", "a"], source) == [2, 1]
    assert find(memo, ["c"], source) == [2]
    assert source.asked == [["a", "b"], ["c"]]
    assert (memo.known("c"), memo.known("d")) == (2, None)


def test_each_meter_pays_once_and_hears_what_the_first_heard():
    memo, source = Memo(), Counting()
    for _ in range(2):
        with metering(Meter()) as meter:
            assert find(memo, ["a"], source) == [1]
            assert find(memo, ["a"], source) == [1]
        assert meter.usage.critic_tokens == 1
    assert len(source.asked) == 2


def test_the_oldest_facts_are_dropped():
    memo, source = Memo(most=2), Counting()
    assert find(memo, ["a", "b", "c"], source) == [1, 1, 1]
    assert len(memo) == 2
    assert memo.known("a") is None
    memo.forget()
    assert len(memo) == 0
    with pytest.raises(ValueError, match="most must be >= 1, got 0"):
        Memo(most=0)


def test_what_was_told_first_stays():
    memo = Memo()
    assert (memo.tell("a", 1), memo.tell("a", 2)) == (1, 1)


def test_a_pickled_memo_is_empty():
    memo = Memo(most=5)
    memo.tell("a", 1)
    assert len(pickle.loads(pickle.dumps(memo))) == 0
