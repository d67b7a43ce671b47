"""From searches to lessons: which trajectories a policy learns from, with what was rejected beside them."""

from __future__ import annotations

from collections.abc import Sequence

from alphallm_env.errors import RunError
from alphallm_env.training.base import Lesson, ScoredSolution
from alphallm_env.types import Ending
from experiments.runs.search_records import SearchRecord


def lesson_of(record: SearchRecord, number: int) -> Lesson:
    """Returns the lesson that a search of round `number` gives: its best trajectory, what lost to it, its decisions."""
    return Lesson(
        question=record.problem.question,
        solution=record.best.state.text,
        score=record.best.score,
        score_kind=record.best.score_kind,
        rejected=tuple(ScoredSolution(other.state.text, other.score) for other in record.rejected),
        decisions=record.decisions,
        round=number,
    )


def lessons_of(records: Sequence[SearchRecord], orm_threshold: float, number: int) -> list[Lesson]:
    """Returns a lesson for each search whose best trajectory is answered and has at least that ORM score.

    Raises RunError where there is none.
    """
    kept = [
        record
        for record in records
        if record.best.score >= orm_threshold and record.best.state.ending is Ending.ANSWERED
    ]
    if not kept:
        highest = max((record.best.score for record in records), default=0.0)
        raise RunError(
            f"round {number}: expected trajectories with an ORM score of at least {orm_threshold}, "
            f"the highest of {len(records)} is {highest:.3f}; lower --orm-threshold or raise --training-budget"
        )
    return [lesson_of(record, number) for record in kept]
