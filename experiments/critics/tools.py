"""The ORM with tools beside the ORM without: both scores of a solution, and what the difference is worth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np
from rich.table import Table

from alphallm_env.critics.base import Critic
from alphallm_env.critics.measures import Quality, area_under_roc, quality
from alphallm_env.runtime.engine import Engine
from alphallm_env.runtime.files import Json
from alphallm_env.runtime.metering import Meter, metering
from alphallm_env.training.graded import Sample
from alphallm_env.types import State, Trajectory

_RESAMPLES = 2_000


@dataclass(frozen=True)
class Judged:
    """A solution with both ORMs' scores in [0, 1], and what the one with tools did for its own."""

    problem_id: str
    correct: bool
    plain: float
    with_tools: float
    programs: tuple[str, ...]  # the status of each that was run
    check: str

    def to_json(self) -> Json:
        """Returns the record as JSON, which `from_json` reads back."""
        return cast(Json, asdict(self))

    @staticmethod
    def from_json(record: Json) -> Judged:
        """Returns what `to_json` wrote."""
        fields = dict(cast("dict[str, Any]", record))
        return Judged(programs=tuple(fields.pop("programs")), **fields)


def judge(
    part: Sequence[Sample], states: Sequence[State], plain: Critic, tools: Critic, engine: Engine
) -> list[Judged]:
    """Returns both ORMs' scores of some solutions."""
    with metering(Meter()) as meter:
        without = engine.run(plain.evaluate(states))
        having = engine.run(tools.evaluate(states))
    found: list[Judged] = []
    for sample, state, one, other in zip(part, states, without, having, strict=True):
        transcript = meter.with_transcript(Trajectory(state, other)).transcript
        programs = tuple(run.status for run in transcript.programs) if transcript else ()
        found.append(
            Judged(sample.problem_id, sample.correct, one, other, programs, transcript.text if transcript else "")
        )
    return found


@dataclass(frozen=True)
class Comparison:
    """Both ORMs' measures. `gain` is AUC with tools − without, `gain_ci95` a bootstrap over problems."""

    plain: Quality
    with_tools: Quality
    gain: float
    gain_ci95: tuple[float, float]
    share_with_program: float
    program_endings: dict[str, int]


def compare(judged: Sequence[Judged], seed: int = 0) -> Comparison:
    """Returns the comparison. Raises ValueError unless there are right and wrong solutions."""
    outcomes = [item.correct for item in judged]
    plain, tools = [item.plain for item in judged], [item.with_tools for item in judged]
    gain = area_under_roc(tools, outcomes) - area_under_roc(plain, outcomes)
    by_problem: dict[str, list[Judged]] = {}
    for item in judged:
        by_problem.setdefault(item.problem_id, []).append(item)
    groups, rng, gains = list(by_problem.values()), np.random.default_rng(seed), list[float]()
    while len(gains) < _RESAMPLES:
        drawn = [item for index in rng.integers(len(groups), size=len(groups)) for item in groups[index]]
        truths = [item.correct for item in drawn]
        if any(truths) and not all(truths):
            with_tools = area_under_roc([item.with_tools for item in drawn], truths)
            gains.append(with_tools - area_under_roc([item.plain for item in drawn], truths))
    low, high = np.quantile(gains, (0.025, 0.975))
    return Comparison(
        quality(plain, outcomes),
        quality(tools, outcomes),
        gain,
        (float(low), float(high)),
        sum(bool(item.programs) for item in judged) / len(judged),
        dict(Counter(status for item in judged for status in item.programs)),
    )


def show(found: Comparison) -> Table:
    """Returns the table."""
    table = Table(title="the ORM with tools and without")
    for column in ("ORM", "AUC", "precision", "recall", "ECE", "Brier", "right", "solutions"):
        table.add_column(column, justify="left" if column == "ORM" else "right")
    for name, q in (("without", found.plain), ("with tools", found.with_tools)):
        figures = (q.auc, q.precision, q.recall, q.ece, q.brier, q.base_rate)
        table.add_row(name, *(f"{figure:.3f}" for figure in figures), str(q.num_scores))
    low, high = found.gain_ci95
    endings = ", ".join(f"{count} {status}" for status, count in sorted(found.program_endings.items())) or "none"
    table.caption = (
        f"AUC with tools − without: {found.gain:+.3f}, 95 % {low:+.3f} to {high:+.3f}; programs for "
        f"{found.share_with_program:.0%} of the solutions: {endings}"
    )
    return table
