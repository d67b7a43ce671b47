"""The value by rollouts: the mean of the ORM's scores, and what a failure leaves behind."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from alphallm_env.critics.monte_carlo import MonteCarloValue
from alphallm_env.errors import CriticError
from alphallm_env.lm.policy import Policy
from alphallm_env.lm.prompts import FewShotTemplate
from alphallm_env.testing.scripted import ScriptedLM
from alphallm_env.types import State


class Rolling:
    """Rollouts that end in the states `a` and `b`; one from `slow` never ends, one from `broken` raises."""

    policy = Policy(ScriptedLM({}), FewShotTemplate())
    rollout_policy = None
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
        return [State("a", state.question), State("b", state.question)][:num]


class OneInFour:
    name = "orm"

    async def evaluate(self, states: Sequence[State]) -> list[float]:
        return [1.0 if state.problem_id == "a" else 0.25 for state in states]


def test_the_value_is_the_mean_score_of_the_rollouts() -> None:
    value = MonteCarloValue(Rolling(), OneInFour())
    states = [State("p", "q"), State("r", "q")]
    assert asyncio.run(value.evaluate(states)) == [0.625, 0.625]  # (1 + 0.25) / 2


def test_a_rollout_that_fails_cancels_those_of_the_other_states() -> None:
    simulator = Rolling()

    async def cancelled_by_then() -> bool:
        with pytest.raises(CriticError, match="no rollout"):
            await MonteCarloValue(simulator, OneInFour()).evaluate([State("slow", "q"), State("broken", "q")])
        return simulator.was_cancelled

    assert asyncio.run(cancelled_by_then())
