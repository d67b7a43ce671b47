"""What models compute for one search, in tokens and floating-point operations, each model at its own size.

It is counted as if each model kept all that it has read and written in a search, for that search alone: a prefix is
computed once. So the cost does not depend on what runs beside, nor on how much a backend's cache holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import NamedTuple, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class ModelSize:
    """What sets the cost of a token: the weights that it touches, and layers · heads · width of a head.

    Not touched are embeddings that are only looked up, and experts that a token is not sent to.
    """

    weights: int
    attention: int = 0

    def flops(self, tokens: int, contexts: int) -> int:
        """Returns the operations of some tokens, whose contexts, with themselves, have `contexts` tokens in all.

        A token takes 2 for each weight, and attention to each token of its context 4 for each entry of a head: scores
        and the weighted sum (Kaplan et al. 2020, table 1, without their mean over a context).

        >>> ModelSize(weights=100, attention=10).flops(tokens=2, contexts=3 + 4)  # behind two others
        680
        """
        return 2 * self.weights * tokens + 4 * self.attention * contexts


@runtime_checkable
class HasSize(Protocol):
    """A model that tells its size, None where it is not known."""

    @property
    def size(self) -> ModelSize | None:
        """The size."""
        ...


class Computed(NamedTuple):
    """Tokens and operations that were computed; tokens of models that do not tell their size, which have none."""

    tokens: int
    flops: int
    unsized: int


Pass = tuple[str, int, str, int]  # a text that a model reads, its tokens; what it writes after it, and its tokens


class Named(Protocol):
    """A model with a name: models of one name share what they have read."""

    @property
    def name(self) -> str:
        """The name."""
        ...


class PrefixMemory:
    """What each model has read and written in one search.

    A text is known if it was read or written whole; of others what was, up to the end of a line. Tokens are taken as
    evenly spread over a text's characters then: what a backend calls a token is not known here.
    """

    def __init__(self) -> None:
        self._models: dict[str, tuple[ModelSize | None, set[str]]] = {}
        self._restored: dict[str, set[str]] = {}

    def compute(self, model: Named, passes: Iterable[Pass]) -> Computed:
        """Returns what a model computes for some texts, in order, and remembers them."""
        size, known = self._models.get(model.name) or self._added(model)
        tokens = contexts = 0
        last: str | None = None
        for text, num_read, written, num_written in passes:
            first = num_read
            if text is not last and text not in known:  # samples of one state share their prompt
                first = num_read * _remember(known, text) // max(1, len(text))
            last = text
            if written:
                known.add(text + written)
            num = num_read - first + num_written
            tokens += num
            contexts += num * first + num * (num + 1) // 2
        return Computed(tokens, size.flops(tokens, contexts), 0) if size else Computed(tokens, 0, tokens)

    def _added(self, model: Named) -> tuple[ModelSize | None, set[str]]:
        size = model.size if isinstance(model, HasSize) else None
        found = self._models[model.name] = size, self._restored.pop(model.name, set())
        return found

    def to_json(self) -> dict[str, list[list[int | str]]]:
        """Returns the texts of each model, sorted: the length of what one shares with that before it, and the rest."""
        texts = {name: found for name, (_, found) in self._models.items()} | self._restored
        return {name: list(_front_coded(sorted(found))) for name, found in texts.items()}

    def restore(self, record: Mapping[str, Sequence[Sequence[int | str]]]) -> None:
        """Remembers what `to_json` returned, in place of what was read so far."""
        self._models.clear()
        self._restored = {name: set(_decoded(rows)) for name, rows in record.items()}


def _remember(known: set[str], text: str) -> int:
    """Adds a new text and its beginnings, up to the ends of lines, and returns the length of the longest known one."""
    known.add(text)
    end = text.rfind("\n", 0, -1) + 1
    while end:
        beginning = text[:end]
        if beginning in known:
            return end
        known.add(beginning)
        end = text.rfind("\n", 0, end - 1) + 1
    return 0


def _front_coded(texts: Sequence[str]) -> Iterator[list[int | str]]:
    before = ""
    for text in texts:
        shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, text, strict=False)))
        yield [shared, text[shared:]]
        before = text


def _decoded(rows: Iterable[Sequence[int | str]]) -> Iterator[str]:
    text = ""
    for shared, rest in rows:
        text = text[: int(shared)] + str(rest)
        yield text
