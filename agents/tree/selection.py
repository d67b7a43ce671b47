"""Selection: which child a simulation descends to. UCT and PUCT; `halving` has the rule for the root.

A selection rule scores all candidates of a node at once; the highest score is searched next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, log, sqrt

import numpy as np

from agents.tree.node import Node
from agents.tree.rules import registry_of_rules
from alphallm_env.registry import Registry
from alphallm_env.runtime.seeds import derive_seed


def _diluted(node: Node) -> tuple[float, int]:
    """Returns q and visits where each simulation in flight is a visit that returned 0."""
    visits = node.visit_count + node.virtual_loss
    return (node.q * node.visit_count / visits if visits else 0.0), visits


class Candidates:
    """The children of one node among which a rule chooses: for each statistic a list, with an entry per child.

    A simulation in flight counts as a visit that returned 0, in `q`, `visits` and `parent_visits`. `q_and_visits` has
    pairs, for rules that need to be fast. The other statistics are computed when they are asked for.
    """

    __slots__ = ("nodes", "parent", "parent_visits", "q_and_visits")

    def __init__(self, parent: Node, nodes: Sequence[Node]) -> None:
        self.parent = parent
        self.nodes = nodes
        self.parent_visits: int = parent.visit_count + parent.virtual_loss
        self.q_and_visits: list[tuple[float, int]] = (
            [_diluted(node) for node in nodes]
            if parent.virtual_loss
            else [(node.q, node.visit_count) for node in nodes]
        )

    def __len__(self) -> int:
        return len(self.nodes)

    @property
    def q(self) -> list[float]:
        """The value that the backup rule gives each child, 0 before the first visit."""
        return [q for q, _ in self.q_and_visits]

    @property
    def visits(self) -> list[int]:
        """The visits of each child."""
        return [visits for _, visits in self.q_and_visits]

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
Record = Callable[[Candidates, Sequence[float] | None, Node], None]  # told the candidates, their scores, the choice


def uct(candidates: Candidates, c: float) -> list[float]:
    """Returns q + c · √(2 · ln parent_visits / visits) of each child, infinity for one never visited.

    Kocsis & Szepesvári 2006, the constant 2 as in Auer et al. 2002.
    Differs: AlphaLLM prints ln(N/n) for ln N / n, a likely slip; its code leaves out the constant 2.
    """
    explore = 2 * log(candidates.parent_visits or 1)
    scores: list[float] = []
    for q, visits in candidates.q_and_visits:  # searches spend much time here: no comprehension, which adds a call
        scores.append(q + c * sqrt(explore / visits) if visits else inf)
    return scores


def puct(candidates: Candidates, c: float) -> list[float]:
    """Returns q + c · prior · √parent_visits / (1 + visits) of each child. Silver et al. 2017."""
    explore = sqrt(candidates.parent_visits)
    columns = zip(candidates.q, candidates.prior, candidates.visits, strict=True)
    return [q + c * prior * explore / (1 + visits) for q, prior, visits in columns]


SELECTION_RULES: Registry[SelectionRule] = registry_of_rules(
    "selection", {"uct": uct, "puct": puct}, "a function of candidates and c that returns a score for each candidate"
)


def select_child(
    parent: Node, children: Sequence[Node], rule: SelectionRule, c: float, record: Record | None = None
) -> Node:
    """Returns the one of `children` that the rule scores highest, the first of equals. `record` is told of the choice.

    Raises ValueError unless the rule returns one score for each.
    """
    candidates = Candidates(parent, children)
    scores = rule(candidates, c)
    if type(scores) is not list:  # an array has no `index`
        scores = list(scores)
    if len(scores) != len(children):
        raise ValueError(f"a selection rule must return {len(children)} scores, got {len(scores)}")
    chosen = children[scores.index(max(scores))]
    if record is not None:
        record(candidates, scores, chosen)
    return chosen


def has_priors(parent: Node) -> bool:
    """Returns whether the log-probabilities of all the node's children are known."""
    return all(m.option and m.option.log_prob is not None for child in parent.children for m in child.members)
