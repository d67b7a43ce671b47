"""Scores texts in batches of similar length: outputs at their last token, and log-probabilities of their tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch

from alphallm_env.lm.local.forward import Forward
from alphallm_env.lm.local.prefill import TOKENS_PER_BATCH, Prefill, batches_by_length, in_halves, pass_tokens, prefill
from alphallm_env.lm.local.prefix_cache import PrefixCache, shared_prefixes


@torch.inference_mode()
def last_outputs(
    forward: Forward, texts: Sequence[Sequence[int]], prefixes: PrefixCache, pad_id: int
) -> tuple[torch.Tensor, list[int]]:
    """Returns the float32 output of `forward` at the last token of each text, [texts, …], on the CPU.

    Also returns how many tokens of each text were cached and not computed.
    """
    outputs, saved = _last_outputs(forward, texts, prefixes, pad_id)
    _add_to_statistics(texts, saved, prefixes)
    return torch.stack(outputs), saved


def _last_outputs(
    forward: Forward, texts: Sequence[Sequence[int]], prefixes: PrefixCache, pad_id: int
) -> tuple[list[torch.Tensor], list[int]]:
    """Returns the result of `last_outputs`, not stacked. Prefixes that several of the texts share are read first."""
    once = _different(texts)
    slots_of = _CachedSlots(prefixes, texts)
    outputs: dict[int, torch.Tensor] = {}
    saved = [len(text) for text in texts]
    for index, num_computed in _read_shared_prefixes(forward, texts, list(once.values()), slots_of, prefixes, pad_id):
        saved[index] -= num_computed

    def read(batch: Sequence[int]) -> torch.Tensor:
        part = [texts[index] for index in batch]
        cached = list(map(slots_of, batch))
        output = prefill(forward, part, cached, prefixes, pad_id).output[:, -1].float().cpu()
        for index, slots in zip(batch, cached, strict=True):
            saved[index] -= len(texts[index]) - len(slots)
        return output

    def num_missing(index: int) -> int:
        return len(texts[index]) - len(slots_of(index))

    for whole in _batches(once, num_missing, forward):
        for batch, found in in_halves(read, whole):
            outputs.update(zip(batch, found, strict=True))
    return [outputs[once[tuple(text)]] for text in texts], saved


def _read_shared_prefixes(
    forward: Forward,
    texts: Sequence[Sequence[int]],
    different: Sequence[int],
    slots_of: _CachedSlots,
    prefixes: PrefixCache,
    pad_id: int,
) -> list[tuple[int, int]]:
    """Reads prefixes that several of the texts share, where that saves more than a forward pass costs.

    Returns the first text of each prefix, which is charged for it, and how many tokens were computed.
    """
    cached = [len(slots_of(index)) for index in different]
    chosen = shared_prefixes([texts[index] for index in different], cached, pass_tokens(forward.device))
    if not chosen:
        return []
    bearers = [different[prefix.texts[0]] for prefix in chosen]
    parts = [texts[index][: prefix.length] for index, prefix in zip(bearers, chosen, strict=True)]
    _, saved = _last_outputs(forward, parts, prefixes, pad_id)
    return [(index, len(part) - num) for index, part, num in zip(bearers, parts, saved, strict=True)]


class _CachedSlots:
    """The cached prefixes of texts, by index. A later look-up resumes where the last one ended."""

    def __init__(
        self, prefixes: PrefixCache, texts: Sequence[Sequence[int]], log_probs_from: Sequence[int] | None = None
    ) -> None:
        self._prefixes = prefixes
        self._texts = texts
        self._log_probs_from = log_probs_from
        self._found: dict[int, list[int]] = {}
        self._num_clears = prefixes.num_clears

    def __call__(self, index: int) -> list[int]:
        """Returns the slots of the text's longest cached prefix, as `PrefixCache.lookup` does."""
        if self._num_clears != self._prefixes.num_clears:
            self._found.clear()
            self._num_clears = self._prefixes.num_clears
        start = None if self._log_probs_from is None else self._log_probs_from[index]
        found = self._prefixes.lookup(self._texts[index], start, self._found.get(index, ()))
        self._found[index] = found
        return found


def _different(texts: Sequence[Sequence[int]]) -> dict[tuple[int, ...], int]:
    """Returns the index of the first of equal texts, by text: only that one is computed."""
    return {tuple(text): index for index, text in reversed(list(enumerate(texts)))}


def _batches(
    once: dict[tuple[int, ...], int],
    num_missing: Callable[[int], int],
    forward: Forward,
    most_tokens: int = TOKENS_PER_BATCH,
) -> list[list[int]]:
    """Returns the indices of different texts in batches; `num_missing` returns how many tokens of one to compute."""
    chosen = sorted(once.values())
    lengths = list(map(num_missing, chosen))
    batches = batches_by_length(lengths, forward.device, most_tokens, forward.padding_cost)
    return [[chosen[place] for place in batch] for batch in batches]


def _add_to_statistics(texts: Sequence[Sequence[int]], saved: Sequence[int], prefixes: PrefixCache) -> None:
    prefixes.statistics.count(sum(map(len, texts)), sum(map(len, texts)) - sum(saved))


@torch.inference_mode()
def token_log_probs(
    forward: Forward,
    texts: Sequence[Sequence[int]],
    starts: Sequence[int],
    prefixes: PrefixCache,
    pad_id: int,
    most_tokens: int,
) -> tuple[list[list[float]], list[int]]:
    """Returns the log-probability, in nats, of each token of each text from position `start` >= 1 on.

    Also returns how many tokens of each text were cached and not computed. `forward` returns the logits at all tokens,
    at most `most_tokens` in a pass. Texts that are equal have equal starts.
    """
    once = _different(texts)
    slots_of = _CachedSlots(prefixes, texts, starts)
    results: dict[int, list[float]] = {}
    saved = [len(text) for text in texts]

    def read(batch: Sequence[int]) -> None:
        part, firsts = [texts[index] for index in batch], [starts[index] for index in batch]
        found = list(map(slots_of, batch))
        cached = list(map(_without_predictor, found, firsts))
        for index, slots in zip(batch, cached, strict=True):
            saved[index] = len(slots)
        passed = prefill(forward, part, cached, prefixes, pad_id)
        for row, (index, computed) in enumerate(zip(batch, _picked(passed), strict=True)):
            text, start, slots = part[row], firsts[row], found[row]
            first_new = max(start, len(slots))
            fresh = computed[len(computed) - (len(text) - first_new) :]
            results[index] = prefixes.log_probs(slots[start:]) + fresh
            prefixes.keep_log_probs(text, first_new, fresh)

    def num_missing(index: int) -> int:
        return len(texts[index]) - len(_without_predictor(slots_of(index), starts[index]))

    for whole in _batches(once, num_missing, forward, min(most_tokens, TOKENS_PER_BATCH)):
        in_halves(read, whole)
    _add_to_statistics(texts, saved, prefixes)
    return [results[once[tuple(text)]] for text in texts], saved


def _without_predictor(slots: list[int], start: int) -> list[int]:
    """Returns the cached slots of a text, less the last if it predicts the first new token: it is computed again."""
    return slots[:-1] if len(slots) >= start else slots


def _picked(read: Prefill) -> Iterator[list[float]]:
    """Yields, per text, the log-probabilities of its computed tokens but the first, padded on the left."""
    log_probs = read.output[:, :-1].float().log_softmax(-1)
    yield from log_probs.gather(-1, read.ids[:, 1:, None])[..., 0].tolist()
