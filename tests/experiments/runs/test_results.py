"""Rows and gains, worked by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from agents.base import Budget
from alphallm_env import Problem
from alphallm_env.runtime.metering import Usage
from alphallm_env.types import State, Trajectory
from experiments.runs.results import COLUMNS, paired_difference, results_table, summarise
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


def with_usage(number: int, **counts: int) -> SearchRecord:
    found = record(number)
    return replace(found, usage=replace(found.usage, **counts))


def test_costs_are_means_and_what_was_spent_can_be_spent_again():
    sized = [with_usage(n, computed_tokens=10 * n, flops=1_000 * n) for n in (1, 2)]
    row = summarise("before", "greedy", "test", sized)
    assert (row.computed, row.flops, row.seconds) == (15.0, 1_500.0, 1.5)
    assert row.as_budget() == Budget(flops=1_500)
    assert "seconds" not in row.to_json()  # type: ignore[operator]
    unsized = summarise("before", "greedy", "test", [*sized, with_usage(3, unsized_tokens=1)])
    assert unsized.flops is None
    assert unsized.as_budget() == Budget(tokens=17)
    assert summarise("before", "greedy", "test", [with_usage(1)]).as_budget() == Budget(flops=1)  # of a free model


def test_a_table_leaves_out_what_is_the_same_in_all_rows():
    one = summarise("before", "greedy", "test", [with_usage(1, flops=2_500_000)])
    other = replace(one, planner="majority", flops=None)
    cells = [list(column.cells) for column in results_table([one, other], "title").columns]
    assert [column.header for column in results_table([one, other], "title").columns] == list(COLUMNS[2:])
    assert cells[0] == ["greedy", "majority"]
    assert cells[-2:] == [["2", "?"], ["1.50", "1.50"]]
    assert len(results_table([one, replace(other, stage="round1")], "title").columns) == len(COLUMNS) - 1


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
