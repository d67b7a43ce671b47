"""Backup: carries a leaf's score up to the root, and reads the value of a node from what arrived there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat

from agents.selection import QFunction
from agents.tree import Node
from alphallm_env import options


def discounted_returns(score: float, discounts: Sequence[float]) -> list[float]:
    """Returns what a leaf's score is worth at the leaf and at each node above it, up to the root.

    `discounts` has the discount of each option on the way, the last option's first: the return of a node
    is the product of the discounts below it, times the score.
    """
    returns = [score]
    for factor in discounts:
        returns.append(returns[-1] * factor)
    return returns


def backup(leaf: Node, score: float, gamma: float = 1.0, per_token: bool = False) -> None:
    """Adds a visit and the discounted score to `leaf` and every node above it.

    γ counts once per option, or as γ^τ for an option of τ tokens where `per_token` is set.
    """
    path = list(leaf.path())
    values: Iterable[float] = repeat(score)  # what undiscounted returns are, all the way up
    if gamma != 1.0:
        steps = [node.state.option for node in path[:-1]]
        discounts = [options.discount(option, gamma, per_token) for option in steps if option is not None]
        values = discounted_returns(score, discounts)
    for node, value in zip(path, values, strict=False):
        node.visit_count += 1
        node.value_sum += value
        if value > node.max_value:
            node.max_value = value


def mean_return(node: Node) -> float:
    """Returns the mean of the returns that reached the node."""
    return node.mean


def max_return(node: Node) -> float:
    """Returns the best of the returns that reached the node: a plan is as good as its best continuation."""
    return node.max_value


BACKUPS: dict[str, QFunction] = {"mean": mean_return, "max": max_return}
