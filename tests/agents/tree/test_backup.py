import pytest
from scripted_world import START, step

from agents.tree.backup import BACKUPS, backup, max_return, rescore
from agents.tree.node import Node
from alphallm_env.mdp.dynamics import Rules, transition
from alphallm_env.mdp.options import SentenceRule
from alphallm_env.types import Option, StopReason


def chain() -> tuple[Node, Node, Node]:
    """The root, after an option of 3 tokens a, after one of 2 tokens b."""
    root = Node(START)
    a = root.add_child(step(START, "a\n", num_tokens=3))
    b = a.add_child(step(a.state, "b\n", num_tokens=2))
    return root, a, b


def test_mean_and_max_of_two_scores():
    root, a, b = chain()
    backup([b], [0.8])
    backup([a], [0.2])
    assert (root.visit_count, a.visit_count, b.visit_count) == (2, 2, 1)
    assert (root.q, a.q, b.q) == pytest.approx((0.5, 0.5, 0.8))
    assert (root.mean, root.max_value) == pytest.approx((0.5, 0.8))


def test_the_rule_sets_q():
    root, a, b = chain()
    backup([b], [0.8], rule=max_return)
    backup([a], [0.2], rule=max_return)
    assert (root.q, a.q, b.q) == (0.8, 0.8, 0.8)


def test_the_variance_is_that_of_the_returns():
    root, a, b = chain()
    backup([b], [0.8])
    assert root.variance == 0.0  # one return
    backup([a], [0.2])
    # (0.64 + 0.04) / 2 − 0.5² = 0.09, the square of half the distance.
    assert (root.variance, a.variance, b.variance) == pytest.approx((0.09, 0.09, 0.0))


def test_siblings_are_backed_up_as_one_by_one():
    root = Node(START)
    siblings = [root.add_child(step(START, text, num_tokens=number)) for number, text in enumerate(("a\n", "b\n"), 1)]
    backup(siblings, [0.8, 0.4], gamma=0.5, per_token=True)
    # a took 1 token: 0.8 / 2 = 0.4; b took 2: 0.4 / 4 = 0.1. Their mean is 0.25, their variance 0.15².
    assert [child.q for child in siblings] == [0.8, 0.4]
    assert (root.visit_count, root.q, root.max_value, root.variance) == pytest.approx((2, 0.25, 0.4, 0.0225))


def test_the_squares_are_discounted_too():
    root, a, b = chain()
    backup([b], [0.8], gamma=0.5)
    backup([b], [0.4], gamma=0.5)
    # At the root 0.2 and 0.1: variance 0.05².
    assert (b.variance, a.variance, root.variance) == pytest.approx((0.04, 0.01, 0.0025))


def test_a_rule_may_read_the_children():
    def best_child(node: Node) -> float:
        return max((child.q for child in node.children), default=node.max_value)

    root, a, b = chain()
    backup([b], [0.8], rule=best_child)
    c = root.add_child(step(START, "c\n"))
    backup([c], [0.3], rule=best_child)
    assert (root.q, a.q, c.q) == (0.8, 0.8, 0.3)


def test_rules_go_by_their_names():
    assert BACKUPS.resolve("max") is max_return
    with pytest.raises(ValueError, match="backup must be one of mean, max, module:attribute, got 'median'"):
        BACKUPS.resolve("median")


def test_discount_per_option():
    root, a, b = chain()
    backup([b], [0.8], gamma=0.5)
    assert (b.mean, a.mean, root.mean) == pytest.approx((0.8, 0.4, 0.2))


def test_discount_per_token_counts_the_length_of_each_option():
    root, a, b = chain()
    backup([b], [0.8], gamma=0.5, per_token=True)
    # b took 2 tokens: 0.8 / 4 = 0.2; a took 3: 0.2 / 8 = 0.025.
    assert (b.mean, a.mean, root.mean) == pytest.approx((0.8, 0.2, 0.025))


def test_a_corrected_score_leaves_what_backing_it_up_would_have_left():
    root, a, b = chain()
    b.score = 0.8
    backup([b], [0.8], gamma=0.5)
    backup([a], [0.2], gamma=0.5)
    rescore(b, 0.4, gamma=0.5)
    other_root, other_a, other_b = chain()
    backup([other_b], [0.4], gamma=0.5)
    backup([other_a], [0.2], gamma=0.5)
    assert b.score == 0.4
    for node, other in ((root, other_root), (a, other_a), (b, other_b)):
        assert node.visit_count == other.visit_count
        assert (node.value_sum, node.square_sum, node.q) == pytest.approx((other.value_sum, other.square_sum, other.q))
    assert (b.value_sum, a.value_sum, root.value_sum) == pytest.approx((0.4, 0.2 + 0.2, 0.1 + 0.1))


def test_an_option_to_the_end_is_discounted_as_the_options_that_it_holds():
    root = Node(START)
    option = Option("2 * 3 = 6\n6 + 1 = 7\n#### 7\n", 12, None, StopReason.END_OF_TEXT)
    leaf = root.add_child(transition(START, option, Rules()).state)
    backup([leaf], [0.8], gamma=0.5, option_rule=SentenceRule())
    assert (leaf.q, root.q) == pytest.approx((0.8, 0.5**3 * 0.8))
