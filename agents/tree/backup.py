"""Backup: carries a leaf's score up to the root, and sets the value q of every node on the way.

A backup rule returns q of a node whose statistics are up to date, as those of its children are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

from agents.tree.node import Node
from agents.tree.rules import registry_of_rules
from agents.tree.transpositions import reached_from
from alphallm_env.mdp.discounting import discount_of
from alphallm_env.mdp.options import TO_THE_END, OptionRule
from alphallm_env.registry import Registry

BackupRule = Callable[[Node], float]


def mean_return(node: Node) -> float:
    """Returns the mean of the returns that reached the node."""
    return node.value_sum / node.visit_count


def max_return(node: Node) -> float:
    """Returns the best of the returns that reached the node: a plan is as good as its best continuation."""
    return node.max_value


def backup(
    siblings: Sequence[Node],
    scores: Sequence[float],
    gamma: float = 1.0,
    per_token: bool = False,
    rule: BackupRule = mean_return,
    option_rule: OptionRule = TO_THE_END,
) -> None:
    """Adds a visit and the discounted score to each of the siblings and to every node above them, and sets their q.

    The return of a node is the score times the discounts of the options below it: γ counts once per option,
    or as γ^τ for an option of τ tokens where `per_token` is set. An option that runs to the end of a solution counts as
    often as `option_rule` would have ended it.
    """
    if not siblings:
        return
    squares = 0.0
    for leaf, score in zip(siblings, scores, strict=True):
        square = score * score
        squares += square
        # A first return is shared with the leaf's score, which saves an object for most nodes of a tree.
        leaf.value_sum = leaf.value_sum + score if leaf.visit_count else score
        leaf.square_sum += square
        if score > leaf.max_value:
            leaf.max_value = score
        leaf.visit_count += 1
        leaf.q = rule(leaf)
    node, returns = siblings[0].parent, scores
    if gamma != 1.0:
        returns = [
            value * discount_to(leaf, gamma, per_token, option_rule)
            for leaf, value in zip(siblings, scores, strict=True)
        ]
        squares = sum(value * value for value in returns)
    highest, num_returns = max(returns), len(returns)
    parent, at_parent, has_aliases, num_above = node, returns, False, 0
    while node is not None:
        num_above += 1
        if node.aliases:
            has_aliases = True
        total = node.value_sum
        for value in returns:
            total += value
        node.value_sum = total
        node.square_sum += squares
        if highest > node.max_value:
            node.max_value = highest
        node.visit_count += num_returns
        node.q = rule(node)
        if gamma != 1.0:
            factor = discount_to(node, gamma, per_token, option_rule)
            returns = [value * factor for value in returns]
            squares, highest = squares * factor * factor, highest * factor
        node = node.parent
    if has_aliases and parent is not None:
        ways = reached_from(parent, lambda above: discount_to(above, gamma, per_token, option_rule))
        for other, factor in islice(ways, num_above, None):  # beside the tree's own path
            other.value_sum += factor * sum(at_parent)
            other.square_sum += factor * factor * sum(value * value for value in at_parent)
            other.max_value = max(other.max_value, factor * max(at_parent))
            other.visit_count += num_returns
            other.q = rule(other)


def rescore(
    node: Node,
    score: float,
    gamma: float = 1.0,
    per_token: bool = False,
    rule: BackupRule = mean_return,
    option_rule: OptionRule = TO_THE_END,
) -> None:
    """Sets a new score of a node whose score was backed up, and corrects the sums above it: no visit is added."""
    before, node.score = node.score or 0.0, score
    for above, factor in reached_from(node, lambda above: discount_to(above, gamma, per_token, option_rule)):
        new, old = score * factor, before * factor
        above.value_sum += new - old
        above.square_sum += new * new - old * old
        above.max_value = max(above.max_value, new)
        above.q = rule(above)


def discount_to(node: Node, gamma: float, per_token: bool, option_rule: OptionRule) -> float:
    """Returns the discount of the option that led to the node, 1 where none did."""
    option = node.state.option
    return 1.0 if option is None else discount_of(option, gamma, per_token, option_rule)


BACKUPS: Registry[BackupRule] = registry_of_rules(
    "backup", {"mean": mean_return, "max": max_return}, "a function of a node that returns its q"
)
