"""A trace of a search: what each simulation chose on its way down, why, and what it changed in the tree.

It is read after the search (`agents.show_tree`) and changes nothing in it. A search keeps one where its setting `trace`
is on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from agents.tree.expansion import Width
from agents.tree.node import Node, walk
from agents.tree.selection import Candidates, has_priors
from agents.tree.transpositions import reached_from


@dataclass(frozen=True, slots=True)
class TracedChoice:
    """One decision on the way down: the candidates as they stood then, an entry per candidate in each list.

    `width` is n(s), the number of children that the node was allowed, of which it had `num_children`. `scores` are the
    selection rule's, None where a root selection chose; `priors` are None where nobody measured log-probabilities.
    """

    parent: Node
    parent_visits: int
    width: int
    num_children: int
    nodes: tuple[Node, ...]
    chosen: int  # its place in `nodes`
    q: tuple[float, ...]
    visits: tuple[int, ...]
    scores: tuple[float, ...] | None
    priors: tuple[float, ...] | None


@dataclass(frozen=True, slots=True)
class TracedDescent:
    """One way down, to the node that was to get `num_wanted` of the `width` children that it was allowed."""

    choices: tuple[TracedChoice, ...]
    node: Node
    width: int
    num_wanted: int


@dataclass(frozen=True, slots=True)
class TracedWave:
    """Simulations that ran together: those with the numbers `first` to `last`, one for each new child.

    A wave whose draws brought nothing new counts as one simulation.
    """

    first: int
    last: int
    descents: tuple[TracedDescent, ...]
    children: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class NodeStatistics:
    """The visits of a node, and its q, from a simulation on."""

    simulation: int
    visit_count: int
    q: float


class Trace:
    """What a search recorded: its waves, and how the statistics of each node changed.

    `rule` and `root_rule` are the names of the selection rule and of the root selection, and `c` is the weight of
    exploration. `start` simulations had been run before the recording began: those of a search that was saved and
    resumed.
    """

    def __init__(self, root: Node, width: Width, *, rule: str, root_rule: str, c: float) -> None:
        self.rule = rule
        self.root_rule = root_rule
        self.c = c
        self.start = 0
        self.waves: list[TracedWave] = []
        self.history: dict[Node, list[NodeStatistics]] = {}
        self._width = width
        self._extra_width = 0
        self._choices: list[TracedChoice] = []
        self._descents: list[TracedDescent] = []
        self._keep_statistics(walk(root), 0)

    def resume_from(self, num_simulations: int) -> None:
        """Says that the tree so far is the work of simulations that were not recorded."""
        self.start = num_simulations
        for node, kept in self.history.items():
            self.history[node] = [NodeStatistics(num_simulations, kept[-1].visit_count, kept[-1].q)]

    def begin_descent(self, extra_width: int) -> None:
        """Begins a way down from the root; one that led nowhere is forgotten. `extra_width` is added to every n(s)."""
        self._extra_width = extra_width
        self._choices = []

    def add_choice(self, candidates: Candidates, scores: Sequence[float] | None, chosen: Node) -> None:
        """Records that `chosen` was the choice among the candidates, which the rule scored so."""
        parent = candidates.parent
        self._choices.append(
            TracedChoice(
                parent,
                candidates.parent_visits,
                self._width.allowed(parent, self._extra_width),
                len(parent.children),
                tuple(candidates.nodes),
                candidates.nodes.index(chosen),
                tuple(candidates.q),
                tuple(candidates.visits),
                None if scores is None else tuple(map(float, scores)),
                tuple(candidates.prior) if has_priors(parent) else None,
            )
        )

    def end_descent(self, node: Node, num_wanted: int) -> None:
        """Records that the way down ended at `node`, which is to get `num_wanted` children."""
        width = self._width.allowed(node, self._extra_width)
        self._descents.append(TracedDescent(tuple(self._choices), node, width, num_wanted))

    def end_wave(self, before: int, expanded: Iterable[Node], children: Sequence[Node]) -> None:
        """Records what a wave changed: its children, and the statistics of all from which they can be reached.

        `before` simulations had been run before it.
        """
        last = before + max(1, len(children))
        self.waves.append(TracedWave(before + 1, last, tuple(self._descents), tuple(children)))
        self._descents = []
        changed: dict[Node, None] = {}
        for node in expanded:
            changed |= dict.fromkeys(above for above, _ in reached_from(node, lambda _: 1.0))
            changed |= dict.fromkeys(node.children)
        self._keep_statistics(changed, last)

    def _keep_statistics(self, nodes: Iterable[Node], simulation: int) -> None:
        for node in nodes:
            kept = self.history.setdefault(node, [])
            if not kept or (kept[-1].visit_count, kept[-1].q) != (node.visit_count, node.q):
                kept.append(NodeStatistics(simulation, node.visit_count, node.q))

    def births(self) -> Mapping[Node, int]:
        """Returns the simulation that added each node; those that were there when the recording began are left out."""
        born: dict[Node, int] = {}
        for wave in self.waves:
            born |= {child: wave.first + place for place, child in enumerate(wave.children)}
        return born

    @property
    def num_simulations(self) -> int:
        """The number of the last simulation."""
        return self.waves[-1].last if self.waves else self.start
