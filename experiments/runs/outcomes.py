"""What a search over one problem came to, and tables of many of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from typing import cast

import numpy as np

from agents.base import PlanResult
from agents.tree.node import depth, num_nodes, width
from alphallm_env.grading import Verdict, grade
from alphallm_env.runtime.metering import Usage, Work
from alphallm_env.types import Problem, ProgramRun, ScoreKind, State, Trajectory, Transcript
from alphallm_env.runtime.files import Json

_RESAMPLES = 10_000


@dataclass(frozen=True)
class Outcome:
    """One problem, searched: its answer, how it was graded, what it cost, and the tree's shape.

    `verdict` is `unknown` for a problem without an answer. `score` is the chosen trajectory's, in [0, 1];
    `best` is the best-scored finished trajectory, what training takes.
    """

    problem: Problem
    answer: str | None
    verdict: str
    score: float
    best: Trajectory
    usage: Usage
    num_nodes: int = 0
    depth: int = 0
    width: int = 0

    @property
    def is_correct(self) -> bool:
        """Whether the answer was graded correct."""
        return self.verdict == Verdict.CORRECT.value

    def to_json(self) -> Json:
        """Returns the outcome as JSON, which `from_json` reads back."""
        return {
            "problem": asdict(self.problem),
            "answer": self.answer,
            "verdict": self.verdict,
            "score": self.score,
            "best": {
                "state": self.best.state.to_bytes().decode("utf-8", "surrogatepass"),
                "score": self.best.score,
                "score_kind": self.best.score_kind.value,
                "transcript": None if self.best.transcript is None else cast(Json, asdict(self.best.transcript)),
            },
            "usage": asdict(self.usage),
            "num_nodes": self.num_nodes,
            "depth": self.depth,
            "width": self.width,
        }

    @staticmethod
    def from_json(record: Json) -> Outcome:
        """Returns the outcome that `to_json` wrote."""
        fields = dict(cast("dict[str, object]", record))
        best = cast("dict[str, object]", fields.pop("best"))
        state = State.from_bytes(str(best["state"]).encode("utf-8", "surrogatepass"))
        kind = ScoreKind(best.get("score_kind", ScoreKind.UNSPECIFIED.value))
        trajectory = Trajectory(state, cast(float, best["score"]), _transcript(best.get("transcript")), kind)
        problem = Problem(**cast("dict[str, str]", fields.pop("problem")))
        counts = dict(cast("dict[str, object]", fields.pop("usage")))
        work = {role: Work(**cast("dict[str, int]", counts.pop(role))) for role in ("policy", "rollout", "critic")}
        usage = Usage(**counts, **work)  # type: ignore[arg-type]
        return Outcome(problem=problem, best=trajectory, usage=usage, **fields)  # type: ignore[arg-type]


def _transcript(record: object) -> Transcript | None:
    """Returns the transcript that a record holds; there is none in those of critics that write nothing."""
    if record is None:
        return None
    fields = cast("dict[str, object]", record)
    programs = tuple(ProgramRun(**run) for run in cast("list[dict[str, str]]", fields["programs"]))
    return Transcript(str(fields["text"]), programs, cast(float, fields["score"]))


def outcome_of(problem: Problem, result: PlanResult) -> Outcome:
    """Returns what a planner's result is worth; the gold answer is read here, after planning."""
    verdict = "unknown" if problem.answer is None else grade(result.answer, problem.answer).value
    best = max(result.finished, key=lambda trajectory: trajectory.score, default=result.best)
    root = result.root
    return Outcome(
        problem=problem,
        answer=result.answer,
        verdict=verdict,
        score=result.best.score,
        best=best,
        usage=result.usage,
        num_nodes=num_nodes(root) if root else 0,
        depth=depth(root) if root else 0,
        width=width(root) if root else 0,
    )


@dataclass(frozen=True)
class Row:
    """One line of the results table. `ci95` is a percentile bootstrap over problems."""

    stage: str
    planner: str
    accuracy: float
    ci95: tuple[float, float]
    num_problems: int
    tokens_per_problem: float
    split: str

    def to_json(self) -> Json:
        """Returns the row as JSON."""
        return cast(Json, {**asdict(self), "ci95": list(self.ci95)})


def summarise(stage: str, planner: str, split: str, outcomes: Sequence[Outcome]) -> Row:
    """Returns the row of one planner on one split. Ungradable answers count as not correct.

    Raises ValueError where there is no outcome, or one of a problem without an answer.
    """
    without = [outcome.problem.id for outcome in outcomes if outcome.problem.answer is None]
    if without or not outcomes:
        raise ValueError(f"accuracy needs problems with answers, got {len(outcomes)} with {len(without)} without")
    correct = [outcome.is_correct for outcome in outcomes]
    return Row(
        stage=stage,
        planner=planner,
        accuracy=round(float(np.mean(correct)), 4),
        ci95=bootstrap_mean([float(c) for c in correct]),
        num_problems=len(outcomes),
        tokens_per_problem=round(float(np.mean([outcome.usage.tokens for outcome in outcomes])), 1),
        split=split,
    )


def bootstrap_mean(values: Sequence[float]) -> tuple[float, float]:
    """Returns the 95 % percentile bootstrap interval of the mean of `values`, one value a problem.

    For a difference of two planners, pass the differences problem by problem: that is the paired interval.
    """
    array = np.asarray(values, dtype=float)
    if not len(array):
        raise ValueError("expected at least one value, got none")
    if len(array) < 2 or array.min() == array.max():
        return (round(float(array.mean()), 4), round(float(array.mean()), 4))
    from scipy.stats import bootstrap

    interval = bootstrap(
        (array,),
        np.mean,
        method="percentile",
        n_resamples=_RESAMPLES,
        rng=np.random.default_rng(0),
        batch=1_000,
    ).confidence_interval
    return (round(float(interval.low), 4), round(float(interval.high), 4))


def paired_difference(after: Sequence[Outcome], before: Sequence[Outcome]) -> tuple[float, tuple[float, float]]:
    """Returns the mean gain in accuracy and its paired interval. Both must hold the same problems in order."""
    ids = [[outcome.problem.id for outcome in outcomes] for outcomes in (after, before)]
    if ids[0] != ids[1]:
        place, (one, other) = next((n, p) for n, p in enumerate(zip_longest(*ids)) if p[0] != p[1])
        raise ValueError(f"expected the same problems in order, got {one!r} and {other!r} at place {place}")
    gains = [float(a.is_correct) - float(b.is_correct) for a, b in zip(after, before, strict=True)]
    return round(float(np.mean(gains)), 4), bootstrap_mean(gains)
