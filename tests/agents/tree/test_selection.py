import math
from collections.abc import Sequence

import numpy as np
import pytest
from scripted_world import START, add_child, make_simulator, search

from agents import Budget, eta_mcts
from agents.tree import selection
from agents.tree.backup import backup
from agents.tree.node import Node, render_tree
from agents.tree.selection import SELECTION_RULES, Candidates, puct, select_child, uct


def make_root(*q_and_visits: tuple[float, int]) -> Node:
    root = Node(START, seed=7)
    for number, (q, visits) in enumerate(q_and_visits):
        add_child(root, f"{number}\n", q, visits, log_prob=math.log(0.25))
    root.visit_count = sum(visits for _, visits in q_and_visits)
    return root


def scores(root: Node, rule: selection.SelectionRule, c: float) -> Sequence[float]:
    return rule(Candidates(root, root.children), c)


def test_uct_by_hand():
    # ln 16 = 2.772589; 2 · 2.772589 / 4 = 1.386294; its root is 1.177410.
    root = make_root((0.5, 4), (0.2, 12))
    assert scores(root, uct, 1.0)[0] == pytest.approx(1.677410)
    assert scores(root, uct, 0.0) == [0.5, 0.2]


def test_uct_tries_an_unvisited_child_first():
    root = make_root((0.9, 3), (0.0, 0), (0.0, 0))
    assert scores(root, uct, 0.0) == [0.9, math.inf, math.inf]
    assert select_child(root, root.children, uct, 0.0).index == 1


def test_puct_by_hand():
    # 0.5 + 2 · 0.25 · √16 / (1 + 3) = 0.5 + 0.5; four equal priors are a quarter each.
    root = make_root((0.5, 3), (0.0, 13), (0.0, 0), (0.0, 0))
    assert scores(root, puct, 2.0)[0] == 1.0


def test_c_trades_exploring_against_exploiting():
    root = make_root((0.6, 10), (0.5, 1))
    greedy, curious = (select_child(root, root.children, uct, c) for c in (0.0, 1.0))
    assert (greedy.index, curious.index) == (0, 1)


def test_puct_prefers_the_child_with_the_higher_prior():
    root = Node(START)
    for text, prob in (("a\n", 0.2), ("b\n", 0.6)):
        add_child(root, text, q=0.5, log_prob=math.log(prob))
    root.visit_count = 2
    assert Candidates(root, root.children).prior == pytest.approx([0.25, 0.75])
    assert Candidates(root, root.children[1:]).prior == pytest.approx([0.75])  # of all siblings
    assert select_child(root, root.children, puct, 1.0).index == 1


def test_virtual_loss_sends_the_next_simulation_elsewhere():
    root = make_root((0.6, 2), (0.5, 2))
    assert select_child(root, root.children, uct, 0.5).index == 0
    root.children[0].virtual_loss = root.virtual_loss = 1
    candidates = Candidates(root, root.children)
    assert candidates.q == pytest.approx([0.4, 0.5])  # 0.6 · 2/3
    assert (candidates.visits, candidates.parent_visits) == ([3, 2], 5)
    assert select_child(root, root.children, uct, 0.5).index == 1


def test_the_documented_uct_is_the_one_that_searches(monkeypatch: pytest.MonkeyPatch):
    """A search by another formula under the same name is another search."""

    def tree(planner_selection: selection.SelectionRule) -> str:
        planner = eta_mcts(selection=planner_selection, merge_rule="none", known_mass=None, c_min=1, c_max=1)
        root = search(planner, make_simulator(), Budget(simulations=16)).root
        assert root is not None
        return render_tree(root)

    def least_promising(candidates: Candidates, c: float) -> list[float]:
        return [-score for score in uct(candidates, c)]

    assert tree(SELECTION_RULES.resolve("uct")) == tree(uct) != tree(least_promising)
    untouched = tree(uct)
    monkeypatch.setattr(selection, "sqrt", lambda squared: -math.sqrt(squared))  # inside the formula: flees exploring
    assert tree(uct) != untouched


def ucb_v(candidates: Candidates, c: float) -> list[float]:
    """UCB-V: q + √(2 · variance · ln N / n) + 3 · c · ln N / n. Audibert et al. 2009."""
    log_visits = math.log(candidates.parent_visits)
    columns = zip(candidates.q, candidates.variance, candidates.visits, strict=True)
    return [q + math.sqrt(2 * v * log_visits / n) + 3 * c * log_visits / n for q, v, n in columns]


def thompson(candidates: Candidates, c: float) -> np.ndarray:
    """Thompson sampling: a draw from a normal distribution about q for each child."""
    spread = c * np.sqrt(np.array(candidates.variance) + 1e-4) / np.sqrt(candidates.visits)
    return candidates.rng.normal(candidates.q, spread)


def test_a_rule_of_ones_own_sees_the_variance():
    root = Node(START)
    steady, wild = (add_child(root, text, visits=0) for text in ("a\n", "b\n"))
    for score in (0.5, 0.5):
        backup([steady], [score])
    for score in (0.2, 0.8):
        backup([wild], [score])
    # Variances 0 and 0.3² = 0.09; ln 4 = 1.386294: √(2 · 0.09 · 1.386294 / 2) = 0.353223.
    assert scores(root, ucb_v, 0.0) == pytest.approx([0.5, 0.853223])
    assert select_child(root, root.children, ucb_v, 0.0) is wild


def test_a_rule_of_ones_own_sees_the_critics_scores():
    root = make_root((0.5, 1), (0.5, 1))
    first, second = root.children
    first.value, first.prm, second.orm = 0.1, 0.2, 0.3
    candidates = Candidates(root, root.children)
    assert (candidates.value, candidates.prm, candidates.orm) == ([0.1, None], [0.2, None], [None, 0.3])
    assert len(candidates) == 2


def test_the_generator_belongs_to_the_choice():
    root = make_root((0.5, 2), (0.5, 2))

    def draw() -> float:
        return float(Candidates(root, root.children).rng.random())

    first = draw()
    assert draw() == first
    root.visit_count += 1
    assert draw() != first


@pytest.mark.parametrize("rule", [ucb_v, thompson])
def test_rules_of_ones_own_search_reproducibly(rule: selection.SelectionRule):
    planner = eta_mcts(selection=rule, leaves_in_flight=2)
    first, second = (search(planner, make_simulator(), Budget(simulations=20), seed=3) for _ in "ab")
    assert first.root is not None
    assert second.root is not None
    assert render_tree(first.root) == render_tree(second.root)


def test_a_rule_must_score_every_child():
    root = make_root((0.5, 1), (0.5, 1))
    with pytest.raises(ValueError, match="must return 2 scores, got 1"):
        select_child(root, root.children, lambda candidates, c: [1.0], 1.0)


def test_rules_go_by_their_names():
    assert SELECTION_RULES.resolve("uct") is uct
    with pytest.raises(ValueError, match="selection must be one of uct, puct, module:attribute, got 'best'"):
        SELECTION_RULES.resolve("best")
    with pytest.raises(ValueError, match="expected a function of candidates and c"):
        SELECTION_RULES.resolve("math:pi")
