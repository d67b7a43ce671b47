"""One decoding step: the next token's logits for every row of a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from alphallm_env.lm.local.llama import LlamaStep, is_llama_shaped

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from alphallm_env.lm.local.kv_cache import RowCache


class Step(Protocol):
    """Reads one token a row."""

    def __call__(self, ids: torch.Tensor, places: torch.Tensor, mask: torch.Tensor, cache: RowCache) -> torch.Tensor:
        """Returns the logits [rows, vocabulary] after the tokens `ids` [rows] at the positions `places` [rows].

        `mask` [rows, positions] is True where the cache, those tokens included, holds the row's own text. Keys and
        values of the tokens are added to the cache.
        """
        ...


def step_of(model: PreTrainedModel) -> Step:
    """Returns the fastest step there is for a model."""
    return LlamaStep(model) if is_llama_shaped(model) else ModuleStep(model)


class ModuleStep:
    """The model's own forward pass."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model

    def __call__(self, ids: torch.Tensor, places: torch.Tensor, mask: torch.Tensor, cache: RowCache) -> torch.Tensor:
        """Returns what `Step` says."""
        return self._model(
            input_ids=ids[:, None],
            attention_mask=mask.long(),
            position_ids=places[:, None],
            past_key_values=cache,
        ).logits[:, -1]
