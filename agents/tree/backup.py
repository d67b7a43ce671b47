"""Backup: carries a leaf's score up to the root, and reads the value of a node from what arrived there."""

from __future__ import annotations

from agents.tree.node import Node
from agents.tree.selection import QFunction
from alphallm_env.mdp.options import discount


def backup(leaf: Node, score: float, gamma: float = 1.0, per_token: bool = False) -> None:
    """Adds a visit and the discounted score to `leaf` and every node above it.

    The return of a node is the score times the discounts of the options below it: γ counts once per option,
    or as γ^τ for an option of τ tokens where `per_token` is set.
    """
    node: Node | None = leaf
    value = score
    while node is not None:
        node.visit_count += 1
        node.value_sum += value
        if value > node.max_value:
            node.max_value = value
        if gamma != 1.0 and (option := node.state.option) is not None:
            value *= discount(option, gamma, per_token)
        node = node.parent


def mean_return(node: Node) -> float:
    """Returns the mean of the returns that reached the node, `node.mean` without a call: selection asks it most."""
    visits = node.visit_count
    return node.value_sum / visits if visits else 0.0


def max_return(node: Node) -> float:
    """Returns the best of the returns that reached the node: a plan is as good as its best continuation."""
    return node.max_value


BACKUPS: dict[str, QFunction] = {"mean": mean_return, "max": max_return}
