"""From searches to lessons: which trajectories a policy learns from, with what was rejected beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from agents.base import PlanResult
from alphallm_env.errors import RunError
from alphallm_env.runtime.seeds import derive_seed
from alphallm_env.training.base import Lesson, ScoredSolution
from alphallm_env.types import Ending, Problem, ScoreKind
from experiments.runs.search_records import SearchRecord


def require_orm_scores(
    planner: str, watch: Callable[[Problem, PlanResult], None]
) -> Callable[[Problem, PlanResult], None]:
    """Returns `watch` with a check before it: RunError at the first trajectory that the ORM did not score."""

    def checked(problem: Problem, result: PlanResult) -> None:
        kind = result.best.score_kind
        if kind is not ScoreKind.ORM:
            raise RunError(
                f"training_planner must score trajectories by the ORM (ScoreKind.ORM, as eta_mcts and orm_rerank do), "
                f"got {planner!r}, whose scores are {kind.name}"
            )
        watch(problem, result)

    return checked


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


def lessons_of(records: Sequence[SearchRecord], orm_threshold: float, number: int, solutions: int = 1) -> list[Lesson]:
    """Returns a lesson for each search whose best trajectory is answered and has at least that ORM score.

    Up to `solutions` trajectories of a search are kept, the best one first: the others are lessons of their own, of
    other texts. Raises RunError where there is none.
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
    return [
        lesson
        for record in kept
        for lesson in (lesson_of(record, number), *others_of(record, orm_threshold, number, solutions - 1))
    ]


def others_of(record: SearchRecord, orm_threshold: float, number: int, most: int) -> list[Lesson]:
    """Returns lessons of up to `most` further trajectories of a search that are answered and score high enough."""
    good = [o for o in record.rejected if o.score >= orm_threshold and o.state.ending is Ending.ANSWERED]
    return [
        Lesson(record.problem.question, other.state.text, other.score, other.score_kind, round=number)
        for other in good[: max(0, most)]
    ]


def visited(records: Sequence[SearchRecord], orm_threshold: float, number: int, seed: int) -> list[Lesson]:
    """Returns a lesson for each decision of the searches that found a solution: one option, drawn by visit counts.

    In expectation the policy so imitates the visit distribution, as in AlphaZero. Decisions between fewer than two
    options are left out: they say nothing.
    """
    lessons: list[Lesson] = []
    for record in records:
        if record.best.score < orm_threshold:
            continue
        rng = Random(derive_seed(seed, "visited", number, record.problem.id))
        for decision in record.decisions:
            if len(decision.options) > 1:
                [option] = rng.choices(decision.options, [option.visit_count for option in decision.options])
                lessons.append(
                    Lesson(
                        record.problem.question, option.text, option.value, ScoreKind.UNSPECIFIED, round=number,
                        prefix=decision.prefix, is_whole=False,
                    )
                )  # fmt: skip
    return lessons


def training_set(lessons: Sequence[Lesson], number: int, most: int, seed: int) -> list[Lesson]:
    """Returns at most `most` lessons: those of round `number`, and a sample of the earlier ones where there is room."""
    new = [lesson for lesson in lessons if lesson.round == number]
    earlier = [lesson for lesson in lessons if lesson.round != number]
    rng = Random(seed)
    if len(new) >= most:
        return rng.sample(new, most)
    room = most - len(new)
    return [*(earlier if len(earlier) <= room else rng.sample(earlier, room)), *new]
