"""Lessons from records of searches."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agents.base import PlanResult
from alphallm_env.errors import RunError
from alphallm_env.runtime.metering import Usage
from alphallm_env.training.base import Decision, Lesson, ScoredSolution, SearchedOption
from alphallm_env.types import Ending, Option, Problem, ScoreKind, State, Trajectory
from experiments.loop.lessons import lessons_of, require_orm_scores, visited
from experiments.runs.search_records import SearchRecord

PROBLEM = Problem("imagined/0/1", "How much is 2 + 3?")


def trajectory(text: str, score: float, ending: Ending = Ending.ANSWERED) -> Trajectory:
    return Trajectory(
        State(PROBLEM.id, PROBLEM.question).child(Option(text, 4), ending), score, score_kind=ScoreKind.ORM
    )


def record(best: Trajectory) -> SearchRecord:
    return SearchRecord(PROBLEM, "5", "unknown", best.score, best, Usage())


def test_a_lesson_has_what_lost_and_the_decisions_beside_the_solution():
    decision = Decision("", (SearchedOption("#### 5\n", 3, 0.9), SearchedOption("#### 6\n", 1, 0.2)), chosen=0)
    searched = replace(
        record(trajectory("#### 5\n", 0.9)), rejected=(trajectory("#### 6\n", 0.2),), decisions=(decision,)
    )
    assert lessons_of([searched], 0.9, number=2) == [
        Lesson(
            PROBLEM.question, "#### 5\n", score=0.9, rejected=(ScoredSolution("#### 6\n", 0.2),),
            decisions=(decision,), round=2,
        )
    ]  # fmt: skip


def test_only_answered_trajectories_at_the_threshold_are_lessons():
    low, unanswered = trajectory("#### 6\n", 0.89), trajectory("so\n", 0.95, Ending.OUT_OF_TOKENS)
    enough = trajectory("#### 5\n", 0.9)
    lessons = lessons_of([record(low), record(unanswered), record(enough)], 0.9, number=1)
    assert [lesson.solution for lesson in lessons] == ["#### 5\n"]


def test_a_round_without_a_lesson_says_how_close_it_came():
    with pytest.raises(RunError, match=r"round 1: .* at least 0\.9, the highest of 1 is 0\.500"):
        lessons_of([record(trajectory("#### 5\n", 0.5))], 0.9, number=1)


def test_visits_teach_options_as_often_as_the_search_chose_them():
    often, seldom = SearchedOption("2 + 3 = 5\n", 9, 0.8), SearchedOption("3 - 2 = 1\n", 1, 0.0)
    decision = Decision("so\n", (seldom, often), chosen=1)
    only = Decision("so\n2 + 3 = 5\n", (SearchedOption("#### 5\n", 9, 0.9),), chosen=0)
    found = replace(record(trajectory("#### 5\n", 1.0)), decisions=(decision, only))
    searches = [replace(found, problem=replace(PROBLEM, id=str(number))) for number in range(200)]
    lessons = visited([*searches, replace(found, best=trajectory("#### 6\n", 0.0))], 0.9, number=3, seed=0)
    assert len(lessons) == 200
    assert lessons == visited(searches, 0.9, number=3, seed=0)
    assert {(lesson.prefix, lesson.is_whole, lesson.round) for lesson in lessons} == {("so\n", False, 3)}
    assert 160 < [lesson.solution for lesson in lessons].count(often.text) < 198  # 180 are expected, 4 standard errors


def result(kind: ScoreKind) -> PlanResult:
    best = replace(trajectory("#### 5\n", 0.9), score_kind=kind)
    return PlanResult(State(PROBLEM.id, PROBLEM.question), best, (best,), Usage())


def test_a_search_that_the_orm_did_not_score_is_refused_at_once():
    watched: list[Problem] = []
    watch = require_orm_scores("majority", lambda problem, _: watched.append(problem))
    watch(PROBLEM, result(ScoreKind.ORM))
    assert watched == [PROBLEM]
    with pytest.raises(RunError, match=r"by the ORM .* got 'majority', whose scores are VOTE_SHARE"):
        watch(PROBLEM, result(ScoreKind.VOTE_SHARE))
    assert watched == [PROBLEM]
