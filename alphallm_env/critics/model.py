"""One language model that is PRM, ORM and value function at once: a shared trunk and a scalar head."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.cache_utils import DynamicCache

from alphallm_env.critics.calibration import PlattScaling
from alphallm_env.critics.value import HEAD_FILE, Estimate
from alphallm_env.errors import ModelError
from alphallm_env.lm.transformers_lm import TransformersLM

CALIBRATION_FILE = "calibration.json"


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
        hidden, saved = self.outputs(self._last_hidden, encoded)
        values = self.head(hidden.to(self.model.device)).sigmoid()[:, 0].tolist()
        return [Estimate(value, len(text), n) for value, text, n in zip(values, encoded, saved, strict=True)]

    def _last_hidden(
        self, ids: torch.Tensor, mask: torch.Tensor, places: torch.Tensor, cache: DynamicCache
    ) -> torch.Tensor:
        output = self.model.base_model(input_ids=ids, attention_mask=mask, position_ids=places, past_key_values=cache)
        return output.last_hidden_state


def save_calibration(folder: Path, scalings: dict[str, PlattScaling]) -> None:
    """Writes the scalings of the critics called value, prm and orm beside their model."""
    text = json.dumps({name: asdict(scaling) for name, scaling in scalings.items()}, indent=2)
    (folder / CALIBRATION_FILE).write_text(text + "\n")


def load_calibration(folder: Path) -> dict[str, PlattScaling]:
    """Returns the scalings that `save_calibration` wrote."""
    path = folder / CALIBRATION_FILE
    if not path.is_file():
        raise ModelError(f"expected the critics' calibration at {path}, found none")
    return {name: PlattScaling(**values) for name, values in json.loads(path.read_text()).items()}
