"""Attention by position: which keys a query may see, where a sliding window hides those that are too far back.

In a batch, texts are padded on the left, stand behind cached prefixes of other lengths, or share rows of a cache whose
rows differ in length. The distance of two columns is then not the distance of two tokens, by which `transformers` would
cut a window. Here every window is cut by the tokens' positions in their own text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers.cache_utils import DynamicCache

from alphallm_env.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_FULL, _SLIDING = "full_attention", "sliding_attention"
Mask = torch.Tensor | dict[str, torch.Tensor]


def layer_kinds(model: PreTrainedModel) -> set[str]:
    """Returns the kinds of attention that a model's layers have, as its configuration names them."""
    config: Any = model.config.get_text_config()
    named = getattr(config, "layer_types", None)
    if named:
        return set(named)
    return {_SLIDING if getattr(config, "sliding_window", None) else _FULL}


def window_of(model: PreTrainedModel) -> int | None:
    """Returns how many tokens a sliding window holds, the query's own included; None where no layer has one."""
    window = getattr(model.config.get_text_config(), "sliding_window", None)
    return int(window) if window and _SLIDING in layer_kinds(model) else None


class WindowMasks:
    """Makes the attention masks of a model with sliding windows, in the form that its forward pass takes."""

    def __init__(self, model: PreTrainedModel) -> None:
        window = window_of(model)
        if window is None:
            raise ValueError(f"expected a model with sliding windows, got {type(model).__name__} without")
        self._window = window
        self._kinds = layer_kinds(model)
        self._model = model
        self._takes_kinds = self._finds_masks_by_kind()
        if len(self._kinds) > 1 and not self._takes_kinds:
            raise ModelError(
                f"expected a model that takes an attention mask for each of {', '.join(sorted(self._kinds))}, "
                f"got {type(model).__name__}, which takes one for all layers"
            )

    def __call__(self, seen: torch.Tensor, queries: torch.Tensor, keys: torch.Tensor) -> Mask:
        """Returns the mask that hides what a query may not see.

        `seen` [rows, queries, keys] is True where the key is a token of the row's text. `queries` [rows, queries] and
        `keys` [rows, keys] are the positions of the tokens in their texts.
        """
        distance = queries[:, :, None] - keys[:, None]
        before = seen & (distance >= 0)
        masks = {_FULL: before, _SLIDING: before & (distance < self._window)}
        if not self._takes_kinds:
            return self._bias(masks[next(iter(self._kinds))])
        return {kind: self._bias(masks[kind]) for kind in self._kinds}

    def _bias(self, seen: torch.Tensor) -> torch.Tensor:
        """Returns the bias of attention scores [rows, 1, queries, keys]: 0 where `seen`, the least number elsewhere."""
        dtype = self._model.dtype
        bias = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
        return bias.masked_fill_(~seen, torch.finfo(dtype).min)[:, None]

    @torch.inference_mode()
    def _finds_masks_by_kind(self) -> bool:
        """Returns whether the forward pass takes a mask for each kind of layer: by trying it on one token."""
        one = torch.zeros(1, 1, dtype=torch.long, device=self._model.device)
        mask = torch.zeros(1, 1, 1, 1, dtype=self._model.dtype, device=self._model.device)
        try:
            self._model.base_model(
                input_ids=one,
                attention_mask=dict.fromkeys(self._kinds, mask),
                position_ids=one,
                past_key_values=DynamicCache(),
            )
        except (AttributeError, TypeError, ValueError, RuntimeError, KeyError, IndexError):
            return False
        return True
