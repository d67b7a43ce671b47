import math

import pytest
from scripted_world import START, add_child, finish, step

from agents.tree.node import Node, depth, finished_trajectories, num_nodes, render_tree, walk, width, widths


def small_tree() -> Node:
    """The root has children a and b; a has the children c and d."""
    root = Node(START)
    a = add_child(root, "a\n", q=0.5, visits=3)
    add_child(root, "b\n", q=0.2)
    add_child(a, "c\n", q=0.7)
    add_child(a, "d\n", q=0.3)
    root.visit_count, root.value_sum = 4, 1.7
    return root


def test_walk_goes_through_parents_before_children_in_order():
    assert [node.state.text for node in walk(small_tree())] == ["", "a\n", "a\nc\n", "a\nd\n", "b\n"]


def test_count_depth_and_widths():
    root = small_tree()
    assert (num_nodes(root), depth(root), widths(root), width(root)) == (5, 2, [1, 2, 2], 2)
    assert (num_nodes(root.children[0]), depth(root.children[0])) == (3, 1)


def test_the_mean_of_an_unvisited_node_is_zero():
    assert Node(START).mean == 0.0
    assert small_tree().mean == pytest.approx(1.7 / 4)


def test_the_prior_is_the_probability_per_token():
    node = Node(step(START, "a b\n", num_tokens=2, log_prob=math.log(0.25)))
    assert node.prior == pytest.approx(0.5)  # √0.25


def test_a_group_adds_up_the_priors_of_its_different_texts():
    node = Node(step(START, "a\n", log_prob=math.log(0.3)))
    node.join(step(START, "b\n", log_prob=math.log(0.2)))
    node.join(step(START, "b\n", log_prob=math.log(0.2)))  # the same text again adds nothing
    assert node.prior == pytest.approx(0.5)


def test_a_prior_that_nobody_measured_is_an_error():
    with pytest.raises(ValueError, match="log-probability"):
        _ = Node(step(START, "a\n")).prior


def test_nodes_of_equal_states_have_different_seeds():
    root = Node(START, seed=1)
    first, second = add_child(root, "a\n"), add_child(root, "a\n")
    assert first.state == second.state
    assert first.seed != second.seed


def test_finished_trajectories_come_in_the_order_of_walk():
    root = small_tree()
    late, early = finish(root.children[1], "#### 1\n", 0.1), finish(root.children[0], "#### 2\n", 0.2)
    assert finished_trajectories(root) == [early, late]


def test_render_shows_the_statistics_and_the_shape():
    root = small_tree()
    root.children[0].value = 0.25
    assert render_tree(root).splitlines() == [
        "n=4 q=0.42  What is 2 * 3 + 1?",
        "├─ n=3 q=0.50 v=0.25 s=0.00  a",
        "│  ├─ n=1 q=0.70 s=0.00  c",
        "│  └─ n=1 q=0.30 s=0.00  d",
        "└─ n=1 q=0.20 s=0.00  b",
    ]


def test_render_counts_what_it_leaves_out():
    lines = render_tree(small_tree(), max_nodes=2).splitlines()
    assert len(lines) == 3
    assert lines[-1] == "… 3 more nodes"
