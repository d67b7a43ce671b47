"""Backup: carries a leaf's score up to the root, and reads the value of a node from what arrived there."""

from __future__ import annotations

from collections.abc import Sequence

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
    node: Node | None = leaf
    while node is not None:
        node.visit_count += 1
        node.value_sum += score
        if score > node.max_value:
            node.max_value = score
        if gamma != 1.0 and node.parent is not None and (option := node.state.option) is not None:
            score *= options.discount(option, gamma, per_token)
        node = node.parent


def mean_return(node: Node) -> float:
    """Returns the mean of the returns that reached the node."""
    return node.mean


def max_return(node: Node) -> float:
    """Returns the best of the returns that reached the node: a plan is as good as its best continuation."""
    return node.max_value


BACKUPS: dict[str, QFunction] = {"mean": mean_return, "max": max_return}
