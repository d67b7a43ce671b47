"""The learned value function: a scalar head on a language model, which may serve PRM and ORM too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from alphallm_env.critics.base import CompositeCritic
from alphallm_env.critics.provenance import Provenance, model_provenance
from alphallm_env.critics.trained.notes import NoteTaker, notes_on
from alphallm_env.errors import ModelError
from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.lm.prompts import PromptTemplate
from alphallm_env.runtime.counting import count_scored
from alphallm_env.runtime.engine import Engine
from alphallm_env.runtime.metering import Role
from alphallm_env.types import State

HEAD_FILE = "value_head.safetensors"


@dataclass(frozen=True, slots=True)
class Estimate:
    """One value in [0, 1], the tokens of its prompt, and those of them that were cached."""

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
        count_scored(self._model, prompts, estimates)
        return [estimate.value for estimate in estimates]


def save_head(folder: Path, weight: torch.Tensor, bias: torch.Tensor) -> None:
    """Writes the scalar head beside a model's weights."""
    save_file({"weight": weight.contiguous(), "bias": bias.contiguous()}, folder / HEAD_FILE)


class CriticModel(TransformersLM):
    """A causal LM with a scalar head on its last hidden state; the value is the head's sigmoid."""

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str, head: torch.nn.Linear
    ) -> None:
        super().__init__(model, tokenizer, name)
        self.head = head.to(model.device).eval()

    @classmethod
    def load_with_head(cls, folder: str | Path, device: str = "auto", dtype: str = "auto") -> CriticModel:
        """Returns the model in a folder that `experiments.train_critics` wrote. Raises ModelError if there is none."""
        path = Path(folder) / HEAD_FILE
        if not path.is_file():
            raise ModelError(f"expected a critic's scalar head at {path}, found none")
        lm = TransformersLM.load(folder, device, dtype)
        weights = load_file(path)
        head = torch.nn.Linear(weights["weight"].shape[1], 1)
        head.load_state_dict(weights)
        return cls(lm.model, lm.tokenizer, lm.name, head)

    @torch.inference_mode()
    def values(self, prompts: Sequence[str]) -> list[Estimate]:
        """Returns the head's value in [0, 1] at the last token of each prompt."""
        encoded = self.vocabulary.encode(prompts)
        if not encoded:
            return []
        hidden, saved = self.outputs(self.passes.hidden, encoded)
        values = self.head(hidden.to(self.model.device)).sigmoid()[:, 0].tolist()
        return [Estimate(value, len(text), n) for value, text, n in zip(values, encoded, saved, strict=True)]
