"""Reads texts in batches of like length: what comes next, how likely given tokens were, what a head says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from alphallm_env.lm.prefill import TOKENS_PER_BATCH, Forward, Prefill, batches_by_length, prefill
from alphallm_env.lm.prefixes import Prefixes


@torch.inference_mode()
def last_outputs(
    forward: Forward, texts: Sequence[Sequence[int]], prefixes: Prefixes, pad_id: int, device: torch.device
) -> torch.Tensor:
    """Returns the float32 output of `forward` at the last token of each text, [texts, …], on the CPU."""
    outputs: dict[int, torch.Tensor] = {}
    for batch in batches_by_length(_lengths_to_compute(texts, prefixes)):
        part = [texts[index] for index in batch]
        known = list(map(prefixes.known, part))
        prefixes.count(part, known)
        read = prefill(forward, part, known, prefixes, pad_id, device)
        outputs.update(zip(batch, read.output[:, -1].float().cpu(), strict=True))
    return torch.stack([outputs[index] for index in range(len(texts))])


def _lengths_to_compute(texts: Sequence[Sequence[int]], prefixes: Prefixes) -> list[int]:
    return [len(text) - len(prefixes.known(text)) for text in texts]


@torch.inference_mode()
def token_log_probs(
    forward: Forward,
    texts: Sequence[Sequence[int]],
    starts: Sequence[int],
    prefixes: Prefixes,
    pad_id: int,
    device: torch.device,
    most_tokens: int,
) -> list[list[float]]:
    """Returns the log-probability, in nats, of each token of each text from position `start` >= 1 on.

    `forward` gives the logits at all tokens, for at most `most_tokens` of them at once.
    """
    results: dict[int, list[float]] = {}
    lengths = _lengths_to_compute(texts, prefixes)
    for batch in batches_by_length(lengths, min(most_tokens, TOKENS_PER_BATCH)):
        part, firsts = [texts[index] for index in batch], [starts[index] for index in batch]
        found = list(map(prefixes.known, part, firsts))
        # The token after the last known one is judged by the output at that one, which is therefore read again.
        known = [slots[:-1] if len(slots) >= start else slots for slots, start in zip(found, firsts, strict=True)]
        prefixes.count(part, known)
        read = prefill(forward, part, known, prefixes, pad_id, device)
        for row, (index, computed) in enumerate(zip(batch, _picked(read), strict=True)):
            text, start, slots = part[row], firsts[row], found[row]
            first_new = max(start, len(slots))
            fresh = computed[len(computed) - (len(text) - first_new) :]
            results[index] = prefixes.log_probs(slots[start:]) + fresh
            prefixes.keep_log_probs(text, first_new, fresh)
    return [results[index] for index in range(len(texts))]


def _picked(read: Prefill) -> Iterator[list[float]]:
    """Yields, for each text, the log-probabilities of its computed tokens but the first, padded on the left."""
    log_probs = read.output[:, :-1].float().log_softmax(-1)
    yield from log_probs.gather(-1, read.ids[:, 1:, None])[..., 0].tolist()
