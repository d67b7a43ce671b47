"""A value function without training: Monte-Carlo returns of rollouts, judged by the ORM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from alphallm_env.critics.base import CompositeCritic, Critic, checked_scores
from alphallm_env.critics.provenance import Provenance, model_provenance, provenance_of
from alphallm_env.grading import extract_answer
from alphallm_env.lm.policy import Policy
from alphallm_env.mdp.discounting import discount_between
from alphallm_env.mdp.dynamics import Rules
from alphallm_env.runtime.concurrency import gather
from alphallm_env.types import State


class Rollouts(Protocol):
    """Completes solutions by rollouts, as a simulator does."""

    @property
    def rules(self) -> Rules:
        """The rules of an episode, with its discount."""
        ...

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
    """v(s): the mean return of `num_rollouts` rollouts from s, for use where no value function was trained.

    The return of a rollout is the ORM's score, discounted by the options or tokens from s to its end. One that states
    no answer returns 0, and the ORM is not asked about it. The rollouts' tokens count as rollout tokens, the ORM's as
    critic tokens.
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
        """Returns the mean return in [0, 1] over the rollouts of each state; the ORM's score of an ended one."""
        return await gather(map(self._value, states))

    async def _value(self, state: State) -> float:
        ends = [state]
        if state.ending is None:
            ends = await self._simulator.rollouts(state, self._num_rollouts, self._seed)
        answered = [end for end in ends if extract_answer(end.text) is not None]
        scores = checked_scores(await self._orm.evaluate(answered), answered, self._orm.name) if answered else []
        discounts = [discount_between(state, end, self._simulator.rules) for end in answered]
        return sum(factor * score for factor, score in zip(discounts, scores, strict=True)) / len(ends)
