"""Value functions: a scalar head on a language model, and Monte-Carlo returns of rollouts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from alphallm_env.critics.provenance import Provenance, model_revision, prompt_version, provenance_of
from alphallm_env.critics.trained.notes import NoteTaker, notes_on
from alphallm_env.lm.base import clear_caches, is_reproducible
from alphallm_env.lm.prompts import PromptTemplate
from alphallm_env.runtime.engine import Engine
from alphallm_env.runtime.metering import Role, count_scored
from alphallm_env.types import State

if TYPE_CHECKING:
    import torch

    from alphallm_env.simulator import Simulator

HEAD_FILE = "value_head.safetensors"


@dataclass(frozen=True, slots=True)
class Estimate:
    """One value in [0, 1], the tokens that it stands behind, and those of them that were known and not computed."""

    value: float
    num_tokens: int
    saved_tokens: int = 0


class ValueModel(Protocol):
    """A model that scores prompts with its scalar head."""

    def values(self, prompts: Sequence[str]) -> list[Estimate]:
        """Returns one estimate per prompt, in order."""
        ...


class LearnedValue:
    """v(s): the scalar head's estimate of the final correctness, at the state's last token. PAPER §3."""

    name = "value"

    def __init__(
        self, model: ValueModel, template: PromptTemplate, engine: Engine, notes: NoteTaker | None = None
    ) -> None:
        self._model = model
        self._template = template
        self._engine = engine
        self._notes = notes

    @property
    def is_reproducible(self) -> bool:
        """Whether a value does not depend on what is judged beside it."""
        return is_reproducible(self._model)

    @property
    def provenance(self) -> Provenance:
        """The model with the head, the wording of its prompts, and the reader of the notes."""
        return Provenance(
            self.name, getattr(self._model, "name", None), model_revision(self._model), prompt_version(self._template),
            parts=() if self._notes is None else (self._notes.provenance,),
        )  # fmt: skip

    def clear_cache(self) -> None:
        """Drops prefixes and notes."""
        clear_caches(self._model, self._notes)

    async def evaluate(self, states: Sequence[State]) -> list[float]:
        """Returns the expected final correctness in [0, 1] of each state."""
        notes = await notes_on(self._notes, states)
        prompts = [
            self._template.judge_state(state.question, state.text, noted)
            for state, noted in zip(states, notes, strict=True)
        ]
        estimates = await self._engine.submit(self._model.values, prompts, role=Role.CRITIC)
        count_scored(estimates)
        return [estimate.value for estimate in estimates]


class MonteCarloValue:
    """v(s) where no value function was trained: the mean ORM score of a few rollouts from s.

    The rollouts' tokens count as rollout tokens, the ORM's as critic tokens.
    """

    name = "monte_carlo_value"

    def __init__(self, simulator: Simulator, num_rollouts: int = 2, seed: int = 0) -> None:
        if num_rollouts < 1:
            raise ValueError(f"num_rollouts must be >= 1, got {num_rollouts}")
        self._simulator = simulator
        self._num_rollouts = num_rollouts
        self._seed = seed

    @property
    def is_reproducible(self) -> bool:
        """Whether the policy that rolls out and the ORM that judges are."""
        return self._simulator.is_reproducible

    @property
    def provenance(self) -> Provenance:
        """The policy that rolls out, and the ORM that judges where that ends."""
        lm = (self._simulator.rollout_policy or self._simulator.policy).lm
        orm = provenance_of(self._simulator.critics.require("orm"))
        return Provenance(self.name, lm.name, model_revision(lm), aggregation="mean", parts=(orm,))

    async def evaluate(self, states: Sequence[State]) -> list[float]:
        """Returns the mean ORM score in [0, 1] over the rollouts of each state."""
        return list(await asyncio.gather(*map(self._value, states)))

    async def _value(self, state: State) -> float:
        if state.ending is not None:
            return (await self._simulator.score("orm", [state]))[0]
        ends = await self._simulator.rollouts(state, self._num_rollouts, self._seed)
        scores = await self._simulator.score("orm", ends)
        return sum(scores) / len(scores)


def save_head(folder: Path, weight: torch.Tensor, bias: torch.Tensor) -> None:
    """Writes the scalar head beside a model's weights."""
    from safetensors.torch import save_file

    save_file({"weight": weight.contiguous(), "bias": bias.contiguous()}, folder / HEAD_FILE)
