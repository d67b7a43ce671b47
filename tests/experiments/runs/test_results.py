"""Rows and gains, worked by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from alphallm_env import Problem
from alphallm_env.runtime.metering import Usage
from alphallm_env.types import State, Trajectory
from experiments.runs.results import paired_difference, summarise
from experiments.runs.search_records import SearchRecord

PROBLEM = Problem("p/1", "How much is 2 + 3?", "5", "A secret way.\n#### 5", "a file")


def record(number: int = 1, correct: bool = True, tokens: int = 10) -> SearchRecord:
    problem = replace(PROBLEM, id=f"p/{number}")
    return SearchRecord(
        problem=problem,
        answer="5" if correct else "6",
        verdict="correct" if correct else "incorrect",
        score=1 / 3,
        best=Trajectory(State(problem.id, problem.question), 0.3),
        usage=Usage(policy_tokens=tokens, critic_tokens=7, seconds=1.5),
    )


def test_a_row_is_worked_by_hand():
    records = [record(n, correct=n < 3, tokens=10 * n) for n in range(4)]
    row = summarise("before", "greedy", "test", records)
    assert (row.stage, row.planner, row.split) == ("before", "greedy", "test")
    assert (row.accuracy, row.num_problems) == (0.75, 4)
    assert row.tokens_per_problem == 22.0  # (0 + 10 + 20 + 30) / 4 and 7 of the critics
    # Of four draws of a coin with p = 3/4, none to one is correct with probability 0.05, none with 0.004.
    assert row.ci95 == (0.25, 1.0)
    assert json.loads(json.dumps(row.to_json()))["ci95"] == [0.25, 1.0]


def test_an_accuracy_needs_problems_and_answers():
    without = replace(record(), problem=replace(PROBLEM, answer=None), verdict="unknown")
    with pytest.raises(ValueError, match="got 2 with 1 without"):
        summarise("before", "greedy", "test", [record(), without])
    with pytest.raises(ValueError, match="got 0 with 0 without"):
        summarise("before", "greedy", "test", [])


def test_a_gain_is_paired_by_problem():
    before = [record(n, correct=n < 2) for n in range(4)]
    after = [record(n, correct=n > 0) for n in range(4)]  # loses problem 0, wins 2 and 3
    gain, (low, high) = paired_difference(after, before)
    assert gain == 0.25
    assert low == -0.5
    assert high == 1.0
    assert paired_difference(after, after) == (0.0, (0.0, 0.0))


def test_a_gain_over_other_problems_is_refused():
    four = [record(n) for n in range(4)]
    with pytest.raises(ValueError, match="got 'p/1' and 'p/0' at place 0"):
        paired_difference(four[1:], four[:3])
    with pytest.raises(ValueError, match="got 'p/3' and None at place 3"):
        paired_difference(four, four[:3])
