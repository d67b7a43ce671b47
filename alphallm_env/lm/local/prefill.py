"""Prefill: reads a batch of texts behind their cached prefixes in one forward pass."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from transformers.cache_utils import DynamicCache

from alphallm_env.lm.local.forward import Forward
from alphallm_env.lm.local.prefix_cache import PrefixCache
from alphallm_env.lm.local.vocabulary import padded, padding_mask

TOKENS_PER_BATCH = 16_384  # in one forward pass
_PASS_TOKENS = {"cpu": 64}  # elsewhere a whole batch


@dataclass(frozen=True)
class Prefill:
    """The result of reading a batch of texts: an output at each computed token, and the cache of keys and values."""

    ids: torch.Tensor  # [texts, computed tokens of the longest], padded on the left
    output: torch.Tensor  # [texts, computed tokens or only the last one, …]
    cache: DynamicCache  # padded on the left: every text ends at its last position


def prefill(
    forward: Forward,
    texts: Sequence[Sequence[int]],
    cached: Sequence[Sequence[int]],
    prefixes: PrefixCache,
    pad_id: int,
) -> Prefill:
    """Reads texts behind their prefixes in the slots `cached`, and caches keys and values of the rest."""
    new = [text[len(slots) :] for text, slots in zip(texts, cached, strict=True)]
    cache, cached_mask = prefixes.load(cached)
    ids = padded(new, pad_id, on_left=True).to(forward.device)
    mask = padding_mask(new, on_left=True).to(forward.device)
    if cached_mask is not None:
        mask = torch.cat([cached_mask, mask], dim=1)
    places = (mask.cumsum(-1) - 1).clamp(min=0)
    output = forward.run(ids, mask, places[:, -ids.shape[1] :], cache)
    prefixes.save(cache, dict(enumerate(texts)), cache.get_seq_length(), dict(enumerate(cached)))
    return Prefill(ids, output, cache)


Found = TypeVar("Found")
_log = logging.getLogger(__name__)


def in_halves(work: Callable[[Sequence[int]], Found], batch: Sequence[int]) -> list[tuple[Sequence[int], Found]]:
    """Returns the parts of a batch and the result of `work` on each: one part, or halves where memory runs out.

    A single item that does not fit raises torch.OutOfMemoryError.
    """
    try:
        return [(batch, work(batch))]
    except torch.OutOfMemoryError:
        if len(batch) == 1:
            raise
    _log.warning("a batch of %d did not fit into the device's memory: it is retried in halves", len(batch))
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    middle = len(batch) // 2
    return [*in_halves(work, batch[:middle]), *in_halves(work, batch[middle:])]


def pass_tokens(device: torch.device) -> int:
    """Returns the fixed cost of a forward pass, as the number of tokens computed in the same time."""
    return _PASS_TOKENS.get(device.type, TOKENS_PER_BATCH)


def batches_by_length(
    lengths: Sequence[int], device: torch.device, most_tokens: int = TOKENS_PER_BATCH, padding_cost: float = 1.0
) -> list[list[int]]:
    """Returns the indices of texts of these lengths in batches of similar length, of at most `most_tokens` padded.

    The batches are those that take the least time, where every text is padded to the longest of its batch and each
    forward pass has a fixed cost. `padding_cost` is the cost of a padding token, where others cost 1. A text longer
    than `most_tokens` is a batch of its own.

    >>> batches_by_length([300, 10, 20, 310], torch.device("cpu"))
    [[1, 2], [0, 3]]
    """
    order = sorted(range(len(lengths)), key=lambda index: (lengths[index], index))
    batches: list[list[int]] = []
    for start, end in _cheapest_cut([lengths[index] for index in order], pass_tokens(device), padding_cost):
        batches.append([])
        for index in order[start:end]:
            if batches[-1] and (len(batches[-1]) + 1) * lengths[index] > most_tokens:
                batches.append([])
            batches[-1].append(index)
    return batches


def _cheapest_cut(lengths: Sequence[int], pass_cost: int, padding_cost: float) -> list[tuple[int, int]]:
    """Returns the bounds of the cheapest batches of a rising sequence, by dynamic programming.

    The cost of the texts' own tokens is the same for every cut, so only padding and passes are compared.
    """
    if not lengths:
        return []
    ends = [*(place for place in range(1, len(lengths)) if lengths[place] > lengths[place - 1]), len(lengths)]
    starts = np.array([0, *ends])  # a batch may begin at any of them but the last
    before = np.cumsum([0, *lengths])[starts]  # tokens of the texts before each
    least = np.zeros(len(starts))  # the least cost of all texts before each
    begun = [0] * len(starts)  # and the start of the last batch before it
    for place, end in enumerate(ends, 1):
        padding = lengths[end - 1] * (end - starts[:place]) - (before[place] - before[:place])
        costs = least[:place] + pass_cost + padding_cost * padding
        begun[place] = int(costs.argmin())
        least[place] = costs[begun[place]]
    bounds: list[tuple[int, int]] = []
    place = len(ends)
    while place:
        bounds.append((int(starts[begun[place]]), int(starts[place])))
        place = begun[place]
    return bounds[::-1]
