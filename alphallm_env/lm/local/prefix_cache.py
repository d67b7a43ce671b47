"""Keys and values of every prefix that a model has read: one slot a token, shared by all texts with that prefix.

A tree's nodes begin with their parent's text, the samples of a state with the same prompt, and a critic's prompts with
the same question, so each finds the prefix cached that another has computed. A slot's key is the slot of the token
before it and its own token, so finding a prefix takes one look-up a token, and nothing is stored twice. Texts of one
batch are computed side by side: a prefix that they share is prefilled before them where that saves tokens
(`shared_prefixes`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import cast

import torch
from transformers.cache_utils import Cache, DynamicCache

from alphallm_env.lm.local.kv_cache import layers_of
from alphallm_env.lm.local.vocabulary import padded, padding_mask

_ROOT = -1  # the parent of a text's first token
_FIRST_CAPACITY = 4_096  # slots; doubled whenever they are used up
DEFAULT_BYTES = 2**30


@dataclass
class PrefixStatistics:
    """Prompt tokens requested, and those of them that were computed."""

    prompt_tokens: int = 0
    computed_tokens: int = 0

    def count(self, num_tokens: int, num_computed: int) -> None:
        """Adds a text of `num_tokens`, of which `num_computed` were computed."""
        self.prompt_tokens += num_tokens
        self.computed_tokens += num_computed

    @property
    def saved_tokens(self) -> int:
        """Prompt tokens that were cached."""
        return self.prompt_tokens - self.computed_tokens


class PrefixCache:
    """The prefix cache of one model. Cleared as a whole once `max_bytes` are used up."""

    def __init__(self, max_bytes: int = DEFAULT_BYTES) -> None:
        if max_bytes < 0:
            raise ValueError(f"max_bytes must be >= 0, got {max_bytes}")
        self.statistics = PrefixStatistics()
        self.num_clears = 0  # slots found before a clear are invalid after it
        self._max_bytes = max_bytes
        self._slots: dict[tuple[int, int], int] = {}  # (slot of the token before, token) -> slot
        self._log_probs: list[float | None] = []  # of each slot's token after those before it, where it was computed
        self._store: torch.Tensor | None = None  # [slots, layers, 2, heads, head size]

    def __len__(self) -> int:
        return len(self._log_probs)

    def clear(self) -> None:
        """Removes all prefixes. Call it whenever the model's weights have changed."""
        self._slots.clear()
        self._log_probs.clear()
        self._store = None
        self.num_clears += 1

    def lookup(self, tokens: Sequence[int], log_probs_from: int | None = None, found: Sequence[int] = ()) -> list[int]:
        """Returns the slots of the longest cached prefix, short of the last token.

        From the position `log_probs_from` on, a token counts as cached only together with its log-probability.
        `found` is the result of an earlier call, from which to resume: prefixes are never evicted one by one.
        """
        slots = list(found)
        slot = slots[-1] if slots else _ROOT
        look_up = self._slots.get
        for position in range(len(slots), len(tokens) - 1):
            next_slot = look_up((slot, tokens[position]))
            if next_slot is None:
                break
            if log_probs_from is not None and position >= log_probs_from and self._log_probs[next_slot] is None:
                break
            slots.append(next_slot)
            slot = next_slot
        return slots

    def log_probs(self, slots: Sequence[int]) -> list[float]:
        """Returns the log-probabilities stored with the slots. Raises KeyError where one has none."""
        kept = [self._log_probs[slot] for slot in slots]
        if None in kept:
            raise KeyError(f"expected log-probabilities of all slots, got {kept}")
        return cast("list[float]", kept)

    def keep_log_probs(self, tokens: Sequence[int], first: int, log_probs: Sequence[float]) -> None:
        """Stores the log-probabilities of the tokens from position `first` on, as far as they have slots."""
        slot = _ROOT
        for position, token in enumerate(tokens):
            cached = self._slots.get((slot, token))
            if cached is None:
                return
            slot = cached
            if position >= first:
                self._log_probs[slot] = log_probs[position - first]

    def load(self, cached: Sequence[Sequence[int]]) -> tuple[DynamicCache, torch.Tensor | None]:
        """Returns a cache that holds each row's prefix, padded on the left, and its mask [rows, longest].

        The mask is None where no row has any.
        """
        cache = DynamicCache()
        if not any(cached) or self._store is None:
            return cache, None
        for index, (keys, values) in enumerate(self._states(padded(cached, on_left=True))):
            cache.update(keys, values, index)
        return cache, padding_mask(cached, on_left=True).to(self._store.device)

    def states(self, cached: Sequence[Sequence[int]]) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Returns keys and values of each layer for non-empty prefixes, padded on the right with arbitrary values.

        Each is [rows, heads, longest, head size].
        """
        return self._states(padded(cached))

    def _states(self, slots: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        if self._store is None:
            raise RuntimeError("expected a store that something was saved in, got an empty one")
        rows = self._store[slots.to(self._store.device)].permute(2, 3, 0, 4, 1, 5)
        return [(keys, values) for keys, values in rows]

    def save(
        self,
        cache: Cache,
        texts: Mapping[int, Sequence[int]],
        end: int | None = None,
        cached: Mapping[int, Sequence[int]] | None = None,
    ) -> None:
        """Stores keys and values of `texts` from `cache`: by row of it, the tokens from its position 0 on.

        With `end` the tokens are those before that position. `cached` are slots of the texts' first tokens.
        """
        places: list[tuple[int, int]] = []  # (row, position in the cache) of each new slot
        for row, tokens in texts.items():
            slots = cached[row] if cached else ()
            slot = slots[-1] if slots else _ROOT
            before = 0 if end is None else end - len(tokens)
            for position in range(len(slots), len(tokens)):
                step = (slot, tokens[position])
                next_slot = self._slots.get(step)
                if next_slot is None:
                    next_slot = self._slots[step] = len(self._log_probs)
                    self._log_probs.append(None)
                    places.append((row, before + position))
                slot = next_slot
        if places:
            self._write(cache, places)

    def _write(self, cache: Cache, places: Sequence[tuple[int, int]]) -> None:
        rows, positions = torch.tensor(places).T
        parts = [
            torch.stack([keys[rows, :, positions], values[rows, :, positions]], 1) for keys, values in layers_of(cache)
        ]
        fresh = torch.stack(parts, 1)  # [places, layers, 2, heads, head size]
        used = len(self._log_probs)
        if used * fresh[0].nbytes > self._max_bytes:
            self.clear()
            return
        if self._store is None or used > len(self._store):
            room = fresh.new_empty((max(_FIRST_CAPACITY, 2 * used), *fresh.shape[1:]))
            if self._store is not None:
                room[: used - len(places)] = self._store[: used - len(places)]
            self._store = room
        self._store[used - len(places) : used] = fresh


@dataclass(frozen=True)
class SharedPrefix:
    """The first `length` tokens of the texts with these indices, and the tokens saved by reading them first."""

    length: int
    texts: tuple[int, ...]
    saving: int


@dataclass
class _Node:
    """A node of the prefix tree: texts, from `first` on in sorted order, that share `length` tokens.

    `inside` are the best prefixes below it.
    """

    length: int
    first: int
    inside: list[SharedPrefix] = field(default_factory=list)

    @property
    def saving_inside(self) -> int:
        return sum(prefix.saving for prefix in self.inside)


def shared_prefixes(texts: Sequence[Sequence[int]], cached: Sequence[int], least_saving: int) -> list[SharedPrefix]:
    """Returns the prefixes that save most; none of them where all together save less than `least_saving` tokens.

    Of each text the first `cached` tokens need no reading, and the last one is always read. No text has two of the
    prefixes: they are nodes of the texts' prefix tree, none below another.

    >>> [(p.length, p.texts) for p in shared_prefixes([[1, 2, 3], [7, 8], [1, 2, 4], [1, 2, 5]], [0, 0, 0, 0], 4)]
    [(2, (0, 2, 3))]
    """
    order = sorted(range(len(texts)), key=lambda index: list(texts[index]))
    agreed = [_agreed(texts[one], texts[other]) for one, other in pairwise(order)]
    path = [_Node(0, 0)]  # from the root to the node of the last text
    for place, shared in enumerate([*agreed, 0], 1):
        first, inside = place - 1, list[SharedPrefix]()
        while path[-1].length > shared:
            node = path.pop()
            first, inside = node.first, _best(node, order[node.first : place], cached)
            if path[-1].length >= shared:
                path[-1].inside += inside
        if path[-1].length < shared:
            path.append(_Node(shared, first, inside))
    found = _best(path[0], order, cached)
    return found if sum(prefix.saving for prefix in found) >= max(1, least_saving) else []


def _best(node: _Node, texts: Sequence[int], cached: Sequence[int]) -> list[SharedPrefix]:
    """Returns what saves more: reading the node's own prefix first, or those inside it."""
    saving = (len(texts) - 1) * (node.length - min((cached[index] for index in texts), default=0))
    return [SharedPrefix(node.length, tuple(texts), saving)] if saving > node.saving_inside else node.inside


def _agreed(one: Sequence[int], other: Sequence[int]) -> int:
    """Returns the length of the longest common prefix, short of the last token of either."""
    most = min(len(one), len(other)) - 1
    return next((place for place in range(most) if one[place] != other[place]), max(0, most))
