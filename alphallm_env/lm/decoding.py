"""Samples a batch of texts from a causal LM: shared prefill, a seed per request, β asked while decoding.

The batch is a `_Batch` of rows; a row is finished when β fires, the model ends its text or writes
the stop text, or its tokens run out. Finished rows are taken out of the batch once they are many enough to
pay for the copy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from alphallm_env.lm.base import Completion, GenerationRequest
from alphallm_env.lm.cache import BlockCache
from alphallm_env.lm.prefixes import Prefixes
from alphallm_env.types import StopReason

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_COMPACT_BELOW = 0.75  # the share of unfinished rows under which finished ones are dropped


@dataclass(frozen=True)
class Vocabulary:
    """What decoding has to know of a tokenizer."""

    encode: Callable[[Sequence[str]], list[list[int]]]
    decode: Callable[[Sequence[int]], str]
    triggers: Callable[[str], np.ndarray]  # trigger text -> bool [vocabulary]: tokens that contain it
    end_ids: frozenset[int]
    banned: torch.Tensor  # bool [vocabulary]: special tokens that are never generated
    pad_id: int


@dataclass
class _Row:
    """One request under way."""

    index: int
    request: GenerationRequest
    uniforms: np.ndarray  # [max_tokens], one draw per token, from the request's own seed
    triggers: np.ndarray
    stops: np.ndarray | None  # tokens that may complete the stop text, None without one
    prompt: Sequence[int]
    tokens: list[int] = field(default_factory=list[int])
    log_prob: float = 0.0

    def accept(self, token: int, log_prob: float, vocabulary: Vocabulary) -> StopReason | None:
        """Appends a token and tells why the row is finished, if it is."""
        self.tokens.append(token)
        self.log_prob += log_prob
        if token in vocabulary.end_ids:
            return StopReason.END_OF_TEXT
        if self.stops is not None and self.stops[token]:
            written = vocabulary.decode(self.tokens)
            if self.request.before_stop(written) is not None:
                return StopReason.END_OF_TEXT
        if self.triggers[token] and self.request.rule.terminates(vocabulary.decode(self.tokens)):
            return StopReason.RULE
        return StopReason.LENGTH if len(self.tokens) >= self.request.max_tokens else None

    def completion(self, reason: StopReason, vocabulary: Vocabulary) -> Completion:
        """Returns what was written. The tokens of a stop text count, though the text ends before it."""
        text = vocabulary.decode([token for token in self.tokens if token not in vocabulary.end_ids])
        before = self.request.before_stop(text)
        return Completion(text if before is None else before, len(self.tokens), self.log_prob, reason)


def left_padded(sequences: Sequence[Sequence[int]], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns token ids and attention mask, both [sequences, longest], padded on the left."""
    longest = max(map(len, sequences))
    ids = torch.full((len(sequences), longest), pad_id)
    mask = torch.zeros(len(sequences), longest, dtype=torch.long)
    for row, sequence in enumerate(sequences):
        ids[row, longest - len(sequence) :] = torch.tensor(sequence, dtype=torch.long)
        mask[row, longest - len(sequence) :] = 1
    return ids, mask


def positions(mask: torch.Tensor) -> torch.Tensor:
    """Returns the position ids [sequences, longest] of a left-padded batch."""
    return (mask.cumsum(-1) - 1).clamp(min=0)


Forward = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, BlockCache], torch.Tensor]


def all_logits(model: PreTrainedModel, num_kept: int = 0) -> Forward:
    """Returns the function that gives the logits [texts, tokens, vocabulary], of the last `num_kept` tokens if set."""

    def forward(ids: torch.Tensor, mask: torch.Tensor, places: torch.Tensor, cache: BlockCache) -> torch.Tensor:
        return model(
            input_ids=ids, attention_mask=mask, position_ids=places, past_key_values=cache, logits_to_keep=num_kept
        ).logits

    return forward


def last_logits(model: PreTrainedModel) -> Forward:
    """Returns the function that gives the logits [texts, 1, vocabulary] of the token after each text."""
    return all_logits(model, num_kept=1)


@dataclass(frozen=True)
class Prefill:
    """What reading a batch of texts gave: an output at each token that was computed, and the cache behind it."""

    ids: torch.Tensor  # [texts, computed tokens of the longest], padded on the left
    output: torch.Tensor  # [texts, the same or only the last of them, …]
    cache: BlockCache
    mask: torch.Tensor  # [texts, positions of the cache]


def prefill(
    forward: Forward,
    texts: Sequence[Sequence[int]],
    known: Sequence[Sequence[int]],
    prefixes: Prefixes,
    pad_id: int,
    device: torch.device,
) -> Prefill:
    """Reads texts of which the prefixes in the slots `known` need not be computed, and keeps what was read.

    `forward` takes token ids, attention mask, position ids and cache.
    """
    new = [text[len(slots) :] for text, slots in zip(texts, known, strict=True)]
    prefixes.statistics.prompt_tokens += sum(map(len, texts))
    prefixes.statistics.computed_tokens += sum(map(len, new))
    cache, known_mask = prefixes.load(known)
    ids, mask = left_padded(new, pad_id)
    ids, mask = ids.to(device), mask.to(device)
    if known_mask is not None:
        mask = torch.cat([known_mask, mask], dim=1)
    output = forward(ids, mask, positions(mask)[:, -ids.shape[1] :], cache)
    prefixes.save(cache, dict(enumerate(texts)))
    return Prefill(ids, output, cache, mask)


@torch.inference_mode()
def decode_batch(
    model: PreTrainedModel, vocabulary: Vocabulary, requests: Sequence[GenerationRequest], prefixes: Prefixes
) -> list[Completion]:
    """Returns one completion per request, in order. Requests of one prompt share its prefill."""
    prompts = list(dict.fromkeys(request.prompt for request in requests))
    encoded = vocabulary.encode(prompts)
    row_of = {prompt: row for row, prompt in enumerate(prompts)}

    known = [prefixes.known(text) for text in encoded]
    read = prefill(last_logits(model), encoded, known, prefixes, vocabulary.pad_id, model.device)
    expand = torch.tensor([row_of[request.prompt] for request in requests], device=model.device)
    logits, mask, cache = read.output[:, -1][expand], read.mask[expand], read.cache
    cache.select(expand)
    rows = [
        _Row(
            i,
            r,
            np.random.Generator(np.random.Philox(r.seed)).random(r.max_tokens),
            vocabulary.triggers(r.rule.trigger),
            vocabulary.triggers(r.stop_text[-1]) if r.stop_text else None,
            encoded[row_of[r.prompt]],
        )
        for i, r in enumerate(requests)
    ]
    results = _decode(model, vocabulary, rows, logits, mask, cache, prefixes)
    return _with_prompt_tokens(results, requests, dict(zip(prompts, map(len, encoded), strict=True)))


def _with_prompt_tokens(
    results: dict[int, Completion], requests: Sequence[GenerationRequest], lengths: dict[str, int]
) -> list[Completion]:
    """Returns the completions in order; the first one of a prompt reports the prompt's tokens."""
    ordered: list[Completion] = []
    for index, request in enumerate(requests):
        done = results[index]
        prompt_tokens = lengths.pop(request.prompt, 0)
        ordered.append(Completion(done.text, done.num_tokens, done.log_prob, done.stop_reason, prompt_tokens))
    return ordered


def _decode(
    model: PreTrainedModel,
    vocabulary: Vocabulary,
    rows: list[_Row],
    logits: torch.Tensor,  # [rows, vocabulary]
    mask: torch.Tensor,  # [rows, positions]
    cache: BlockCache,
    prefixes: Prefixes,
) -> dict[int, Completion]:
    results: dict[int, Completion] = {}
    live: list[_Row | None] = list(rows)
    next_position = mask.sum(-1)
    while True:
        tokens, log_probs = _sample(logits, live, vocabulary)
        finished: dict[int, _Row] = {}
        for slot, row in enumerate(live):
            if row is None:
                continue
            reason = row.accept(tokens[slot], log_probs[slot], vocabulary)
            if reason is not None:
                results[row.index] = row.completion(reason, vocabulary)
                live[slot], finished[slot] = None, row
        prefixes.save(cache, {slot: [*row.prompt, *row.tokens[:-1]] for slot, row in finished.items()})
        kept = [slot for slot, row in enumerate(live) if row is not None]
        if not kept:
            return results
        next_ids = torch.tensor(tokens, device=mask.device)
        if len(kept) < _COMPACT_BELOW * len(live):
            keep = torch.tensor(kept, device=mask.device)
            cache.select(keep)
            mask, next_ids, next_position = mask[keep], next_ids[keep], next_position[keep]
            live = [live[slot] for slot in kept]
        mask = torch.cat([mask, mask.new_ones(len(live), 1)], dim=1)
        logits = model(
            input_ids=next_ids[:, None],
            attention_mask=mask,
            position_ids=next_position[:, None],
            past_key_values=cache,
        ).logits[:, -1]
        next_position = next_position + 1


def _sample(logits: torch.Tensor, live: Sequence[_Row | None], vocabulary: Vocabulary) -> tuple[list[int], list[float]]:
    """Returns per row the next token and its log-probability at temperature 1, special tokens left out.

    A token is drawn by inverting the cumulative distribution at the row's own uniform number.
    """
    logits = logits.float().masked_fill(vocabulary.banned.to(logits.device), float("-inf"))
    log_probs = logits.log_softmax(-1)
    temperatures = [row.request.temperature if row else 0.0 for row in live]
    chosen = logits.argmax(-1)
    if any(temperatures):
        heat = torch.tensor([t or 1.0 for t in temperatures], device=logits.device)
        cumulative = (logits / heat[:, None]).softmax(-1).double().cumsum(-1)
        draws = torch.tensor(
            [row.uniforms[len(row.tokens)] if row else 0.0 for row in live],
            device=logits.device,
            dtype=torch.double,
        )
        sampled = torch.searchsorted(cumulative, (draws * cumulative[:, -1])[:, None], right=True)[:, 0]
        sampled = sampled.clamp(max=logits.shape[-1] - 1)
        warm = torch.tensor([t > 0 for t in temperatures], device=logits.device)
        chosen = torch.where(warm, sampled, chosen)
    picked = log_probs.gather(-1, chosen[:, None])[:, 0]
    return chosen.tolist(), picked.tolist()
