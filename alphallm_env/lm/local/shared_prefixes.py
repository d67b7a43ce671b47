"""Which shared prefixes to read first, so that no token is computed once for each text that has it.

Texts of one batch do not see each other: what they have in common must be cached before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise


@dataclass(frozen=True)
class SharedPrefix:
    """The first `length` tokens of the texts with these indices, and how many tokens it saves to read them first."""

    length: int
    texts: tuple[int, ...]
    saving: int


@dataclass
class _Node:
    """Texts from the place `first` on, in alphabetical order, that share `length` tokens, and what pays inside."""

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
    """Returns what pays more: to read the node's own prefix first, or those inside it."""
    saving = (len(texts) - 1) * (node.length - min((cached[index] for index in texts), default=0))
    return [SharedPrefix(node.length, tuple(texts), saving)] if saving > node.saving_inside else node.inside


def _agreed(one: Sequence[int], other: Sequence[int]) -> int:
    """Returns the length of the longest common prefix, short of the last token of either."""
    most = min(len(one), len(other)) - 1
    return next((place for place in range(most) if one[place] != other[place]), max(0, most))
