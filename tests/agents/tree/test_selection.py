import math

import pytest
from scripted_world import START, add_child

from agents.tree.backup import mean_return
from agents.tree.node import Node
from agents.tree.selection import (
    Gumbel,
    gumbel_noise,
    gumbel_score,
    normalised_prior,
    puct,
    puct_rule,
    select_child,
    uct,
    uct_rule,
)


def make_root(*q_and_visits: tuple[float, int]) -> Node:
    root = Node(START)
    for number, (q, visits) in enumerate(q_and_visits):
        add_child(root, f"{number}\n", q, visits, log_prob=math.log(0.25))
    root.visit_count = sum(visits for _, visits in q_and_visits)
    return root


def test_uct_by_hand():
    # ln 16 = 2.772589; 2 · 2.772589 / 4 = 1.386294; its root is 1.177410.
    assert uct(0.5, visits=4, parent_visits=16, c=1.0) == pytest.approx(1.677410)
    assert uct(0.5, visits=4, parent_visits=16, c=0.0) == 0.5


def test_uct_tries_an_unvisited_child_first():
    assert uct(0.0, visits=0, parent_visits=3, c=1.0) == math.inf


def test_puct_by_hand():
    # 0.5 + 2 · 0.25 · √16 / (1 + 3) = 0.5 + 0.5
    assert puct(0.5, prior=0.25, visits=3, parent_visits=16, c=2.0) == 1.0


def test_c_trades_exploring_against_exploiting():
    root = make_root((0.6, 10), (0.5, 1))
    greedy = select_child(root, root.children, uct_rule, 0.0, mean_return)
    curious = select_child(root, root.children, uct_rule, 1.0, mean_return)
    assert (greedy.index, curious.index) == (0, 1)


def test_puct_prefers_the_child_with_the_higher_prior():
    root = Node(START)
    for text, prob in (("a\n", 0.2), ("b\n", 0.6)):
        add_child(root, text, q=0.5, log_prob=math.log(prob))
    root.visit_count = 2
    assert [normalised_prior(child) for child in root.children] == pytest.approx([0.25, 0.75])
    assert select_child(root, root.children, puct_rule, 1.0, mean_return).index == 1


def test_virtual_loss_sends_the_next_simulation_elsewhere():
    root = make_root((0.6, 2), (0.5, 2))
    assert select_child(root, root.children, uct_rule, 0.5, mean_return).index == 0
    root.children[0].virtual_loss = root.virtual_loss = 1  # q = 0.6 · 2/3 = 0.4
    assert select_child(root, root.children, uct_rule, 0.5, mean_return).index == 1


def test_gumbel_score_by_hand():
    # 1 + ln 0.5 + (50 + 10) · 0.1 · 0.5 = 1 − 0.693147 + 3
    score = gumbel_score(1.0, math.log(0.5), q=0.5, max_visits=10, c_visit=50.0, c_scale=0.1)
    assert score == pytest.approx(3.306853)


def test_gumbel_noise_is_the_inverse_of_the_distribution_function():
    # exp(−exp(−g)) = u: the median of the distribution is −ln ln 2 = 0.366513.
    assert gumbel_noise(2**62) == pytest.approx(0.366513, abs=1e-5)


def play(root: Node, rule: Gumbel, num_choices: int, seed: int = 0) -> list[int]:
    """Returns how often each child was chosen; each choice is a visit that returns the child's mean."""
    halving = rule.start(seed)
    for _ in range(num_choices):
        child = halving.choose(root.children, mean_return)
        child.value_sum += child.mean
        child.visit_count += 1
    return [child.visit_count - 1 for child in root.children]


def test_sequential_halving_shares_out_eight_simulations():
    # Four candidates, so log2(4) = 2 phases: 8 / (2 · 4) = 1 visit each, then 8 / (2 · 2) = 2 for the best.
    root = make_root((0.9, 1), (0.1, 1), (0.8, 1), (0.2, 1))
    assert play(root, Gumbel(num_simulations=8), 4) == [1, 1, 1, 1]
    root = make_root((0.9, 1), (0.1, 1), (0.8, 1), (0.2, 1))
    assert play(root, Gumbel(num_simulations=8), 8) == [3, 1, 3, 1]


def test_gumbel_considers_only_so_many_children():
    root = make_root((0.5, 1), (0.5, 1), (0.5, 1), (0.5, 1))
    assert sorted(play(root, Gumbel(num_simulations=8, num_considered=2), 8)) == [0, 0, 4, 4]


def test_the_gumbel_noise_belongs_to_the_search():
    chosen = set()
    for seed in range(20):
        root = make_root((0.5, 1), (0.5, 1), (0.5, 1))
        chosen.add(Gumbel().start(seed).choose(root.children, mean_return).index)
    assert chosen == {0, 1, 2}
