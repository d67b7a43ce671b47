"""Final-answer rules: which of the texts that a search has seen is its answer.

A rule returns a finished trajectory, or the node to complete where it settles on one without any.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from agents.answers import AnswerKey, answer_key
from agents.base import RootOption
from agents.tree.node import Node, finished_trajectories, walk
from agents.tree.rules import registry_of_rules
from agents.tree.selection import Candidates, has_priors
from alphallm_env.registry import Registry
from alphallm_env.types import Trajectory

AnswerRule = Callable[[Node], Trajectory | Node]


def best_scored(trajectories: Sequence[Trajectory]) -> Trajectory:
    """Returns the trajectory with the highest score, the first of equals: what training takes."""
    return max(trajectories, key=lambda trajectory: trajectory.score)


def best_leaf(root: Node) -> Trajectory | Node:
    """Returns the best text of the node with the highest leaf score s(s) among those with a finished text."""
    nodes = [node for node in walk(root) if node.finished]
    if not nodes:
        return greedy_leaf(root)
    return best_scored(max(nodes, key=lambda node: node.score or 0.0).finished)


def greedy_descent(root: Node) -> Trajectory | Node:
    """Returns the best text finished at the leaf that the highest values lead down to, else that leaf."""
    leaf = greedy_leaf(root)
    return best_scored(leaf.finished) if leaf.finished else leaf


def orm_rerank(root: Node) -> Trajectory | Node:
    """Returns the trajectory that the ORM scores highest among all that the search has finished."""
    finished = finished_trajectories(root)
    return best_scored(finished) if finished else greedy_leaf(root)


def weighted_vote(root: Node) -> Trajectory | Node:
    """Returns the best-scored trajectory of the answer whose trajectories' scores add up highest."""
    finished = finished_trajectories(root)
    return vote(finished, [trajectory.score for trajectory in finished]) if finished else greedy_leaf(root)


def greedy_leaf(root: Node) -> Node:
    """Returns the leaf reached by always taking the child with the highest value, the first of equals."""
    node = root
    while node.children:
        node = max(node.children, key=lambda child: child.q)
        node = node.same_as or node
    return node


def vote(trajectories: Sequence[Trajectory], weights: Sequence[float]) -> Trajectory:
    """Returns the best-scored trajectory of the answer with the highest total weight, then most votes.

    Texts without an answer do not vote. Of equal answers the one found first wins; where no text has an
    answer, the best-scored text.
    """
    ballots = _ballots(trajectories, weights)
    if not ballots:
        return best_scored(trajectories)
    return best_scored([trajectory for trajectory, _ in max(ballots.values(), key=_total)])


def _ballots(
    trajectories: Sequence[Trajectory], weights: Sequence[float]
) -> dict[AnswerKey, list[tuple[Trajectory, float]]]:
    """Returns trajectories with their weights, by what they answer."""
    ballots: defaultdict[AnswerKey, list[tuple[Trajectory, float]]] = defaultdict(list)
    for trajectory, weight in zip(trajectories, weights, strict=True):
        key = answer_key(trajectory.state.text)
        if key is not None:
            ballots[key].append((trajectory, weight))
    return ballots


def _total(ballot: Sequence[tuple[Trajectory, float]]) -> tuple[float, int]:
    return sum(weight for _, weight in ballot), len(ballot)


ANSWER_RULES: Registry[AnswerRule] = registry_of_rules(
    "answer_rule",
    {
        "best_leaf": best_leaf,
        "greedy_descent": greedy_descent,
        "orm_rerank": orm_rerank,
        "weighted_vote": weighted_vote,
    },
    "a function of the root that returns a finished trajectory or the node to complete",
)


def root_options(root: Node) -> tuple[RootOption, ...]:
    """Returns the options that a search considered at its root, with their statistics."""
    priors = Candidates(root, root.children).prior if has_priors(root) else [None] * len(root.children)
    return tuple(
        RootOption(child.state.option, child.visit_count, child.q, prior)
        for child, prior in zip(root.children, priors, strict=True)
        if child.state.option is not None
    )
