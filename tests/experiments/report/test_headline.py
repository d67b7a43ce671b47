"""The headline: the largest gains in words, with what speaks against them."""

from __future__ import annotations

import html
from typing import Any

from experiments.report.headline import differences, headline
from experiments.runs.results import ResultRow


def row(stage: str, planner: str, split: str, accuracy: float, control: str = "") -> ResultRow:
    return ResultRow(stage, planner, accuracy, (accuracy - 0.1, accuracy + 0.1), 100, 50.0, split, control)


def gain(planner: str, split: str, over: str, value: float, low: float, high: float) -> dict[str, Any]:
    return {"planner": planner, "split": split, "over": over, "gain": value, "ci95": [low, high]}


ROWS = [
    row("before", "greedy", "n=3", 0.8), row("before", "greedy", "n=4", 0.3), row("before", "uct", "n=4", 0.5),
    row("round1", "greedy", "n=3", 0.7), row("round1", "greedy", "n=4", 0.35),
    row("round2", "greedy", "n=3", 0.7), row("round2", "greedy", "n=4", 0.45), row("round2", "uct", "n=4", 0.6),
    row("round2", "majority", "n=4", 0.55), row("no_search-round2", "greedy", "n=4", 0.95, "no_search"),
]  # fmt: skip
GAINS = [
    gain("greedy", "n=3", "before", -0.1, -0.15, -0.05),
    gain("greedy", "n=4", "before", 0.15, 0.1, 0.2),
    gain("uct", "n=4", "before", 0.1, 0.05, 0.15),
    gain("uct", "n=4", "majority", 0.05, -0.02, 0.12),
]
CONTROLS = [
    gain("greedy", "n=3", "no_search", 0.01, -0.03, 0.05),
    gain("greedy", "n=4", "no_search", 0.04, 0.01, 0.07),
]


def test_it_has_the_largest_gain_and_what_got_worse():
    said = html.unescape(headline(GAINS, ROWS))
    assert "from 0.300 to 0.450 on n=4, the best of 2 splits: +0.150 (95 % interval +0.100 to +0.200)." in said
    assert "It got worse on n=3 -0.100 (-0.150 to -0.050)." in said


def test_it_says_what_search_gives():
    said = html.unescape(headline(GAINS, ROWS))
    assert "uct solves 0.600 (0.500 to 0.700) of 100 problems, greedy solves 0.450 (0.350 to 0.550)" in said
    assert "uct beside majority at equal cost: +0.050 (-0.020 to +0.120, which includes zero)." in said


def test_controls_stand_beside_the_gain_or_are_missed():
    assert "cannot tell which part of the loop" in headline(GAINS, ROWS)
    said = html.unescape(headline([*GAINS, *CONTROLS], ROWS))
    assert "cannot tell" not in said
    assert "over no search +0.040 on n=4 (+0.010 to +0.070)." in said


def test_there_is_a_tile_for_each_comparison():
    page = headline([*GAINS, *CONTROLS], ROWS)
    assert page.count('<div class="tile ') == 3  # over before, no_search and majority
    assert page.count('<div class="tile above">') == 2
    lost = headline([gain("greedy", "n=3", "before", -0.1, -0.2, -0.05)], ROWS)
    assert '<div class="tile below">' in lost
    assert "▼ interval below zero" in lost


def test_intervals_are_drawn_to_one_scale():
    drawn = differences([gain("greedy", "a", "before", 0.1, -0.2, 0.4), gain("greedy", "b", "before", 0.0, -0.1, 0.1)])
    assert 'x1="48.0" x2="168.0"' in drawn  # 88 + 80 · -0.2 / 0.4, 88 + 80 · 0.4 / 0.4
    assert 'x1="68.0" x2="108.0"' in drawn
    assert 'cx="108.0"' in drawn
