"""One language model that is PRM, ORM and value function at once: a shared trunk and a scalar head."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from alphallm_env.critics.trained.value import HEAD_FILE, Estimate
from alphallm_env.errors import ModelError
from alphallm_env.lm.local.transformers_lm import TransformersLM


class CriticModel(TransformersLM):
    """A causal LM whose last hidden state also feeds a scalar head; the value is its sigmoid."""

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str, head: torch.nn.Linear
    ) -> None:
        super().__init__(model, tokenizer, name)
        self.head = head.to(model.device).eval()

    @classmethod
    def load_with_head(cls, folder: str | Path, device: str = "auto", dtype: str = "auto") -> CriticModel:
        """Returns the model in a folder that `experiments.train_critics` wrote. Raises ModelError if it is none."""
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
