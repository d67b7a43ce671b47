"""The learned value function: a scalar head on a language model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from alphallm_env.critics.base import CompositeCritic
from alphallm_env.critics.provenance import Provenance, model_provenance
from alphallm_env.critics.trained.notes import NoteTaker, notes_on
from alphallm_env.lm.prompts import PromptTemplate
from alphallm_env.runtime.engine import Engine
from alphallm_env.runtime.metering import Role, count_scored
from alphallm_env.types import State

if TYPE_CHECKING:
    import torch

HEAD_FILE = "value_head.safetensors"


@dataclass(frozen=True, slots=True)
class Estimate:
    """One value in [0, 1], the length of its prompt in tokens, and how many of them were in the prefix cache."""

    value: float
    num_tokens: int
    saved_tokens: int = 0


class ValueModel(Protocol):
    """A model that scores prompts with its scalar head."""

    @property
    def name(self) -> str:
        """Folder or hub name."""
        ...

    def values(self, prompts: Sequence[str]) -> list[Estimate]:
        """Returns one estimate per prompt, in order."""
        ...


class LearnedValue(CompositeCritic):
    """v(s): the scalar head's estimate of the final correctness, at the state's last token. PAPER §3."""

    name = "value"

    def __init__(
        self, model: ValueModel, template: PromptTemplate, engine: Engine, notes: NoteTaker | None = None
    ) -> None:
        super().__init__(model, notes)
        self._model = model
        self._template = template
        self._engine = engine
        self._notes = notes

    @property
    def provenance(self) -> Provenance:
        """The model with the head, the wording of its prompts, and the reader of the notes."""
        parts = () if self._notes is None else (self._notes.provenance,)
        return model_provenance(self.name, self._model, self._template, parts=parts)

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


def save_head(folder: Path, weight: torch.Tensor, bias: torch.Tensor) -> None:
    """Writes the scalar head beside a model's weights."""
    from safetensors.torch import save_file

    save_file({"weight": weight.contiguous(), "bias": bias.contiguous()}, folder / HEAD_FILE)
