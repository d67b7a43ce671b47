import asyncio

import pytest

from alphallm_env.envs.rewarding import OptionRewards, RewardRequest
from alphallm_env.mdp.rewards import CriticsReward, Reward
from alphallm_env.types import Ending, Option, Problem, State

PROBLEM = Problem("p/one", "How much is 2 + 3?", "5")
START = State(PROBLEM.id, PROBLEM.question)
FIRST, SECOND = (START.child(Option(text, 2), None) for text in ("a\n", "b\n"))
ANSWERED = START.child(Option("#### 5\n", 2), Ending.ANSWERED)


class Scores:
    """Stands for a simulator: scores that differ with every call, and a record of what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, list[State]]] = []

    async def score(self, critic, states):
        if states:
            self.asked.append((critic, list(states)))
        return [len(self.asked) / 4 + index / 8 for index, _ in enumerate(states)]


@pytest.fixture
def rewards():
    return OptionRewards(CriticsReward(), {PROBLEM.id: PROBLEM})


def test_each_critic_is_asked_once_for_all_states_and_never_twice(rewards):
    scores, requests = Scores(), [RewardRequest(state) for state in (FIRST, ANSWERED, SECOND)]
    found = asyncio.run(rewards.ask(scores, requests))
    assert scores.asked == [("orm", [ANSWERED]), ("prm", [FIRST, SECOND])]
    assert found == [Reward(prm=0.5), Reward(orm=0.25), Reward(prm=0.625)]
    assert asyncio.run(rewards.ask(scores, requests)) == found
    assert len(scores.asked) == 2
    assert (rewards.cached(SECOND), rewards.cached(START)) == (Reward(prm=0.625), None)
    rewards.clear()
    assert rewards.cached(SECOND) is None


def test_scores_that_are_there_are_not_asked_for(rewards):
    there = RewardRequest(FIRST, {"prm": 0.5, "value": 0.75})
    assert rewards.missing(there) == []
    assert rewards.compute(there) == Reward(prm=0.5)
    assert rewards.missing(RewardRequest(FIRST)) == ["prm"]
    assert rewards.missing(RewardRequest(ANSWERED, {"prm": 0.5})) == ["orm"]


def test_the_first_reward_of_a_state_stays(rewards):
    assert rewards.compute(RewardRequest(FIRST, {"prm": 0.5})) == Reward(prm=0.5)
    assert rewards.compute(RewardRequest(FIRST, {"prm": 0.25})) == Reward(prm=0.5)


def test_a_critic_that_was_not_declared_is_named():
    class Sly(CriticsReward):
        def critics_for(self, state):
            return ("prm", "value")

    rewards = OptionRewards(Sly(), {PROBLEM.id: PROBLEM})
    with pytest.raises(ValueError, match=r"some of \('orm', 'prm'\), got \['value'\]"):
        rewards.missing(RewardRequest(FIRST))
