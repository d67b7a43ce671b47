"""Records of searches: kept and read back to the bit; what they keep of a search."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from agents.base import PlanResult
from agents.tree.node import Node
from alphallm_env import Problem, Rules
from alphallm_env.mdp.dynamics import initial_state, transition
from alphallm_env.runtime.metering import Usage
from alphallm_env.training.base import Decision, SearchedOption
from alphallm_env.types import Option, ProgramRun, ScoreKind, State, Trajectory, Transcript
from experiments.runs.search_records import (
    MAX_REJECTED,
    SearchRecord,
    decisions_on_the_way,
    record_of,
    rejected_beside,
)

PROBLEM = Problem("p/1", "How much is 2 + 3?", "5", "A secret way.\n#### 5", "a file")


def ended(*texts: str, problem: Problem = PROBLEM) -> State:
    state = initial_state(problem)
    for text in texts:
        state = transition(state, Option(text, 4, -0.1), Rules()).state
    return state


def record(number: int = 1, correct: bool = True, tokens: int = 10) -> SearchRecord:
    problem = replace(PROBLEM, id=f"p/{number}")
    answer = "5" if correct else "6"
    best = Trajectory(ended("2 + 3 = 5\n", f"#### {answer}\n", problem=problem), 0.1 + 0.2, score_kind=ScoreKind.ORM)
    return SearchRecord(
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


def there_and_back(record: SearchRecord) -> SearchRecord:
    return SearchRecord.from_json(json.loads(json.dumps(record.to_json())))


def test_a_record_comes_back_from_json_but_for_the_wall_clock():
    before = record()
    assert there_and_back(before) == before


def test_a_record_without_an_answer_comes_back():
    imagined = Problem("imagined/0", "How many?")
    best = Trajectory(State(imagined.id, imagined.question), 0.0)
    before = SearchRecord(imagined, None, "unknown", 0.0, best, Usage())
    assert there_and_back(before) == before


def test_hostile_text_comes_back():
    problem = replace(PROBLEM, question='"}\n\0 ‮ 😀 \ud83d \\boxed{', id="\n")
    best = Trajectory(ended("</script>\ud800\n", problem=problem), 1.0)
    before = SearchRecord(problem, "\x1b[2J", "incorrect", 1.0, best, Usage())
    assert there_and_back(before) == before


@pytest.mark.parametrize(
    ("gold", "text", "verdict"),
    [("5", "#### 5.0\n", "correct"), ("5", "#### 6\n", "incorrect"), ("5", "so\n", "unanswered"),
     (None, "#### 5\n", "unknown"), ("5", "#### 9^{9^{9^{9^{9}}}}\n", "ungradable")],
)  # fmt: skip
def test_the_answer_is_graded_after_planning(gold: str | None, text: str, verdict: str):
    end = Trajectory(ended(text), 0.5)
    found = record_of(replace(PROBLEM, answer=gold), PlanResult(end.state.root, end, (end,), Usage()))
    assert found.verdict == verdict
    assert found.is_correct is (verdict == "correct")


def test_best_is_the_best_scored_finished_trajectory_whatever_was_chosen():
    chosen, better = Trajectory(ended("#### 6\n"), 0.4), Trajectory(ended("#### 5\n"), 0.9)
    found = record_of(PROBLEM, PlanResult(chosen.state.root, chosen, (chosen, better), Usage()))
    assert (found.answer, found.score, found.best) == ("6", 0.4, better)
    alone = record_of(PROBLEM, PlanResult(chosen.state.root, chosen, (), Usage()))
    assert alone.best == chosen


def test_the_shape_is_that_of_the_tree():
    root = Node(ended())
    child = root.add_child(ended("2 + 3 = 5\n"))
    child.add_child(ended("2 + 3 = 5\n", "#### 5\n"))
    end = Trajectory(ended("2 + 3 = 5\n", "#### 5\n"), 0.9)
    found = record_of(PROBLEM, PlanResult(root.state, end, (end,), Usage(), root))
    assert (found.num_nodes, found.depth, found.width) == (3, 2, 1)


def test_rejected_trajectories_are_other_texts_best_first():
    best, worse, worst = (Trajectory(ended(f"#### {n}\n"), score) for n, score in ((5, 0.9), (6, 0.4), (7, 0.1)))
    again = Trajectory(ended("#### 6\n"), 0.3)  # a text is kept once, with its highest score
    assert rejected_beside(best, (worst, again, best, worse)) == (worse, worst)


def test_many_rejected_trajectories_are_thinned_out_evenly():
    best, *others = (Trajectory(ended(f"#### {n}\n"), 1.0 - n / 100) for n in range(40))
    kept = rejected_beside(best, others)
    assert len(kept) == MAX_REJECTED
    assert (kept[0], kept[-1]) == (others[0], others[-1])
    assert [t.score for t in rejected_beside(best, others, most=3)] == [0.99, 0.80, 0.61]  # of 0.99, 0.98 … 0.61


def test_decisions_are_the_siblings_on_the_way_until_a_rollout_takes_over():
    root = Node(ended())
    taken, sibling = root.add_child(ended("2 + 3 = 5\n")), root.add_child(ended("so\n"))
    taken.join(ended("3 + 2 = 5\n"))  # another text of the same meaning
    for node, visits, value_sum in ((taken, 4, 3.0), (sibling, 2, 0.5)):
        node.visit_count, node.value_sum = visits, value_sum
    taken.add_child(ended("2 + 3 = 5\n", "#### 6\n"))
    way = decisions_on_the_way(root, ended("3 + 2 = 5\n", "#### 5\n"))  # its last option was written by a rollout
    options = (SearchedOption("3 + 2 = 5\n", 4, 0.75), SearchedOption("so\n", 2, 0.25))
    assert way == (Decision("", options, chosen=0),)
    whole = decisions_on_the_way(root, ended("2 + 3 = 5\n", "#### 6\n"))
    assert [(decision.prefix, decision.chosen) for decision in whole] == [("", 0), ("2 + 3 = 5\n", 0)]


def test_what_a_search_found_beside_its_best_trajectory_comes_back():
    transcript = Transcript("I check.", (ProgramRun("print(5)", "ok", "5"),), 0.9)
    best = Trajectory(ended("2 + 3 = 5\n", "#### 5\n"), 0.9, transcript)
    root = Node(ended())
    root.add_child(ended("2 + 3 = 5\n"))
    worse = Trajectory(ended("#### 6\n"), 0.1)
    before = record_of(PROBLEM, PlanResult(root.state, best, (best, worse), Usage(), root))
    assert before.rejected == (worse,)
    assert before.decisions == (Decision("", (SearchedOption("2 + 3 = 5\n", 0, 0.0),), 0),)
    after = there_and_back(before)
    assert after == before
    assert after.best.transcript == transcript
