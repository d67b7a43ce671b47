"""Selection: which child a simulation goes down to. UCT, PUCT, and Gumbel with sequential halving.

A selection rule scores one child from its statistics; the highest score is searched next.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agents.tree.node import Node
from alphallm_env.runtime.seeds import derive_seed

QFunction = Callable[[Node], float]


@dataclass(frozen=True, slots=True)
class ChildStatistics:
    """What a rule may know of a child. Simulations in flight count as visits that returned 0."""

    q: float
    visits: int
    parent_visits: int
    prior: Callable[[], float]  # normalised over the siblings; asked for only by rules that use it


SelectionRule = Callable[[ChildStatistics, float], float]


def uct(q: float, visits: int, parent_visits: int, c: float) -> float:
    """Returns q + c · √(2 · ln parent_visits / visits), infinity for a child never visited.

    Kocsis & Szepesvári 2006, the constant 2 as in Auer et al. 2002.
    Differs: AlphaLLM prints ln(N/n) for ln N / n, a likely slip; its code leaves out the constant 2.
    """
    if visits == 0:
        return math.inf
    return q + c * math.sqrt(2 * math.log(max(1, parent_visits)) / visits)


def puct(q: float, prior: float, visits: int, parent_visits: int, c: float) -> float:
    """Returns q + c · prior · √parent_visits / (1 + visits). Silver et al. 2017."""
    return q + c * prior * math.sqrt(parent_visits) / (1 + visits)


def uct_rule(child: ChildStatistics, c: float) -> float:
    """Scores a child by `uct`."""
    return uct(child.q, child.visits, child.parent_visits, c)


def puct_rule(child: ChildStatistics, c: float) -> float:
    """Scores a child by `puct`; the prior is its option's probability per token."""
    return puct(child.q, child.prior(), child.visits, child.parent_visits, c)


SELECTION_RULES: dict[str, SelectionRule] = {"uct": uct_rule, "puct": puct_rule}


def select_child(parent: Node, children: Sequence[Node], rule: SelectionRule, c: float, q: QFunction) -> Node:
    """Returns the one of `children` that the rule scores highest, the first of equals."""
    parent_visits = parent.visit_count + parent.virtual_loss
    if rule is uct_rule:
        return _highest_uct(children, parent_visits, c, q)

    def score(child: Node) -> float:
        visits = child.visit_count + child.virtual_loss
        dilution = child.visit_count / visits if visits else 0.0
        return rule(ChildStatistics(q(child) * dilution, visits, parent_visits, lambda: normalised_prior(child)), c)

    return max(children, key=score)


def _highest_uct(children: Sequence[Node], parent_visits: int, c: float, q: QFunction) -> Node:
    """Returns what `select_child` does by `uct_rule`, written out: every simulation passes here at every depth."""
    explore, sqrt = 2 * math.log(max(1, parent_visits)), math.sqrt
    best, highest = children[0], -math.inf
    for child in children:
        counted = child.visit_count
        visits = counted + child.virtual_loss
        if visits == 0:
            return child
        score = q(child) * counted / visits + c * sqrt(explore / visits)
        if score > highest:
            best, highest = child, score
    return best


def normalised_prior(child: Node) -> float:
    """Returns the child's prior as a share of all its siblings' priors."""
    siblings = child.parent.children if child.parent else [child]
    return child.prior / sum(sibling.prior for sibling in siblings)


def gumbel_score(noise: float, log_prior: float, q: float, max_visits: int, c_visit: float, c_scale: float) -> float:
    """Returns g + logit + (c_visit + max_visits) · c_scale · q. Danihelka et al. 2022, equations 8 and 10."""
    return noise + log_prior + (c_visit + max_visits) * c_scale * q


def gumbel_noise(seed: int) -> float:
    """Returns a sample of the standard Gumbel distribution that belongs to `seed` in [0, 2^63)."""
    return -math.log(-math.log((seed + 0.5) / 2**63))


@dataclass(frozen=True)
class Gumbel:
    """Chooses at the root by the Gumbel trick and sequential halving. Danihelka et al. 2022, algorithm 1.

    `num_simulations` is how many are planned below the root's children: the halvings share it out. Where
    the budget holds more, the last two candidates share the rest.
    Differs: the policy's options are samples already, so the candidates are the root's children, and the
    Gumbel noise ranks those.
    """

    num_simulations: int = 64
    num_considered: int = 16
    c_visit: float = 50.0
    c_scale: float = 1.0

    def __post_init__(self) -> None:
        for name in ("num_simulations", "num_considered"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")

    def start(self, seed: int) -> SequentialHalving:
        """Returns the state of one search."""
        return SequentialHalving(self, seed)


class SequentialHalving:
    """Shares one search's simulations among the root's children, dropping half of them again and again."""

    def __init__(self, config: Gumbel, seed: int) -> None:
        self._config = config
        self._seed = seed
        self._dropped: set[int] = set()  # indices of children that lost
        self._left_in_phase = 0
        self._num_phases = 0
        self._planned_phases = 1

    def choose(self, children: Sequence[Node], q: QFunction) -> Node:
        """Returns the candidate among `children` with the fewest visits, the better-scored one of equals."""
        if self._left_in_phase == 0:
            self._next_phase(children, q)
        self._left_in_phase -= 1
        considered = self._considered(children) or list(children)
        scores = self._scores(considered, q)
        return min(considered, key=lambda child: (child.visit_count + child.virtual_loss, -scores[child.index]))

    def _considered(self, children: Sequence[Node]) -> list[Node]:
        return [child for child in children if child.index not in self._dropped]

    def _next_phase(self, children: Sequence[Node], q: QFunction) -> None:
        """Drops the lower half (at first: all but the planned number), and shares out the next visits."""
        ranked = self._considered(children) or list(children)
        scores = self._scores(ranked, q)
        ranked.sort(key=lambda child: -scores[child.index])
        if self._num_phases == 0:
            num_kept = min(self._config.num_considered, len(ranked))
            self._planned_phases = max(1, math.ceil(math.log2(num_kept)))
        else:
            num_kept = min(len(ranked), max(2, len(ranked) // 2))
        self._dropped.update(child.index for child in ranked[num_kept:])
        visits_each = max(1, self._config.num_simulations // (self._planned_phases * num_kept))
        self._left_in_phase = visits_each * num_kept
        self._num_phases += 1

    def _scores(self, children: Sequence[Node], q: QFunction) -> dict[int, float]:
        config = self._config
        most = max(child.visit_count for child in children)
        return {
            child.index: gumbel_score(
                gumbel_noise(derive_seed(self._seed, "gumbel", child.index)),
                math.log(normalised_prior(child)),
                q(child),
                most,
                config.c_visit,
                config.c_scale,
            )
            for child in children
        }
