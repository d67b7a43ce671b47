"""A model's forward passes: over whole texts behind their cached prefixes, and one decoding step of every text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

import torch

from alphallm_env.lm.local.llama import LlamaStep, LlamaTrunk, is_llama_shaped

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from transformers.cache_utils import Cache

    from alphallm_env.lm.local.kv_cache import RowCache

_PACKED_PADDING = 0.1  # what padding costs where only the attention computes it


class Trunk(Protocol):
    """Reads token `ids` [texts, tokens] at the positions `places` [texts, tokens], padded on the left.

    `mask` [texts, positions] is 1 where there is a token, in what the cache holds and then in `ids`. Keys and values
    of what is read are added to the cache. The output at padding is of no use.
    """

    def hidden(
        self, ids: torch.Tensor, mask: torch.Tensor, places: torch.Tensor, cache: Cache, after: Sequence[int] = ()
    ) -> torch.Tensor:
        """Returns the last hidden states [texts, tokens, width].

        With `after`, numbers of layers from 1 on that rise, those after each of them, side by side
        [texts, tokens, layers · width]; after the last layer they are normalised.
        """
        ...

    def logits(
        self, ids: torch.Tensor, mask: torch.Tensor, places: torch.Tensor, cache: Cache, num_kept: int = 0
    ) -> torch.Tensor:
        """Returns the logits [texts, tokens, vocabulary], of the last `num_kept` tokens alone if that is not 0."""
        ...


@dataclass(frozen=True)
class Forward:
    """One kind of output of a model."""

    run: Callable[[torch.Tensor, torch.Tensor, torch.Tensor, Cache], torch.Tensor]  # takes what `Trunk` takes
    model: PreTrainedModel
    padding_cost: float  # of a token that pads, where one that does not costs 1

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.device


class Passes:
    """The forward passes of a model, the fastest that there are for it."""

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
        """Returns the pass to the hidden states after some layers, [texts, tokens, layers · width]."""
        return self._of_trunk(partial(self._trunk.hidden, after=tuple(layers)))


class ModuleTrunk:
    """The model's own forward pass."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model

    def hidden(
        self, ids: torch.Tensor, mask: torch.Tensor, places: torch.Tensor, cache: Cache, after: Sequence[int] = ()
    ) -> torch.Tensor:
        """Returns what `Trunk` says."""
        trunk = self._model.base_model
        output = trunk(
            input_ids=ids,
            attention_mask=mask,
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
        """Returns what `Trunk` says."""
        return self._model(
            input_ids=ids, attention_mask=mask, position_ids=places, past_key_values=cache, logits_to_keep=num_kept
        ).logits


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
