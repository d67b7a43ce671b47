"""Decodes texts token by token: a batch that texts join and leave between any two steps.

When a text joins, the keys and values of its prompt are looked up in the prefix cache, and those that are missing are
prefilled. It leaves when β fires, the model ends its text or generates the stop text, or its token limit is reached.

Samples of one prompt share a row of the batch while their tokens are equal: the next token's distribution is computed
once, and each sample draws its own token from it. When they diverge, the row is copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import torch

from alphallm_env.errors import ModelError
from alphallm_env.lm.base import Completion, GenerationRequest
from alphallm_env.lm.local.forward import Passes, step_of
from alphallm_env.lm.local.kv_cache import RowCache, layers_of
from alphallm_env.lm.local.prefill import TOKENS_PER_BATCH, batches_by_length, in_halves, prefill
from alphallm_env.lm.local.prefix_cache import PrefixCache
from alphallm_env.lm.local.vocabulary import Vocabulary
from alphallm_env.lm.partial_completion import Writing

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_States = list[tuple[torch.Tensor, torch.Tensor]]  # by layer: keys and values, [rows, heads, positions, head size]


class Text(Writing):
    """A text in the batch, with its prompt's tokens and the uniform numbers that its own are drawn with."""

    def __init__(self, request: GenerationRequest, vocabulary: Vocabulary, prompt: Sequence[int]) -> None:
        super().__init__(request, vocabulary, len(prompt))
        self.prompt = prompt
        self.uniforms: list[float] = uniforms(request.seed, self.max_tokens).tolist()

    @property
    def last_token(self) -> int:
        """The token that the model has not read yet."""
        return self.tokens[-1] if self.tokens else self.prompt[-1]

    @property
    def tokens_kept(self) -> list[int]:
        """The tokens that the model has read, whose keys and values are in the cache."""
        return [*self.prompt, *self.tokens][:-1]


class Refused:
    """A request that no text was begun for: its completion raises the error, and the rest of the batch goes on."""

    def __init__(self, error: ModelError) -> None:
        self._error = error

    def completion(self) -> Completion:
        """Raises the error."""
        raise self._error


Job = Text | Refused


class _Sharing:
    """The distribution that each text draws from. Texts of one row of logits and one temperature share it."""

    def __init__(self, rows: Sequence[Sequence[Text]], device: torch.device) -> None:
        places: dict[tuple[int, float], int] = {}  # of the distributions, by row and temperature
        place_of = [
            places.setdefault((row, text.request.temperature), len(places))
            for row, texts in enumerate(rows)
            for text in texts
        ]
        self.row_of = torch.tensor([row for row, texts in enumerate(rows) for _ in texts], device=device)
        self._all_greedy = all(temperature == 0 for _, temperature in places)
        self._temperatures = torch.tensor([temperature for _, temperature in places], device=device)
        self._rows = None
        if len(places) > len(rows):  # texts of different temperatures in a row
            self._rows = torch.tensor([row for row, _ in places], device=device)
        self._place_of = torch.tensor(place_of, device=device) if len(place_of) > len(places) else None

    def draw(self, logits: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        """Returns each text's next token [texts], drawn at its own uniform number, of logits [rows, vocabulary]."""
        if self._all_greedy:
            return logits.argmax(-1)[self.row_of]
        shared = logits if self._rows is None else logits[self._rows]
        return draw(shared, self._temperatures, numbers, self._place_of)


class Decoder:
    """The batch of texts that one model decodes; the `SteppedBatch` that an engine steps."""

    def __init__(self, model: PreTrainedModel, vocabulary: Vocabulary, prefixes: PrefixCache) -> None:
        self._model = model
        self._vocabulary = vocabulary
        self._prefixes = prefixes
        self._banned = vocabulary.banned.to(model.device)
        self._step = step_of(model)
        self._read_prompts = Passes(model).last_logits
        self._reset()

    def _reset(self) -> None:
        self._cache = RowCache()
        self._rows: list[list[Text]] = []  # by row of the cache: the texts with the same tokens, of prompt and text
        self._sharing: _Sharing | None = None
        self._refused: list[Refused] = []  # since the last step

    def __len__(self) -> int:
        return sum(map(len, self._rows)) + len(self._refused)

    @property
    def num_rows(self) -> int:
        """The number of rows that a step computes: texts with equal tokens share one."""
        return len(self._rows)

    @property
    def _texts(self) -> list[Text]:
        return list(chain.from_iterable(self._rows))

    @torch.inference_mode()
    def join(self, requests: Sequence[GenerationRequest]) -> list[Job]:
        """Adds a text for each request to the batch. Returns them in order; `step` decodes them.

        A prompt that fills the model's context is refused, by an error of that request alone.
        """
        if not requests:
            return []
        prompts = list(dict.fromkeys(request.prompt for request in requests))
        encoded = dict(zip(prompts, self._vocabulary.encode(prompts), strict=True))
        if empty := [prompt for prompt, tokens in encoded.items() if not tokens]:
            raise ValueError(f"expected prompts of at least one token, got {empty[0]!r}")
        refused = {prompt: error for prompt, tokens in encoded.items() if (error := self._refusal(tokens)) is not None}
        for prompt in refused:
            del encoded[prompt]
        jobs: list[Job] = [
            Refused(refused[request.prompt])
            if request.prompt in refused
            else Text(request, self._vocabulary, encoded[request.prompt])
            for request in requests
        ]
        self._refused += [job for job in jobs if isinstance(job, Refused)]
        texts = [job for job in jobs if isinstance(job, Text)]
        cached = [self._prefixes.lookup(tokens) for tokens in encoded.values()]
        self._count(texts, list(encoded.values()), cached)
        groups: dict[str, list[Text]] = {}
        for text in texts:
            groups.setdefault(text.request.prompt, []).append(text)
        for prompt_states, batch in self._prompt_states(list(encoded.items()), cached):
            self._add(prompt_states, [groups[prompt] for prompt in batch])
        return jobs

    def _refusal(self, prompt: Sequence[int]) -> ModelError | None:
        try:
            self._vocabulary.check_lengths([prompt], type(self._model).__name__, room=1)
        except ModelError as error:
            return error
        return None

    def _count(self, texts: Sequence[Text], encoded: Sequence[list[int]], cached: Sequence[list[int]]) -> None:
        """Counts the tokens to prefill. The first text of each prompt is charged for them, the others for one token."""
        missing = {id(tokens): len(tokens) - len(slots) for tokens, slots in zip(encoded, cached, strict=True)}
        for text in texts:
            text.tokens_read = missing.pop(id(text.prompt), 1)
            text.tokens_saved = len(text.prompt) - text.tokens_read
            self._prefixes.statistics.count(len(text.prompt), text.tokens_read)

    def _prompt_states(
        self, prompts: Sequence[tuple[str, list[int]]], cached: Sequence[list[int]]
    ) -> list[tuple[_States, list[str]]]:
        """Returns keys and values of prompts without their last token, in batches, with the prompts of each.

        `cached` holds the slots of their cached prefixes.
        """
        missing = [len(tokens) - 1 - len(slots) for (_, tokens), slots in zip(prompts, cached, strict=True)]
        ready = [index for index, number in enumerate(missing) if number == 0 and cached[index]]
        found: list[tuple[_States, list[str]]] = []
        if ready:
            states = self._prefixes.states([cached[index] for index in ready])
            found.append((states, [prompts[index][0] for index in ready]))
        to_read = [index for index, number in enumerate(missing) if number > 0]
        lengths = [missing[index] for index in to_read]
        device, padding_cost = self._read_prompts.device, self._read_prompts.padding_cost
        for batch in batches_by_length(lengths, device, TOKENS_PER_BATCH, padding_cost):
            whole = [to_read[place] for place in batch]
            for part, states in in_halves(lambda part: self._read([prompts[index][1] for index in part]), whole):
                found.append((states, [prompts[index][0] for index in part]))
        if single := [prompt for prompt, tokens in prompts if len(tokens) == 1]:
            found.append(([], single))
        return found

    def _read(self, prompts: Sequence[Sequence[int]]) -> _States:
        """Returns keys and values of the prompts without their last token, padded on the right with garbage."""
        prefixes = self._prefixes
        texts = [tokens[:-1] for tokens in prompts]
        cached = [prefixes.lookup(tokens) for tokens in prompts]  # again: a full cache may have been cleared since
        read = prefill(self._read_prompts, texts, cached, prefixes, self._vocabulary.pad_id)
        # In this cache, the cached prefixes are followed by the prefilled tokens; both parts are padded on the left.
        border, end = max(map(len, cached)), read.cache.get_seq_length()
        longest = max(map(len, texts))
        places = [
            [*range(border - len(slots), border), *range(end - len(text) + len(slots), end)]
            + [0] * (longest - len(text))
            for slots, text in zip(cached, texts, strict=True)
        ]
        columns = torch.tensor(places, device=self._model.device)
        rows = torch.arange(len(texts), device=self._model.device)[:, None]
        return [
            (keys.transpose(1, 2)[rows, columns].transpose(1, 2), values.transpose(1, 2)[rows, columns].transpose(1, 2))
            for keys, values in layers_of(read.cache)
        ]

    def _add(self, states: _States, groups: Sequence[list[Text]]) -> None:
        """Adds a row for each prompt, which all its samples share."""
        self._cache.add(states, [len(texts[0].prompt) - 1 for texts in groups])
        self._rows += groups
        self._sharing = None

    @torch.inference_mode()
    def step(self) -> list[Job]:
        """Decodes one token of every text. Returns those that ended, and what was refused, which leave the batch.

        After an error of the model the batch is empty, and no text has ended.
        """
        refused, self._refused = self._refused, []
        if not self._rows:
            return list(refused)
        device = self._model.device
        ids = torch.tensor([texts[0].last_token for texts in self._rows], device=device)
        try:
            places, mask = self._cache.begin_step(device)
            logits = self._step(ids, places, mask, self._cache)
            self._cache.end_step()
            texts = self._texts
            for text, token, log_prob in zip(texts, *self._sample(logits, texts), strict=True):
                text.extend((token,), (log_prob,))
            ended = {
                row: done for row, shared in enumerate(self._rows) if (done := [t for t in shared if t.stop_reason])
            }
            if ended:
                self._prefixes.save(self._cache, {row: done[0].tokens_kept for row, done in ended.items()})
            self._split_rows()
        except BaseException:
            self._reset()
            raise
        return [*refused, *chain.from_iterable(ended.values())]

    def _sample(self, logits: torch.Tensor, texts: Sequence[Text]) -> tuple[list[int], list[float]]:
        """Returns per text the next token and its log-probability at temperature 1, banned tokens excluded."""
        if self._sharing is None:
            self._sharing = _Sharing(self._rows, logits.device)
        logits = logits.float().masked_fill_(self._banned, float("-inf"))
        total = logits.logsumexp(-1)
        numbers = [text.uniforms[len(text.tokens)] for text in texts]
        chosen = self._sharing.draw(logits, torch.tensor(numbers, device=logits.device, dtype=torch.double))
        row_of = self._sharing.row_of
        return chosen.tolist(), (logits[row_of, chosen] - total[row_of]).tolist()

    def _split_rows(self) -> None:
        """Splits rows whose texts have diverged, and removes texts that have ended."""
        copied: list[int] = []
        diverged: list[list[Text]] = []
        for row, texts in enumerate(self._rows):
            if len(texts) == 1 and texts[0].stop_reason is None:
                continue
            by_token: dict[int, list[Text]] = {}
            for text in texts:
                if text.stop_reason is None:
                    by_token.setdefault(text.last_token, []).append(text)
            first, *others = by_token.values() or [[]]
            if len(first) < len(texts):
                self._rows[row] = first
                self._sharing = None
            copied += [row] * len(others)
            diverged += others
        if copied:
            self._cache.copy(copied)
            self._rows += diverged
        self._close_gaps()

    @torch.inference_mode()
    def leave(self, texts: Sequence[object]) -> None:
        """Removes texts before they have ended."""
        gone = set(map(id, texts))
        self._refused = [job for job in self._refused if id(job) not in gone]
        self._rows = [[text for text in shared if id(text) not in gone] for shared in self._rows]
        self._sharing = None
        self._close_gaps()

    def _close_gaps(self) -> None:
        """Removes the rows without a text."""
        if empty := [row for row, texts in enumerate(self._rows) if not texts]:
            self._rows = [self._rows[row] for row in self._cache.remove(empty)]


def written(decoder: Decoder, requests: Sequence[GenerationRequest]) -> list[Completion]:
    """Returns the completions of all requests, in order, from a decoder that is otherwise empty."""
    jobs = decoder.join(requests)
    while len(decoder):
        decoder.step()
    return [job.completion() for job in jobs]


def uniforms(seed: int, num: int) -> np.ndarray:
    """Returns the uniform numbers in [0, 1) with which the first `num` tokens of a text with this seed are drawn."""
    return np.random.Generator(np.random.Philox(seed)).random(num)


def draw(
    logits: torch.Tensor, temperatures: torch.Tensor, numbers: torch.Tensor, rows: torch.Tensor | None = None
) -> torch.Tensor:
    """Returns a token for each of `numbers` [texts] in [0, 1), float64, from its own row of logits [rows, vocabulary].

    A token is drawn by inverting the cumulative distribution at the number; where the row's temperature [rows] is 0 it
    is the most probable one. `rows` [texts] is each text's row, if several texts share one.
    """
    greedy = temperatures == 0
    cumulative = (logits / temperatures.masked_fill(greedy, 1.0)[:, None]).softmax(-1).double().cumsum(-1)
    likeliest = logits.argmax(-1)
    if rows is not None:
        cumulative, likeliest, greedy = cumulative[rows], likeliest[rows], greedy[rows]
    sampled = torch.searchsorted(cumulative, (numbers * cumulative[:, -1])[:, None], right=True)[:, 0]
    return sampled.clamp_(max=logits.shape[-1] - 1).where(~greedy, likeliest)
