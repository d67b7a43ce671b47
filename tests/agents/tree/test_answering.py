import pytest
from scripted_world import START, add_child, finish

from agents.tree.answering import best_leaf, greedy_descent, orm_rerank, vote, weighted_vote
from agents.tree.node import Node


def answered_tree() -> Node:
    """Two children with q, s and the scored answers of their rollouts.

    a: q 0.4, s 0.8; 7 (0.5) and 8 (0.6). b: q 0.6, s 0.3; 9 (0.7) and 7 (0.4).
    """
    root = Node(START)
    a = add_child(root, "a\n", q=0.4, score=0.8)
    b = add_child(root, "b\n", q=0.6, score=0.3)
    finish(a, "#### 7\n", 0.5)
    finish(a, "#### 8\n", 0.6)
    finish(b, "#### 9\n", 0.7)
    finish(b, "#### 7.0\n", 0.4)
    return root


def test_best_leaf_takes_the_best_text_of_the_best_scored_node():
    root = answered_tree()
    assert best_leaf(root) is root.children[0].finished[1]  # s = 0.8, then 0.6


def test_greedy_descent_follows_the_highest_mean():
    root = answered_tree()
    assert greedy_descent(root) is root.children[1].finished[0]  # q = 0.6, then 0.7


def test_greedy_descent_follows_the_value_of_the_backup():
    root = answered_tree()
    root.children[0].q = 0.9
    assert greedy_descent(root) is root.children[0].finished[1]


def test_orm_rerank_takes_the_best_scored_text():
    root = answered_tree()
    assert orm_rerank(root) is root.children[1].finished[0]  # 0.7


def test_weighted_vote_adds_up_the_scores_of_equal_answers():
    root = answered_tree()
    # 7: 0.5 + 0.4 = 0.9; 8: 0.6; 9: 0.7. The better text that says 7 has 0.5.
    assert weighted_vote(root) is root.children[0].finished[0]


@pytest.mark.parametrize("rule", [best_leaf, greedy_descent, orm_rerank, weighted_vote])
def test_without_a_finished_text_the_rule_returns_the_greedy_leaf(rule):
    root = Node(START)
    add_child(root, "a\n", q=0.4)
    b = add_child(root, "b\n", q=0.6)
    assert rule(root) is b


def test_greedy_descent_may_end_on_an_unfinished_node():
    root = answered_tree()
    c = add_child(root.children[1], "c\n", q=0.6)
    assert greedy_descent(root) is c


def test_texts_without_an_answer_do_not_vote():
    root = Node(START)
    silent = finish(root, "no answer\n", 0.9)
    loud = finish(root, "#### 1\n", 0.1)
    assert vote([silent, loud], [0.9, 0.1]) is loud
    assert vote([silent], [0.9]) is silent


def test_equal_weights_are_decided_by_the_number_of_votes_then_by_the_first():
    root = Node(START)
    one, two, again = (finish(root, f"#### {n}\n", 0.0) for n in (1, 2, 2))
    assert vote([one, two, again], [0.0, 0.0, 0.0]) is two
    assert vote([one, two], [1.0, 1.0]) is one
