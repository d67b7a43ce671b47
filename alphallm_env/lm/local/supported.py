"""Which models can be read in batches behind cached prefixes: those that keep keys and values by position."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from alphallm_env.errors import ModelError
from alphallm_env.lm.local.attention import layer_kinds
from alphallm_env.lm.local.forward import Passes, step_of
from alphallm_env.lm.local.kv_cache import RowCache
from alphallm_env.lm.local.llama import is_llama_shaped
from alphallm_env.lm.local.prefill import prefill
from alphallm_env.lm.local.prefix_cache import PrefixCache

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_KINDS = frozenset({"full_attention", "sliding_attention"})
_PROBES = ((1, 2, 3, 4, 5), (4, 3, 5, 2, 1, 5, 4, 3))  # texts of two lengths, as they stand in one batch
_KNOWN = (4, 2)  # tokens of each whose keys and values are cached: between these and the new ones are gaps
_MOST_NATS = {torch.float32: 1e-3, torch.float64: 1e-3}  # elsewhere rounding alone makes more
_MOST_NATS_ROUNDED = 1.0


def require_supported(model: PreTrainedModel) -> None:
    """Raises ModelError for a model whose texts cannot be batched here, and says why.

    What its configuration names is looked at first. What it does not tell (positions that are counted by column, states
    that are no keys and values) is found by reading two short texts in a batch, token by token too, and each alone.
    """
    name = type(model).__name__
    if model.device.type == "meta":
        return  # without weights: another engine computes with them
    if others := layer_kinds(model) - _KINDS:
        raise ModelError(
            f"expected a model whose layers keep keys and values of every token, by {' or '.join(sorted(_KINDS))}, got "
            f"{name}, which has layers of {', '.join(sorted(others))}: its prefixes cannot be shared here"
        )
    if getattr(model, "_is_stateful", False):
        raise ModelError(
            f"expected a model that keeps keys and values of every token, got {name}, which keeps a state of its text: "
            "its prefixes cannot be shared here"
        )
    if is_llama_shaped(model):
        return
    try:
        difference = _difference(model)
    except (AttributeError, TypeError, ValueError, RuntimeError, KeyError, IndexError) as error:
        raise ModelError(
            f"expected a model that reads texts with cached keys and values, got {name}, which does not: {error}"
        ) from error
    if not difference <= _MOST_NATS.get(model.dtype, _MOST_NATS_ROUNDED):
        raise ModelError(
            f"expected a model whose texts do not depend on the rest of their batch, got {name}: beside a text of "
            f"another length its log-probabilities differ by {difference:.3g}; its attention counts positions in "
            "another way"
        )


@torch.inference_mode()
def _difference(model: PreTrainedModel) -> float:
    """Returns the largest difference, in nats, of what follows the probes in a batch from what follows each alone."""
    alone = [_last_log_probs(model(input_ids=_row(text, model), use_cache=False).logits) for text in _PROBES]
    prefixes, forward = PrefixCache(), Passes(model).last_logits
    prefill(forward, [text[:known] for text, known in zip(_PROBES, _KNOWN, strict=True)], [[], []], prefixes, 0)
    cached = [prefixes.lookup(text) for text in _PROBES]
    whole = prefill(forward, _PROBES, cached, prefixes, 0).output
    behind_prefixes = [_last_log_probs(row[None]) for row in whole]
    token_by_token = _stepped(model, prefixes, cached)
    return max(
        float((one - other).abs().max())
        for found in (behind_prefixes, token_by_token)
        for one, other in zip(alone, found, strict=True)
    )


def _stepped(model: PreTrainedModel, prefixes: PrefixCache, cached: Sequence[Sequence[int]]) -> list[torch.Tensor]:
    """Returns the log-probabilities after the probes, whose tokens behind the cached ones are read one a step."""
    cache, step = RowCache(), step_of(model)
    cache.add(prefixes.states(cached), list(map(len, cached)))
    found: dict[int, torch.Tensor] = {}
    places = list(map(len, cached))
    while len(found) < len(_PROBES):
        ids = [text[min(place, len(text) - 1)] for text, place in zip(_PROBES, places, strict=True)]
        logits = step(torch.tensor(ids, device=model.device), *cache.begin_step(model.device), cache)
        cache.end_step()
        places = [place + 1 for place in places]
        for row, text in enumerate(_PROBES):
            if places[row] == len(text):
                found[row] = _last_log_probs(logits[None, [row]])
    return [found[row] for row in range(len(_PROBES))]


def _row(text: Sequence[int], model: PreTrainedModel) -> torch.Tensor:
    return torch.tensor([list(text)], device=model.device)


def _last_log_probs(logits: Any) -> torch.Tensor:
    """Returns the log-probabilities [vocabulary] of the last token of logits [1, tokens, vocabulary]."""
    return logits[0, -1].float().log_softmax(-1)
