"""Transpositions: nodes at which the same is left to do share one subtree and its statistics.

The first node at a position is expanded; one that is reached by another way later is an alias of it, whose way down
leads to the first one's children. So the tree is an acyclic graph, and a return is backed up once to every node from
which its leaf can be reached, by whatever way (all of them are updated, as in UCT3 of Childs et al. 2008, each once).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator

from agents.tree.node import Node, walk
from alphallm_env.simulator import Simulator

Discount = Callable[[Node], float]  # of the option that led to a node


def reached_from(node: Node, discount: Discount) -> Iterator[tuple[Node, float]]:
    """Yields a node and all from which it can be reached, each once, with the discount between them.

    Those on the tree's own path come first.
    """
    seen: set[Node] = set()
    waiting: list[tuple[Node, float]] = [(node, 1.0)]
    for start, factor in waiting:
        here: Node | None = start
        while here is not None and here not in seen:
            seen.add(here)
            yield here, factor
            waiting += [(alias, factor) for alias in here.aliases]
            factor *= discount(here)
            here = here.parent


def below(node: Node) -> Iterator[Node]:
    """Yields the nodes that can be reached from one, itself first, each once, without aliases."""
    seen: set[Node] = set()
    waiting = [node]
    while waiting:
        here = waiting.pop()
        here = here.same_as or here
        if here not in seen:
            seen.add(here)
            yield here
            waiting += here.children


def link(alias: Node, rule: Callable[[Node], float], discount: Discount) -> None:
    """Makes a new node the same as another one, and gives it, and all above it, the returns that are new to them."""
    other = alias.same_as
    assert other is not None
    known = {node: {above for above, _ in reached_from(node, discount)} for node in below(other)}
    other.aliases += (alias,)
    alias.score, alias.value, alias.prm, alias.orm = other.score, other.value, other.prm, other.orm
    alias.is_exhausted = other.is_exhausted
    for node, before in known.items():
        score = node.score
        for above, factor in reached_from(node, discount):
            if above not in before and score is not None:
                above.visit_count += 1
                above.value_sum += score * factor
                above.square_sum += (score * factor) ** 2
                above.max_value = max(above.max_value, score * factor)
                above.q = rule(above)


class Positions:
    """The nodes of a search by what is left to do at them, where the problem's verifier can tell."""

    def __init__(self, simulator: Simulator, root: Node) -> None:
        self._simulator = simulator
        self._nodes: dict[Hashable, Node] = {}
        for node in walk(root):
            if node.same_as is None:
                self.enter(node)

    def enter(self, node: Node) -> None:
        """Enters a node; one at the position of another becomes the same as that.

        It does not where it can be reached from the other one: the graph must stay without a cycle.
        """
        position = self._simulator.position(node.state)
        if position is None:
            return
        found = self._nodes.setdefault(position, node)
        if found is not node and all(above is not found for above, _ in reached_from(node, lambda _: 1.0)):
            node.same_as = found
