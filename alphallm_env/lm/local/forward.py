"""A model's forward passes: over texts behind their cached prefixes, and over one token of every text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

import torch

from alphallm_env.lm.local.attention import Mask, WindowMasks, window_of
from alphallm_env.lm.local.llama import LlamaStep, LlamaTrunk, is_llama_shaped

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from transformers.cache_utils import Cache

    from alphallm_env.lm.local.kv_cache import RowCache

_PACKED_PADDING = 0.1  # the cost of a padding token where only the attention computes it


class Trunk(Protocol):
    """Reads token `ids` [texts, tokens] at the positions `places` [texts, tokens], padded on the left.

    `mask` [texts, positions] is 1 where there is a token: first those in the cache, then `ids`. Keys and values of
    `ids` are added to the cache. The output at padding is arbitrary.
    """

    def hidden(
        self, ids: torch.Tensor, mask: torch.Tensor, places: torch.Tensor, cache: Cache, after: Sequence[int] = ()
    ) -> torch.Tensor:
        """Returns the last hidden states [texts, tokens, width].

        With `after`, rising numbers of layers from 1 on, those after each of these layers, concatenated
        [texts, tokens, layers · width]; those after the last layer are normalised.
        """
        ...

    def logits(
        self, ids: torch.Tensor, mask: torch.Tensor, places: torch.Tensor, cache: Cache, num_kept: int = 0
    ) -> torch.Tensor:
        """Returns the logits [texts, tokens, vocabulary]; only of the last `num_kept` tokens if that is not 0."""
        ...


@dataclass(frozen=True)
class Forward:
    """A forward pass to one kind of output of a model."""

    run: Callable[[torch.Tensor, torch.Tensor, torch.Tensor, Cache], torch.Tensor]  # takes what `Trunk` takes
    model: PreTrainedModel
    padding_cost: float  # of a padding token, where others cost 1

    @property
    def device(self) -> torch.device:
        """The model's device."""
        return self.model.device


class Passes:
    """The forward passes of a model, each in its fastest implementation."""

    def __init__(self, model: PreTrainedModel) -> None:
        is_packed = is_llama_shaped(model)
        trunk: Trunk = LlamaTrunk(model) if is_packed else ModuleTrunk(model)
        padding_cost = _PACKED_PADDING if is_packed else 1.0
        self._of_trunk = partial(Forward, model=model, padding_cost=padding_cost)
        self._trunk = trunk
        self.hidden = self._of_trunk(trunk.hidden)  # [texts, tokens, width]
        self.logits = self._of_trunk(trunk.logits)  # [texts, tokens, vocabulary]
        self.last_logits = self._of_trunk(partial(trunk.logits, num_kept=1))  # [texts, 1, vocabulary]

    def hidden_after(self, layers: Sequence[int]) -> Forward:
        """Returns the pass to the hidden states after these layers, [texts, tokens, layers · width]."""
        return self._of_trunk(partial(self._trunk.hidden, after=tuple(layers)))


class ModuleTrunk:
    """Reads texts by the forward pass that `transformers` has for the model."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        self._windows = None if window_of(model) is None else WindowMasks(model)

    def _mask(self, mask: torch.Tensor, places: torch.Tensor) -> torch.Tensor | Mask:
        """Returns what the forward pass takes as its mask: windows are cut here, by position."""
        if self._windows is None:
            return mask
        keys = (mask.cumsum(-1) - 1).clamp(min=0)
        return self._windows(mask[:, None].bool().expand(-1, places.shape[1], -1), places, keys)

    def hidden(
        self, ids: torch.Tensor, mask: torch.Tensor, places: torch.Tensor, cache: Cache, after: Sequence[int] = ()
    ) -> torch.Tensor:
        """See `Trunk`."""
        trunk = self._model.base_model
        output = trunk(
            input_ids=ids,
            attention_mask=self._mask(mask, places),
            position_ids=places,
            past_key_values=cache,
            output_hidden_states=bool(after),
        )
        if not after:
            return output.last_hidden_state
        return torch.cat([output.hidden_states[number] for number in after], dim=-1)

    def logits(
        self, ids: torch.Tensor, mask: torch.Tensor, places: torch.Tensor, cache: Cache, num_kept: int = 0
    ) -> torch.Tensor:
        """See `Trunk`."""
        return self._model(
            input_ids=ids,
            attention_mask=self._mask(mask, places),
            position_ids=places,
            past_key_values=cache,
            logits_to_keep=num_kept,
        ).logits


class Step(Protocol):
    """Reads one token of every row of the batch."""

    def __call__(self, ids: torch.Tensor, places: torch.Tensor, mask: torch.Tensor, cache: RowCache) -> torch.Tensor:
        """Returns the logits [rows, vocabulary] after the tokens `ids` [rows] at the positions `places` [rows].

        `mask` [rows, positions] is True at the row's own tokens in the cache, the new one included. Keys and values of
        the new tokens are added to the cache.
        """
        ...


def step_of(model: PreTrainedModel) -> Step:
    """Returns the fastest step for a model."""
    return LlamaStep(model) if is_llama_shaped(model) else ModuleStep(model)


class ModuleStep:
    """Reads one token a row by the forward pass that `transformers` has for the model."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        self._windows = None if window_of(model) is None else WindowMasks(model)

    def __call__(self, ids: torch.Tensor, places: torch.Tensor, mask: torch.Tensor, cache: RowCache) -> torch.Tensor:
        """See `Step`."""
        queries = places[:, None]
        if self._windows is None:
            seen: torch.Tensor | Mask = mask.long()
        else:  # a row's tokens stand in the columns of their positions
            columns = torch.arange(mask.shape[1], device=mask.device)[None].expand(len(mask), -1)
            seen = self._windows(mask[:, None], queries, columns)
        return self._model(
            input_ids=ids[:, None], attention_mask=seen, position_ids=queries, past_key_values=cache
        ).logits[:, -1]
