"""Accuracy over cost, by values worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from alphallm_env.runtime.metering import Usage
from alphallm_env.types import Ending, Option, Problem, State, Trajectory
from experiments.field.curves import Curve, best_at, cost_factor, curve_of, error_ratio, falls
from experiments.runs.search_records import SearchRecord


def curve(planner: str, *accuracies: float, costs: tuple[float, ...] = (10.0, 100.0), num: int = 100) -> Curve:
    correct = np.array([[float(place < accuracy * num) for place in range(num)] for accuracy in accuracies])
    return Curve(planner, correct, np.array(costs))


def test_between_budgets_accuracy_is_linear_in_the_logarithm_of_cost():
    rising = curve("a", 0.2, 0.6)
    assert [rising.at(cost).mean() for cost in (10, 100, 1, 1_000)] == pytest.approx([0.2, 0.6, 0.2, 0.6])
    assert rising.at(math.sqrt(1_000)).mean() == pytest.approx(0.4)  # half way from 10 to 100


def test_the_best_is_the_best_at_that_cost():
    early, late = curve("early", 0.5, 0.5), curve("late", 0.1, 0.9)
    assert best_at([early, late], 10).planner == "early"
    assert best_at([early, late], 100).planner == "late"


def test_a_ratio_of_errors_pairs_the_problems():
    one, other = curve("a", 0.8).correct[0], curve("b", 0.6).correct[0]
    ratio = error_ratio(one, other)
    assert ratio.value == pytest.approx(0.5)
    assert 0.3 < ratio.ci95[0] < 0.5 < ratio.ci95[1] < 0.75
    same = error_ratio(one, one)
    assert (same.value, same.ci95) == (1.0, (1.0, 1.0))  # paired: no noise in what is equal on every problem


def test_a_ratio_by_nothing():
    assert error_ratio(np.ones(4), np.ones(4)).value == 1.0
    assert error_ratio(np.zeros(4), np.ones(4)).value == math.inf


def test_the_cost_of_the_same_accuracy():
    tree = curve("tree", 0.4, 0.6)
    # The others' best has .4 half way, by logarithms, between 10 and 100.
    assert cost_factor(tree, [curve("a", 0.2, 0.6), curve("b", 0.1, 0.3)], 0).value == pytest.approx(10**0.5)
    assert cost_factor(tree, [curve("a", 0.5, 0.6)], 0).value == 1.0  # at its first budget
    unreached = cost_factor(tree, [curve("a", 0.2, 0.5)], 1)
    assert unreached.value == pytest.approx(1.0)  # never reached: at least its largest budget


def test_accuracy_that_falls_by_more_than_noise_is_found():
    assert falls(curve("a", 0.5, 0.6)) == []
    assert falls(curve("a", 0.50, 0.49)) == []  # one problem of a hundred
    [(number, change, interval)] = falls(curve("a", 0.6, 0.7, 0.4, costs=(1.0, 2.0, 3.0)))
    assert (number, round(change, 6)) == (2, -0.3)
    assert interval[1] < 0


def test_costs_rise_however_little_a_planner_spends():
    state = State("p", "q").child(Option("#### 1\n", 3), Ending.ANSWERED)
    record = SearchRecord(Problem("p", "q", "1"), "1", "correct", 1.0, Trajectory(state, 1.0), Usage(policy_tokens=3))
    found = curve_of("a", [[[record]], [[record]]], "tokens")
    assert found.costs[1] > found.costs[0] == 3
    assert found.correct.tolist() == [[1.0], [1.0]]


def test_of_several_searches_the_share_that_solved_a_problem_counts():
    state = State("p", "q").child(Option("#### 1\n", 3), Ending.ANSWERED)
    right, wrong = (
        SearchRecord(Problem("p", "q", "1"), "1", verdict, 1.0, Trajectory(state, 1.0), Usage(policy_tokens=cost))
        for verdict, cost in (("correct", 2), ("incorrect", 4))
    )
    found = curve_of("a", [[[right, wrong], [wrong, wrong], [right, wrong], [right, wrong]]], "tokens")
    assert found.correct.tolist() == [[0.75, 0.0]]
    assert found.costs[0] == pytest.approx((3 * 2 + 5 * 4) / 8)
