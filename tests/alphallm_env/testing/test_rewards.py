"""The contract of reward functions passes what is right and names what is wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import count

import pytest

from alphallm_env.mdp.rewards import CORRECT, Reward, verdict_on
from alphallm_env.testing import check_reward
from alphallm_env.testing.rewards import states_to_reward
from alphallm_env.types import Ending


@dataclass(frozen=True)
class Judged:
    """The PRM's score of each option."""

    critics: tuple[str, ...] = ("prm",)
    needs_answers: bool = False

    def critics_for(self, state):
        return ("prm",)

    def reward(self, state, problem, scores):
        return Reward(prm=scores["prm"])


@dataclass(frozen=True)
class Graded:
    critics: tuple[str, ...] = ()
    needs_answers: bool = True

    def critics_for(self, state):
        return ()

    def reward(self, state, problem, scores):
        return Reward(verifier=float(verdict_on(state, problem) == CORRECT))


def test_the_states_are_of_every_kind():
    assert [state.ending for state in states_to_reward()] == [
        None, Ending.ANSWERED, Ending.ANSWERED, Ending.DEAD_END, Ending.OUT_OF_OPTIONS
    ]  # fmt: skip


@pytest.mark.parametrize("reward", [Judged(), Graded()])
def test_right_rewards_pass(reward):
    check_reward(reward)


class Unlisted(Judged):
    def critics_for(self, state):
        return ("orm",)


class Greedy(Judged):
    def reward(self, state, problem, scores):
        return Reward(prm=scores["prm"] + scores["orm"])


class Peeking(Judged):
    def reward(self, state, problem, scores):
        return Reward(prm=max(scores.values()))


@dataclass(frozen=True)
class Moody(Judged):
    calls: count = field(default_factory=count)

    def reward(self, state, problem, scores):
        return Reward(prm=next(self.calls) / 100)


class Endless(Judged):
    def reward(self, state, problem, scores):
        return Reward(prm=math.inf)


class Bare(Judged):
    def reward(self, state, problem, scores):
        return 0.5


@pytest.mark.parametrize(
    ("reward", "law"),
    [
        (Judged(critics=("judge",)), "critics must be of value, prm, orm"),
        (Unlisted(), "critics_for must name critics of"),
        (Greedy(), "must name every critic needed"),
        (Peeking(), "depend on the scores of"),
        (Moody(), "the same reward"),
        (Endless(), "must be finite"),
        (Bare(), "expected a Reward, got 0.5"),
    ],
)
def test_a_wrong_reward_is_named(reward, law):
    with pytest.raises(AssertionError, match=law):
        check_reward(reward)
