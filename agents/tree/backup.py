"""Backup: carries a leaf's score up to the root, and sets the value q of every node on the way.

A backup rule returns q of a node whose statistics are up to date, as those of its children are.
"""

from __future__ import annotations

from collections.abc import Callable

from agents.tree.node import Node
from agents.tree.rules import registry_of_rules
from alphallm_env.mdp.options import discount
from alphallm_env.registry import Registry

BackupRule = Callable[[Node], float]


def mean_return(node: Node) -> float:
    """Returns the mean of the returns that reached the node."""
    return node.value_sum / node.visit_count


def max_return(node: Node) -> float:
    """Returns the best of the returns that reached the node: a plan is as good as its best continuation."""
    return node.max_value


def backup(
    leaf: Node, score: float, gamma: float = 1.0, per_token: bool = False, rule: BackupRule = mean_return
) -> None:
    """Adds a visit and the discounted score to `leaf` and every node above it, and sets their q by the rule.

    The return of a node is the score times the discounts of the options below it: γ counts once per option,
    or as γ^τ for an option of τ tokens where `per_token` is set.
    """
    node: Node | None = leaf
    value, square = score, score * score
    while node is not None:
        node.visit_count += 1
        node.value_sum += value
        node.square_sum += square
        if value > node.max_value:
            node.max_value = value
        node.q = rule(node)
        if gamma != 1.0 and (option := node.state.option) is not None:
            value *= discount(option, gamma, per_token)
            square = value * value
        node = node.parent


BACKUPS: Registry[BackupRule] = registry_of_rules(
    "backup", {"mean": mean_return, "max": max_return}, "a function of a node that returns its q"
)
