"""Outcomes: kept and read back to the bit, summed up by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from agents.base import PlanResult
from agents.tree.node import Node
from alphallm_env import Problem, Rules
from alphallm_env.mdp.dynamics import initial_state, transition
from alphallm_env.runtime.metering import Usage
from alphallm_env.types import Option, ScoreKind, State, Trajectory
from experiments.runs.outcomes import Outcome, bootstrap_mean, outcome_of, paired_difference, summarise

PROBLEM = Problem("p/1", "How much is 2 + 3?", "5", "A secret way.\n#### 5", "a file")


def ended(*texts: str, problem: Problem = PROBLEM) -> State:
    state = initial_state(problem)
    for text in texts:
        state = transition(state, Option(text, 4, -0.1), Rules()).state
    return state


def outcome(number: int = 1, correct: bool = True, tokens: int = 10) -> Outcome:
    problem = replace(PROBLEM, id=f"p/{number}")
    answer = "5" if correct else "6"
    text = ("2 + 3 = 5\n", f"#### {answer}\n")
    best = Trajectory(ended(*text, problem=problem), 0.1 + 0.2, score_kind=ScoreKind.ORM)
    return Outcome(
        problem=problem,
        answer=answer,
        verdict="correct" if correct else "incorrect",
        score=1 / 3,
        best=best,
        usage=Usage(policy_tokens=tokens, critic_tokens=7, seconds=1.5),
        num_nodes=3,
        depth=2,
        width=2,
    )


def there_and_back(outcome: Outcome) -> Outcome:
    return Outcome.from_json(json.loads(json.dumps(outcome.to_json())))


def test_an_outcome_comes_back_from_json_but_for_the_wall_clock():
    before = outcome()
    assert there_and_back(before) == before


def test_an_outcome_without_an_answer_comes_back():
    imagined = Problem("imagined/0", "How many?")
    best = Trajectory(State(imagined.id, imagined.question), 0.0)
    before = Outcome(imagined, None, "unknown", 0.0, best, Usage())
    assert there_and_back(before) == before


def test_hostile_text_comes_back():
    problem = replace(PROBLEM, question='"}\n\0 ‮ 😀 \ud83d \\boxed{', id="\n")
    best = Trajectory(ended("</script>\ud800\n", problem=problem), 1.0)
    before = Outcome(problem, "\x1b[2J", "incorrect", 1.0, best, Usage())
    assert there_and_back(before) == before


@pytest.mark.parametrize(
    ("gold", "text", "verdict"),
    [("5", "#### 5.0\n", "correct"), ("5", "#### 6\n", "incorrect"), ("5", "so\n", "incorrect"),
     (None, "#### 5\n", "unknown"), ("5", "#### 9^{9^{9^{9^{9}}}}\n", "ungradable")],
)  # fmt: skip
def test_the_answer_is_graded_after_planning(gold: str | None, text: str, verdict: str):
    end = Trajectory(ended(text), 0.5)
    found = outcome_of(replace(PROBLEM, answer=gold), PlanResult(end.state.root, end, (end,), Usage()))
    assert found.verdict == verdict
    assert found.is_correct is (verdict == "correct")


def test_best_is_the_best_scored_finished_trajectory_whatever_was_chosen():
    chosen, better = Trajectory(ended("#### 6\n"), 0.4), Trajectory(ended("#### 5\n"), 0.9)
    found = outcome_of(PROBLEM, PlanResult(chosen.state.root, chosen, (chosen, better), Usage()))
    assert (found.answer, found.score, found.best) == ("6", 0.4, better)
    alone = outcome_of(PROBLEM, PlanResult(chosen.state.root, chosen, (), Usage()))
    assert alone.best == chosen


def test_the_shape_is_that_of_the_tree():
    root = Node(ended())
    child = root.add_child(ended("2 + 3 = 5\n"))
    child.add_child(ended("2 + 3 = 5\n", "#### 5\n"))
    end = Trajectory(ended("2 + 3 = 5\n", "#### 5\n"), 0.9)
    found = outcome_of(PROBLEM, PlanResult(root.state, end, (end,), Usage(), root))
    assert (found.num_nodes, found.depth, found.width) == (3, 2, 1)


def test_a_row_is_worked_by_hand():
    outcomes = [outcome(n, correct=n < 3, tokens=10 * n) for n in range(4)]
    row = summarise("before", "greedy", "test", outcomes)
    assert (row.stage, row.planner, row.split) == ("before", "greedy", "test")
    assert (row.accuracy, row.num_problems) == (0.75, 4)
    assert row.tokens_per_problem == 22.0  # (0 + 10 + 20 + 30) / 4 and 7 of the critics
    # Of four draws of a coin with p = 3/4, none to one is correct with probability 0.05, none with 0.004.
    assert row.ci95 == (0.25, 1.0)
    assert json.loads(json.dumps(row.to_json()))["ci95"] == [0.25, 1.0]


def test_an_accuracy_needs_problems_and_answers():
    without = replace(outcome(), problem=replace(PROBLEM, answer=None), verdict="unknown")
    with pytest.raises(ValueError, match="got 2 with 1 without"):
        summarise("before", "greedy", "test", [outcome(), without])
    with pytest.raises(ValueError, match="got 0 with 0 without"):
        summarise("before", "greedy", "test", [])


def test_the_interval_of_a_mean():
    # The mean of 100 fair coins lies within 1/2 ± 1.96 · √(1/4 / 100) = 0.402 to 0.598.
    low, high = bootstrap_mean([0.0] * 50 + [1.0] * 50)
    assert low == pytest.approx(0.402, abs=0.015)
    assert high == pytest.approx(0.598, abs=0.015)
    assert bootstrap_mean([0.0, 1.0, 0.5]) == bootstrap_mean([0.0, 1.0, 0.5])  # no chance in it
    assert bootstrap_mean([0.25]) == bootstrap_mean([0.25] * 9) == (0.25, 0.25)
    with pytest.raises(ValueError, match="at least one value"):
        bootstrap_mean([])


def test_a_gain_is_paired_by_problem():
    before = [outcome(n, correct=n < 2) for n in range(4)]
    after = [outcome(n, correct=n > 0) for n in range(4)]  # loses problem 0, wins 2 and 3
    gain, (low, high) = paired_difference(after, before)
    assert gain == 0.25
    assert low == -0.5
    assert high == 1.0
    assert paired_difference(after, after) == (0.0, (0.0, 0.0))


def test_a_gain_over_other_problems_is_refused():
    four = [outcome(n) for n in range(4)]
    with pytest.raises(ValueError, match="got 'p/1' and 'p/0' at place 0"):
        paired_difference(four[1:], four[:3])
    with pytest.raises(ValueError, match="got 'p/3' and None at place 3"):
        paired_difference(four, four[:3])
