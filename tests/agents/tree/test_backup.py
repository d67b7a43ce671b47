import pytest
from scripted_world import START, step

from agents.tree.backup import backup, max_return, mean_return
from agents.tree.node import Node


def chain() -> tuple[Node, Node, Node]:
    """The root, after an option of 3 tokens a, after one of 2 tokens b."""
    root = Node(START)
    a = root.add_child(step(START, "a\n", num_tokens=3))
    b = a.add_child(step(a.state, "b\n", num_tokens=2))
    return root, a, b


def test_mean_and_max_of_two_scores():
    root, a, b = chain()
    backup(b, 0.8)
    backup(a, 0.2)
    assert (root.visit_count, a.visit_count, b.visit_count) == (2, 2, 1)
    assert mean_return(root) == pytest.approx(0.5)
    assert max_return(root) == 0.8
    assert mean_return(b) == 0.8


def test_discount_per_option():
    root, a, b = chain()
    backup(b, 0.8, gamma=0.5)
    assert (b.mean, a.mean, root.mean) == pytest.approx((0.8, 0.4, 0.2))


def test_discount_per_token_counts_the_length_of_each_option():
    root, a, b = chain()
    backup(b, 0.8, gamma=0.5, per_token=True)
    # b took 2 tokens: 0.8 / 4 = 0.2; a took 3: 0.2 / 8 = 0.025.
    assert (b.mean, a.mean, root.mean) == pytest.approx((0.8, 0.2, 0.025))
