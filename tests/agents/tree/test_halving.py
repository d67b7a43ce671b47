import json
import math

import pytest
from scripted_world import START, add_child

from agents.tree.halving import ROOT_SELECTIONS, Gumbel, gumbel_noise, gumbel_score
from agents.tree.node import Node
from agents.tree.selection import Candidates


def make_root(*q_and_visits: tuple[float, int]) -> Node:
    root = Node(START)
    for number, (q, visits) in enumerate(q_and_visits):
        add_child(root, f"{number}\n", q, visits, log_prob=math.log(0.25))
    return root


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
        child = halving.choose(Candidates(root, root.children))
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
        chosen.add(Gumbel().start(seed).choose(Candidates(root, root.children)).index)
    assert chosen == {0, 1, 2}


def test_a_halving_resumes_from_what_it_saved():
    settings = Gumbel(num_simulations=8)
    for cut in range(9):
        root = make_root((0.9, 1), (0.1, 1), (0.8, 1), (0.2, 1))
        chooser = settings.start(0)
        for number in range(8):
            if number == cut:
                chooser = settings.start(0, json.loads(json.dumps(chooser.save())))
            chooser.choose(Candidates(root, root.children)).visit_count += 1
        assert [child.visit_count - 1 for child in root.children] == [3, 1, 3, 1]


def test_root_selections_go_by_their_names():
    assert ROOT_SELECTIONS.resolve("gumbel") == Gumbel()
    assert ROOT_SELECTIONS.resolve("none") is None
    with pytest.raises(ValueError, match="root_selection must be one of none, gumbel"):
        ROOT_SELECTIONS.resolve("math:pi")
