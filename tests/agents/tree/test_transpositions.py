"""Nodes at which the same is left to do: a hand-made graph, and searches of games in which steps commute."""

from __future__ import annotations

from functools import cache

import pytest
from scripted_world import START, add_child

from agents import eta_mcts
from agents.base import Budget
from agents.mcts import EtaMCTS
from agents.tree.backup import backup, mean_return, rescore
from agents.tree.node import Node, walk
from agents.tree.reuse import kept_subtree
from agents.tree.transpositions import link, reached_from
from alphallm_env.loading import build_simulator, load_policy, shared_engine
from alphallm_env.mdp.dynamics import Rules
from alphallm_env.problems import load_problems
from alphallm_env.problems.countdown.verifier import CountdownVerifier
from alphallm_env.simulator import Simulator


def no_discount(_: Node) -> float:
    return 1.0


def statistics(node: Node) -> tuple[int, float, float]:
    return node.visit_count, node.value_sum, node.max_value


def grown(parent: Node, text: str, score: float, gamma: float = 1.0) -> Node:
    """A new child whose score is backed up."""
    child = add_child(parent, text, visits=0)
    child.score = score
    backup([child], [score], gamma)
    return child


def alias(parent: Node, text: str, other: Node, gamma: float = 1.0) -> Node:
    child = add_child(parent, text, visits=0)
    child.same_as, child.score = other, None
    link(child, mean_return, lambda node: gamma if node.parent else 1.0)
    return child


def test_a_return_reaches_every_node_above_once_in_a_graph_by_hand():
    # root ── a ── c ── d      c is reached by a, and by b; e goes on below both ways
    #      └─ b ── c'
    root = Node(START)
    a, b = grown(root, "a\n", 0.2), grown(root, "b\n", 0.4)
    c = grown(a, "c\n", 1.0)
    d = grown(c, "d\n", 0.0)
    assert (statistics(a), statistics(b), statistics(root)) == (
        (3, 1.2, 1.0),
        (1, 0.4, 0.4),
        (4, pytest.approx(1.6), 1.0),
    )
    other = alias(b, "C\n", c)
    assert statistics(other) == statistics(c) == (2, 1.0, 1.0)
    assert statistics(b) == (3, pytest.approx(1.4), 1.0)  # its own, and the two of c
    assert statistics(root) == (4, pytest.approx(1.6), 1.0)  # which it had already
    grown(d, "e\n", 0.5)
    assert statistics(c) == statistics(other) == (3, 1.5, 1.0)
    assert (a.visit_count, b.visit_count, root.visit_count) == (4, 4, 5)
    assert b.value_sum == pytest.approx(1.9)
    assert other.q == c.q == pytest.approx(0.5)
    assert [node for node, _ in reached_from(d, no_discount)] == [d, c, a, root, other, b]


def test_a_corrected_score_is_corrected_on_every_way():
    root = Node(START)
    a, b = grown(root, "a\n", 0.2), grown(root, "b\n", 0.4)
    c = grown(a, "c\n", 1.0)
    other = alias(b, "C\n", c)
    rescore(c, 0.5)
    assert (c.value_sum, other.value_sum) == (0.5, 0.5)
    assert (a.value_sum, b.value_sum, root.value_sum) == (pytest.approx(0.7), pytest.approx(0.9), pytest.approx(1.1))


def test_each_way_has_its_own_discount():
    root = Node(START)
    a = grown(root, "a\n", 0.0, gamma=0.5)
    b = grown(grown(root, "b\n", 0.0, gamma=0.5), "bb\n", 0.0, gamma=0.5)
    c = grown(a, "c\n", 1.0, gamma=0.5)
    other = alias(b, "C\n", c, gamma=0.5)
    assert (other.value_sum, b.value_sum, b.parent and b.parent.value_sum) == (1.0, 0.5, 0.25)
    grown(c, "d\n", 1.0, gamma=0.5)
    assert (c.value_sum, other.value_sum, b.value_sum, a.value_sum) == (1.5, 1.5, 0.75, 0.75)
    assert root.value_sum == 0.375


def test_positions_of_a_game_are_the_numbers_left_in_any_order():
    verifier, question = CountdownVerifier(), "Make 10 from: 1 2 3 4"
    first = verifier.position(question, "1 + 2 = 3 , 3 4 3\n4 + 3 = 7 , 3 7\n")
    assert first == verifier.position(question, "4 + 3 = 7 , 1 7 2\n2 + 1 = 3 , 7 3\n") == (3, 7)
    assert verifier.position(question, "1 + 2 = 4 , 3 4 4\n") is None


@cache
def simulator() -> Simulator:
    return build_simulator(
        load_policy("tiny_countdown", device="cpu"), "verifier", Rules(max_tokens=120), shared_engine()
    )


PLANNER = eta_mcts("countdown_small", transpositions=True, c_min_root=12, c_min=4)
[PROBLEM] = load_problems("countdown:5", "development", 1)


@cache
def found(planner: EtaMCTS = PLANNER, simulations: int = 100, cut: int = 0):
    start = simulator().initial_state(PROBLEM)
    search = planner.begin(simulator(), start, budget=Budget(simulations=simulations), seed=1)
    if cut:
        search.simulate(cut)
        search = planner.load(search.to_bytes(), simulator())
    return search.run()


def check_sums(root: Node) -> int:
    """Checks every node's returns against the scores below it in the graph, and returns the number of aliases."""
    above: dict[Node, set[Node]] = {node: set() for node in walk(root)}
    for node in walk(root):
        if node.same_as is None and node is not root:
            for other, _ in reached_from(node, no_discount):
                above[other].add(node)
    for node, below in above.items():
        assert node.visit_count == len(below)
        assert node.value_sum == pytest.approx(sum(leaf.score or 0.0 for leaf in below))
    return sum(node.same_as is not None for node in walk(root))


def test_a_search_shares_what_is_below_equal_positions():
    result = found()
    assert result.root is not None
    assert check_sums(result.root) >= 3
    for node in walk(result.root):
        if node.same_as is not None:
            assert simulator().position(node.state) == simulator().position(node.same_as.state)
            assert not node.children
            assert not node.finished
            assert node.is_exhausted is node.same_as.is_exhausted
    positions = [simulator().position(node.state) for node in walk(result.root) if node.same_as is None]
    running = [position for position in positions if position is not None]
    assert len(running) == len(set(running))


def picture(root: Node | None) -> list[tuple[object, ...]]:
    assert root is not None
    return [(node.state.text, statistics(node), node.same_as and node.same_as.state.text) for node in walk(root)]


def test_a_graph_is_read_back_as_it_was():
    whole, cut = found(), found(cut=60)
    assert picture(whole.root) == picture(cut.root)
    assert whole.usage.flops == cut.usage.flops


def test_a_subtree_keeps_the_aliases_within_it():
    root = found().root
    assert root is not None
    for child in root.children:
        kept = kept_subtree(root, child.state, simulator())
        if kept is not None and kept.children:
            inside = set(walk(kept))
            assert all(node.same_as is None or node.same_as in inside for node in inside)


def test_without_it_nothing_is_shared():
    root = found(eta_mcts("countdown_small", c_min_root=12, c_min=4)).root
    assert root is not None
    assert all(node.same_as is None for node in walk(root))
