"""The value by rollouts: the mean of the ORM's scores, and what a failure leaves behind."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from alphallm_env.critics.monte_carlo import MonteCarloValue
from alphallm_env.errors import CriticError
from alphallm_env.lm.policy import Policy
from alphallm_env.lm.prompts import FewShotTemplate
from alphallm_env.mdp.dynamics import Rules, transition
from alphallm_env.testing.scripted import ScriptedLM
from alphallm_env.types import Ending, Option, State, StopReason


class Rolling:
    """Rollouts that answer 4, or 5 after a line; from `slow` none ever ends, from `broken` they raise."""

    policy = Policy(ScriptedLM({}), FewShotTemplate())
    rollout_policy = None
    rules = Rules(gamma=0.5)
    ends = ("#### 4\n", "2 + 3 = 5\n#### 5\n")
    was_cancelled = False

    async def rollouts(self, state: State, num: int, seed: int) -> list[State]:
        if state.problem_id == "broken":
            await asyncio.sleep(0)
            raise CriticError("no rollout")
        if state.problem_id == "slow":
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                self.was_cancelled = True
                raise
        options = [Option(text, 3, None, StopReason.END_OF_TEXT) for text in self.ends]
        return [transition(state, option, self.rules).state for option in options][:num]


class OneInFour:
    """Scores the answer 4 with 1, all others with a quarter."""

    name = "orm"

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def evaluate(self, states: Sequence[State]) -> list[float]:
        self.asked += [state.text for state in states]
        return [1.0 if "#### 4" in state.text else 0.25 for state in states]


def test_the_value_is_the_mean_return_of_the_rollouts() -> None:
    value = MonteCarloValue(Rolling(), OneInFour())
    states = [State("p", "q"), State("r", "q")]
    # One option to the answer 4, two lines to the answer 5: (0.5 · 1 + 0.5² · 0.25) / 2.
    assert asyncio.run(value.evaluate(states)) == [0.28125, 0.28125]


def test_rollouts_are_discounted_by_tokens_where_episodes_are() -> None:
    simulator = Rolling()
    simulator.rules = Rules(gamma=0.5, discount_per_token=True)
    value = MonteCarloValue(simulator, OneInFour())
    assert asyncio.run(value.evaluate([State("p", "q")])) == [0.5**3 * (1 + 0.25) / 2]  # three tokens each


def test_a_text_without_an_answer_is_worth_nothing_and_costs_nothing() -> None:
    simulator, orm = Rolling(), OneInFour()
    simulator.ends = ("#### 4\n", "I give up.")
    value = MonteCarloValue(simulator, orm)
    start = State("p", "q")
    dead_end = start.child(Option("That is all.", 3, None, StopReason.END_OF_TEXT), Ending.DEAD_END)
    assert asyncio.run(value.evaluate([start, dead_end])) == [0.25, 0.0]  # (0.5 · 1 + 0) / 2
    assert orm.asked == ["#### 4\n"]
    answered = start.child(Option("#### 4\n", 3), Ending.ANSWERED)
    assert asyncio.run(value.evaluate([answered])) == [1.0]  # it has ended: nothing to discount


def test_a_rollout_that_fails_cancels_those_of_the_other_states() -> None:
    simulator = Rolling()

    async def cancelled_by_then() -> bool:
        with pytest.raises(CriticError, match="no rollout"):
            await MonteCarloValue(simulator, OneInFour()).evaluate([State("slow", "q"), State("broken", "q")])
        return simulator.was_cancelled

    assert asyncio.run(cancelled_by_then())
