"""Selection: which child a simulation descends to. UCT and PUCT; `halving` has the rule for the root.

A selection rule scores all candidates of a node at once; the highest score is searched next.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from operator import attrgetter

import numpy as np

from agents.tree.node import Node
from agents.tree.rules import registry_of_rules
from alphallm_env.registry import Registry
from alphallm_env.runtime.seeds import derive_seed

_q_of = attrgetter("q")
_visits_of = attrgetter("visit_count")


class Candidates:
    """The children of one node among which a rule chooses: a sequence a statistic, with an entry a child, in order.

    `q` is the value that the backup rule gives a child, `visits` its visits. A simulation in flight counts as a visit
    that returned 0, in these and in `parent_visits`. What is costly is computed when it is asked for.
    """

    __slots__ = ("nodes", "parent", "parent_visits", "q", "visits")

    def __init__(self, parent: Node, nodes: Sequence[Node]) -> None:
        self.parent = parent
        self.nodes = nodes
        self.parent_visits: int = parent.visit_count + parent.virtual_loss
        self.q: list[float] = list(map(_q_of, nodes))
        self.visits: list[int] = list(map(_visits_of, nodes))
        if parent.virtual_loss:  # else nothing is in flight below
            self._add_virtual_losses()

    def _add_virtual_losses(self) -> None:
        for index, node in enumerate(self.nodes):
            if node.virtual_loss:
                self.visits[index] += node.virtual_loss
                self.q[index] = self.q[index] * node.visit_count / self.visits[index]

    def __len__(self) -> int:
        return len(self.nodes)

    @property
    def variance(self) -> list[float]:
        """The variance of the returns of each child, 0 before the second."""
        return [node.variance for node in self.nodes]

    @property
    def prior(self) -> list[float]:
        """The probability per token of each child's option, as a share of all siblings', candidates or not.

        Raises ValueError if nobody measured the log-probabilities.
        """
        total = sum(sibling.prior for sibling in self.parent.children)
        return [node.prior / total for node in self.nodes]

    @property
    def value(self) -> list[float | None]:
        """The value critic's score of each child, None where the critic is switched off or the text has ended."""
        return [node.value for node in self.nodes]

    @property
    def prm(self) -> list[float | None]:
        """The PRM's score of each child, None where the critic is switched off or the text has ended."""
        return [node.prm for node in self.nodes]

    @property
    def orm(self) -> list[float | None]:
        """The ORM's score of each child: of an ended text, else the mean over its rollouts; None without either."""
        return [node.orm for node in self.nodes]

    @property
    def rng(self) -> np.random.Generator:
        """A generator made from the node's seed and its visits: the same for the same choice of the same search.

        Every access makes it anew: keep it while you draw.
        """
        return np.random.default_rng(derive_seed(self.parent.seed, "select", self.parent_visits))


SelectionRule = Callable[[Candidates, float], Sequence[float]]


def uct(candidates: Candidates, c: float) -> list[float]:
    """Returns q + c · √(2 · ln parent_visits / visits) of each child, infinity for one never visited.

    Kocsis & Szepesvári 2006, the constant 2 as in Auer et al. 2002.
    Differs: AlphaLLM prints ln(N/n) for ln N / n, a likely slip; its code leaves out the constant 2.
    """
    explore, sqrt = 2 * math.log(max(1, candidates.parent_visits)), math.sqrt
    return [
        q + c * sqrt(explore / visits) if visits else math.inf
        for q, visits in zip(candidates.q, candidates.visits, strict=True)
    ]


def puct(candidates: Candidates, c: float) -> list[float]:
    """Returns q + c · prior · √parent_visits / (1 + visits) of each child. Silver et al. 2017."""
    explore = math.sqrt(candidates.parent_visits)
    columns = zip(candidates.q, candidates.prior, candidates.visits, strict=True)
    return [q + c * prior * explore / (1 + visits) for q, prior, visits in columns]


SELECTION_RULES: Registry[SelectionRule] = registry_of_rules(
    "selection", {"uct": uct, "puct": puct}, "a function of candidates and c that returns a score for each candidate"
)


def select_child(parent: Node, children: Sequence[Node], rule: SelectionRule, c: float) -> Node:
    """Returns the one of `children` that the rule scores highest, the first of equals.

    Raises ValueError unless the rule returns one score for each.
    """
    scores = rule(Candidates(parent, children), c)
    if type(scores) is not list:  # an array has no `index`
        scores = list(scores)
    if len(scores) != len(children):
        raise ValueError(f"a selection rule must return {len(children)} scores, got {len(scores)}")
    return children[scores.index(max(scores))]
