"""Accuracy over cost of a field of planners, and what a tree is worth beside the best of the others.

Shapes: B budgets, P problems.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.runs.search_records import SearchRecord
from experiments.runs.statistics import bootstrap_mean

NUM_RESAMPLES = 2_000
AXES: Mapping[str, Callable[[SearchRecord], float]] = {
    "flops": lambda record: record.usage.flops,  # of all models, each at its own size
    "computed": lambda record: record.usage.computed_tokens,  # generated, and read where no prefix was known
    "tokens": lambda record: record.usage.tokens,  # every token generated or scored
    "generated": lambda record: record.usage.policy_tokens + record.usage.rollout_tokens,
}


@dataclass(frozen=True)
class Curve:
    """One planner on one set of problems: which it solved at each budget, and the mean cost there."""

    planner: str
    correct: NDArray[np.float64]  # [B, P], 0 or 1, a share of several repeats
    costs: NDArray[np.float64]  # [B], of a problem, rising

    def at(self, cost: float) -> NDArray[np.float64]:
        """Returns the chance [P] of solving each problem at a cost: linear in its logarithm between two budgets.

        Beyond the first and the last budget it stays as it is there.
        """
        place = np.interp(math.log(cost), np.log(self.costs), np.arange(len(self.costs)))
        low = int(place)
        high = min(low + 1, len(self.costs) - 1)
        share = place - low
        return (1.0 - share) * self.correct[low] + share * self.correct[high]


@dataclass(frozen=True)
class Ratio:
    """A ratio with its 95 % interval. A ratio by nothing is infinite, and 1 where both are nothing."""

    value: float
    ci95: tuple[float, float]


def solved(repeats: Sequence[Sequence[SearchRecord]]) -> NDArray[np.float64]:
    """Returns the share [P] of a planner's searches that solved each problem; one list of P searches a repeat."""
    return np.mean([[float(record.is_correct) for record in found] for found in repeats], axis=0)


def curve_of(planner: str, records: Sequence[Sequence[Sequence[SearchRecord]]], axis: str) -> Curve:
    """Returns the curve of a planner's searches, repeats of each budget, from the smallest to the largest."""
    cost = AXES[axis]
    correct = np.array([solved(repeats) for repeats in records])
    costs = np.array([np.mean([cost(record) for found in repeats for record in found]) for repeats in records])
    # A planner that stops by itself may spend as much at a larger budget.
    return Curve(planner, correct, np.maximum.accumulate(costs + np.arange(len(costs)) * 1e-9))


def best_at(curves: Sequence[Curve], cost: float) -> Curve:
    """Returns the curve that is highest at a cost, the first of equals."""
    return max(curves, key=lambda curve: float(np.mean(curve.at(cost))))


def error_ratio(one_P: NDArray[np.float64], other_P: NDArray[np.float64], seed: int = 0) -> Ratio:
    """Returns the error of one planner over that of another, both on the same problems, which are resampled together.

    >>> error_ratio(np.array([1.0, 1.0, 1.0, 0.0]), np.array([1.0, 1.0, 0.0, 0.0])).value
    0.5
    """
    picks = np.random.default_rng(seed).integers(len(one_P), size=(NUM_RESAMPLES, len(one_P)))
    errors = [1.0 - solved for solved in (one_P, other_P)]
    drawn = [_ratio(float(a), float(b)) for a, b in zip(*(e[picks].mean(axis=1) for e in errors), strict=True)]
    low, high = np.percentile(drawn, (2.5, 97.5), method="nearest")
    return Ratio(_ratio(*(float(e.mean()) for e in errors)), (float(low), float(high)))


def _ratio(one: float, other: float) -> float:
    if other == 0.0:
        return 1.0 if one == 0.0 else math.inf
    return one / other


def cost_factor(tree: Curve, others: Sequence[Curve], budget: int, seed: int = 0) -> Ratio:
    """Returns how many times the tree's cost at budget number `budget` the cheapest other one needs to be as accurate.

    Where none gets there within its budgets, its largest one counts: the factor is at least that.
    """
    rng = np.random.default_rng(seed)
    problems = np.arange(tree.correct.shape[1])
    picks = [problems, *rng.integers(len(problems), size=(NUM_RESAMPLES, len(problems)))]
    factors = [
        min(_cost_of(other, tree.correct[budget, pick].mean(), pick) for other in others) / tree.costs[budget]
        for pick in picks
    ]
    low, high = np.percentile(factors[1:], (2.5, 97.5))
    return Ratio(float(factors[0]), (float(low), float(high)))


def _cost_of(curve: Curve, accuracy: float, pick: NDArray[np.int64]) -> float:
    """Returns the smallest cost at which a curve, of these problems, has reached an accuracy."""
    reached = np.maximum.accumulate(curve.correct[:, pick].mean(axis=1))
    if accuracy <= reached[0]:
        return float(curve.costs[0])
    if accuracy > reached[-1]:
        return float(curve.costs[-1])
    after = int(np.searchsorted(reached, accuracy))
    share = (accuracy - reached[after - 1]) / (reached[after] - reached[after - 1])
    low, high = np.log(curve.costs[[after - 1, after]])
    return math.exp(low + share * (high - low))


def falls(curve: Curve) -> list[tuple[int, float, tuple[float, float]]]:
    """Returns where accuracy falls from one budget to the next by more than noise: the budget's number, by how much.

    By more than noise means that the paired 95 % interval of the difference is below 0.
    """
    found: list[tuple[int, float, tuple[float, float]]] = []
    for number in range(1, len(curve.costs)):
        change_P = curve.correct[number] - curve.correct[number - 1]
        interval = bootstrap_mean(change_P.tolist())
        if interval[1] < 0:
            found.append((number, float(change_P.mean()), interval))
    return found
