"""Expansion with adaptive width: how many children a state deserves, and how new ones are drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from agents.tree.merging import MergeMode, MergeRule, find_twin
from agents.tree.node import Node
from agents.tree.transpositions import Positions
from alphallm_env.runtime.metering import current_meter
from alphallm_env.simulator import Simulator


def importance(value: float, child_values: Sequence[float]) -> float:
    """Returns I(s) = max_i |v([s, o_i]) − v(s)|, 0 before the first child. In [0, 1], as values are."""
    return max((abs(child_value - value) for child_value in child_values), default=0.0)


def allowed_children(importance: float, alpha: float, min_children: int, max_children: int) -> int:
    """Returns n(s) = max(c_min, min(⌊α · c_max · I(s)⌋ + 1, c_max)).

    Differs: AlphaLLM has ⌊α · I(s)⌋. Our values are in [0, 1], so with its α = 1 that is 0 for all but
    I = 1, n(s) never leaves c_min, and the width is fixed. In units of c_max, α = 1 reads: an importance
    of 1 opens the whole width, of one half, half of it, at every depth. α = 0 fixes the width at c_min.

    >>> [allowed_children(i, alpha=1.0, min_children=2, max_children=10) for i in (0.0, 0.25, 0.5, 1.0)]
    [2, 3, 6, 10]
    """
    return max(min_children, min(math.floor(alpha * max_children * importance) + 1, max_children))


def widened(visits: int, growth: float, min_children: int) -> int:
    """Returns ⌊c_min · (N / c_min)^growth⌋, at least c_min: how wide N visits make a node.

    Progressive widening (Coulom 2007; Chaslot et al. 2008), which begins once every first child could be visited once.

    >>> [widened(visits, growth=0.5, min_children=8) for visits in (0, 8, 32, 128)]
    [8, 8, 16, 32]
    """
    return max(min_children, math.floor(min_children * (visits / min_children) ** growth))


@dataclass(frozen=True)
class Width:
    """The settings of adaptive width: how many children a node gets, at the root and below it.

    `alpha = 0` fixes the width at c_min. With `growth`, a node widens with its visits (`widened`), so that a large
    budget is not spent below a few first options. A search whose tree is exhausted ends, even with budget left; where
    `widens` is set, it first raises n(s) of all nodes, up to c_max.
    """

    alpha: float = 1.0
    c_min_root: int = 4
    c_min: int = 2
    c_max_root: int = 8
    c_max: int = 4
    widens: bool = False
    growth: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.growth <= 1.0:
            raise ValueError(f"growth must be in [0, 1], got {self.growth}")
        if self.alpha < 0:
            raise ValueError(f"alpha must be >= 0, got {self.alpha}")
        for low, high in ((self.c_min_root, self.c_max_root), (self.c_min, self.c_max)):
            if not 1 <= low <= high:
                raise ValueError(f"expected 1 <= c_min <= c_max, got c_min={low}, c_max={high}")

    def limits(self, node: Node) -> tuple[int, int]:
        """Returns c_min(t) and c_max(t) of a node."""
        return (self.c_min_root, self.c_max_root) if node.parent is None else (self.c_min, self.c_max)

    def allowed(self, node: Node, extra: int = 0) -> int:
        """Returns n(s) + `extra`, at most c_max. I(s) is that of the children so far."""
        low, high = self.limits(node)
        if self.growth:
            low = min(widened(node.visit_count, self.growth, low), high)
        if self.alpha == 0 or node.value is None:
            return min(low + extra, high)
        values = [value for child in node.children if (value := _value(child)) is not None]
        return min(allowed_children(importance(node.value, values), self.alpha, low, high) + extra, high)

    def wants_child(self, node: Node, extra: int = 0) -> bool:
        """Returns whether the node should get another child before the search descends below it."""
        if node.is_terminal or node.is_saturated or node.visit_count < node.rest_until:
            return False
        num_children = len(node.children) + node.num_pending
        if num_children >= (self.c_max_root if node.parent is None else self.c_max):
            return False
        low = self.c_min_root if node.parent is None else self.c_min
        return num_children < low or num_children < self.allowed(node, extra)


def _value(child: Node) -> float | None:
    """Returns v of a child, and of an ended one the score that was backed up.

    Differs: AlphaLLM asks the value critic about ended texts too; the ORM judges just that, and better.
    """
    return child.score if child.value is None else child.value


@dataclass(frozen=True)
class Sampling:
    """How options are drawn, and what becomes of one that means the same as a sibling.

    After `merge_tries` samples in a row that brought nothing new a node rests, and the search descends below it.
    It draws again once it was visited as often as the evidence asks for: the rarer something new may still be, the
    later (`rest`). So a chance row of repeats never leaves a node below c_min. A node is saturated, and draws no more,
    once something new is less likely than `NEGLIGIBLE`, or once the texts seen there carry `known_mass` of the
    policy's probability (None: however much they carry). A node at `depth_limit` draws options that run to the end of
    the solution. With `checks`, an option that `Simulator.is_sound` refuses is no child; the draw brought nothing new.
    With `transpositions`, a child at which the same is left to do as at a node elsewhere in the tree
    (`Simulator.position`) shares that one's subtree, and no critic is asked about it.

    Differs: AlphaLLM draws up to 5 times for a child, whatever was found before, and does not say what follows.
    """

    temperature: float | None = None  # the policy's own where None
    depth_limit: int = 10  # options
    merge_rule: MergeRule | None = None  # no merging where None
    merge_mode: MergeMode = MergeMode.MERGE
    merge_tries: int = 5
    known_mass: float | None = None
    expansion_batch: int = 1  # of the first c_min children of a node, how many are drawn at once
    checks: bool = False  # whether options that rules refuse are pruned before anything is paid for below them
    transpositions: bool = False  # whether nodes at one position share a subtree

    def __post_init__(self) -> None:
        for name in ("depth_limit", "merge_tries", "expansion_batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")
        if self.known_mass is not None and not 0.0 < self.known_mass <= 1.0:
            raise ValueError(f"known_mass must be in (0, 1] or None, got {self.known_mass}")

    def covers(self, node: Node) -> bool:
        """Returns whether the texts seen at this node carry so much probability that no more are worth drawing."""
        return self.known_mass is not None and probability_seen(node) >= self.known_mass


NEGLIGIBLE = 0.01  # a probability of something new that is worth no more draws
_DOUBT = 0.05  # how often the truth may lie above a bound
_Z = 1.645  # the standard normal quantile of 1 − _DOUBT


def unseen_mass(num_draws: int, num_once: int, num_twice: int) -> float:
    """Returns an upper bound, at 95 %, of the probability that the next draw brings something new.

    Of `num_draws` draws so far, `num_once` brought something that came once, and `num_twice` things came twice. Good
    (1953) and Turing estimate n₁/n; √(n₁(1 − n₁/n) + 2n₂)/n is the standard error of Esty (1983). n draws can show no
    less than 1 − 0.05^(1/n), the "rule of three", which alone counts where all came more often.

    >>> [round(unseen_mass(n, 0, 0), 2) for n in (5, 30, 300)]
    [0.45, 0.1, 0.01]
    >>> round(unseen_mass(40, 10, 5), 2)  # 10 / 40 + 1.645 · √(10 · 0.75 + 10) / 40
    0.42
    """
    if num_draws == 0:
        return 1.0
    estimate = num_once / num_draws
    error = math.sqrt(num_once * (1.0 - estimate) + 2.0 * num_twice) / num_draws
    return min(1.0, max(estimate + _Z * error, 1.0 - _DOUBT ** (1.0 / num_draws)))


def unseen_mass_at(node: Node) -> float:
    """Returns the bound on the probability that an option drawn at a node is new there."""
    draws = [child.num_draws for child in node.children]
    return unseen_mass(node.num_sampled, draws.count(1), draws.count(2))


def rest(node: Node) -> None:
    """Ends the drawing at a node that met repeats only: for good where that is evidence, else for some visits.

    It draws again after n/p visits, for n draws so far and a probability p of something new, so that draws in vain
    stay rare beside visits, and become rarer. Something new found then ends the rest.
    """
    unseen = unseen_mass_at(node)
    node.is_saturated = unseen <= NEGLIGIBLE
    node.rest_until = max(node.visit_count + 1, math.ceil(node.num_sampled / unseen))


def probability_seen(node: Node) -> float:
    """Returns how likely the policy is to take one of the options seen at the node's own state, Σ exp(log_prob).

    β ends every option, so none is a prefix of another, and the sum over different texts is a probability.
    """
    members = [member for child in node.children for member in child.members if member.parent is node.state]
    log_probs = {member.option.text: member.option.log_prob for member in members if member.option}
    return sum(math.exp(log_prob) for log_prob in log_probs.values() if log_prob is not None)


async def grow(
    simulator: Simulator, node: Node, num_children: int, sampling: Sampling, positions: Positions | None = None
) -> list[Node]:
    """Returns up to `num_children` new children of `node`, fewer if the policy repeats itself.

    With `positions`, one that is at the position of another node is marked as the same as that. Where a model call
    fails, the node keeps what was drawn before, and the next call resumes from there.
    """
    grown: list[Node] = []
    node.rest_until = 0
    while len(grown) < num_children and node.num_repeats < sampling.merge_tries and not sampling.covers(node):
        for child in await _draw(simulator, node, num_children - len(grown), sampling, positions):
            if child is None:
                node.num_repeats += 1
            else:
                node.num_repeats = 0
                grown.append(child)
    if sampling.covers(node):
        node.is_saturated = True
    elif node.num_repeats >= sampling.merge_tries:
        rest(node)
    node.num_repeats = 0
    return grown


async def _draw(
    simulator: Simulator, node: Node, num_options: int, sampling: Sampling, positions: Positions | None
) -> list[Node | None]:
    """Draws options from one of the node's states. Returns for each the new child, None where it is refused.

    It is where it repeats a sibling, and with `sampling.checks` where it is not sound.
    """
    start = node.members[node.num_sampled % len(node.members)]
    options = await simulator.propose(
        start,
        num_options,
        node.seed,
        first_index=node.num_sampled,
        to_the_end=node.depth >= sampling.depth_limit,
        temperature=sampling.temperature,
    )
    node.num_sampled += len(options)
    opened: list[Node | None] = []
    for option in options:
        state = simulator.next_state(start, option)
        if sampling.checks and simulator.is_sound(state) is False:
            current_meter().rejected(option.num_tokens)
            opened.append(None)
            continue
        twin = find_twin(state, node.children, sampling.merge_rule)
        if twin is None:
            child = node.add_child(state)
            opened.append(child)
            if positions is not None:
                positions.enter(child)
            continue
        opened.append(None)
        twin.num_draws += 1
        current_meter().rejected(option.num_tokens)
        if sampling.merge_mode is MergeMode.MERGE and twin.same_as is None:
            twin.join(state)
    return opened
