"""A value function without training: Monte-Carlo returns of rollouts, judged by the ORM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from alphallm_env.critics.base import CompositeCritic, Critic, checked_scores
from alphallm_env.critics.provenance import Provenance, model_provenance, provenance_of
from alphallm_env.lm.policy import Policy
from alphallm_env.runtime.concurrency import gather
from alphallm_env.types import State


class Rollouts(Protocol):
    """Completes solutions by rollouts, as a simulator does."""

    @property
    def policy(self) -> Policy:
        """The policy that proposes options."""
        ...

    @property
    def rollout_policy(self) -> Policy | None:
        """The policy that rolls out; None where `policy` does."""
        ...

    async def rollouts(self, state: State, num: int, seed: int) -> list[State]:
        """Returns `num` ended states reached from a running one, the same for the same seed."""
        ...


class MonteCarloValue(CompositeCritic):
    """v(s): the mean ORM score of `num_rollouts` rollouts from s, for use where no value function was trained.

    The rollouts' tokens count as rollout tokens, the ORM's as critic tokens.
    """

    name = "monte_carlo_value"

    def __init__(self, simulator: Rollouts, orm: Critic, num_rollouts: int = 2, seed: int = 0) -> None:
        if num_rollouts < 1:
            raise ValueError(f"num_rollouts must be >= 1, got {num_rollouts}")
        self._lm = (simulator.rollout_policy or simulator.policy).lm
        super().__init__(self._lm, orm)
        self._simulator = simulator
        self._orm = orm
        self._num_rollouts = num_rollouts
        self._seed = seed

    @property
    def provenance(self) -> Provenance:
        """The model that rolls out, and the ORM that judges the rollouts."""
        return model_provenance(self.name, self._lm, aggregation="mean", parts=(provenance_of(self._orm),))

    async def evaluate(self, states: Sequence[State]) -> list[float]:
        """Returns the mean ORM score in [0, 1] over the rollouts of each state; the ORM's score of an ended one."""
        return await gather(map(self._value, states))

    async def _value(self, state: State) -> float:
        if state.ending is not None:
            return (await self._score([state]))[0]
        scores = await self._score(await self._simulator.rollouts(state, self._num_rollouts, self._seed))
        return sum(scores) / len(scores)

    async def _score(self, states: Sequence[State]) -> list[float]:
        return checked_scores(await self._orm.evaluate(states), states, self._orm.name)
