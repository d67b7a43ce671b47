"""Rows of a results table, gains between its stages, and the table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from typing import cast

import numpy as np
from rich.table import Table

from alphallm_env.runtime.files import Json
from experiments.runs.search_records import SearchRecord
from experiments.runs.statistics import bootstrap_mean


@dataclass(frozen=True)
class ResultRow:
    """One line of the results table. `ci95` is a percentile bootstrap over problems."""

    stage: str
    planner: str
    accuracy: float
    ci95: tuple[float, float]
    num_problems: int
    tokens_per_problem: float
    split: str
    control: str = ""  # which part of the loop was left out; empty for the loop itself
    weights: int | None = None  # of the policy, where they are known

    @property
    def round(self) -> int:
        """The round after which it was measured, 0 before the first."""
        return round_of(self.stage)

    def to_json(self) -> Json:
        """Returns the row as JSON, with round, level, tokens and FLOPs a problem beside its fields.

        A token takes 2 FLOPs for each weight (Kaplan et al. 2020), as if critics were of the policy's size. Prompts are
        left out: they come from the cache but for their first reading.
        """
        tokens = self.tokens_per_problem
        flops = None if self.weights is None else 2.0 * self.weights * tokens
        added = {"round": self.round, "level": self.split, "tokens": tokens, "flops": flops}
        return cast(Json, {**asdict(self), "ci95": list(self.ci95), **added})


def round_of(stage: str) -> int:
    """Returns 0 for a stage before the first round, else the number of its round.

    >>> round_of("before"), round_of("round2"), round_of("no_search-round12")
    (0, 2, 12)
    """
    _, found, number = stage.rpartition("round")
    return int(number) if found else 0


def summarise(
    stage: str,
    planner: str,
    split: str,
    records: Sequence[SearchRecord],
    control: str = "",
    weights: int | None = None,
) -> ResultRow:
    """Returns the row of one planner on one split. Ungradable answers count as not correct.

    Raises ValueError where there is no record, or one of a problem without an answer.
    """
    without = [record.problem.id for record in records if not record.problem.is_gradable]
    if without or not records:
        raise ValueError(f"accuracy needs problems with answers, got {len(records)} with {len(without)} without")
    correct = [record.is_correct for record in records]
    return ResultRow(
        stage=stage,
        planner=planner,
        accuracy=round(float(np.mean(correct)), 4),
        ci95=bootstrap_mean([float(c) for c in correct]),
        num_problems=len(records),
        tokens_per_problem=round(float(np.mean([record.usage.tokens for record in records])), 1),
        split=split,
        control=control,
        weights=weights,
    )


def paired_difference(
    after: Sequence[SearchRecord], before: Sequence[SearchRecord]
) -> tuple[float, tuple[float, float]]:
    """Returns the mean gain in accuracy and its paired interval. Both must hold the same problems in order."""
    ids = [[record.problem.id for record in records] for records in (after, before)]
    if ids[0] != ids[1]:
        place, (one, other) = next((n, p) for n, p in enumerate(zip_longest(*ids)) if p[0] != p[1])
        raise ValueError(f"expected the same problems in order, got {one!r} and {other!r} at place {place}")
    gains = [float(a.is_correct) - float(b.is_correct) for a, b in zip(after, before, strict=True)]
    return round(float(np.mean(gains)), 4), bootstrap_mean(gains)


def rounds_table(rows: Sequence[ResultRow], title: str) -> Table:
    """Returns accuracies by round, a column for each planner and level: the loop, then its controls."""
    columns = list(dict.fromkeys((row.planner, row.split) for row in rows))
    table = Table(title=title)
    table.add_column("")
    table.add_column("round", justify="right")
    for planner, split in columns:
        table.add_column(f"{planner}\n{split}", justify="right")
    found = {(row.control, row.round, row.planner, row.split): row for row in rows}
    lines = dict.fromkeys((row.control, row.round) for row in rows)
    for control, number in lines:
        row = [found.get((control, number, *column)) for column in columns]
        accuracies = ["" if cell is None else f"{cell.accuracy:.3f}" for cell in row]
        table.add_row(control.replace("_", " ") or "loop", str(number), *accuracies)
    return table


def results_table(rows: Sequence[ResultRow], title: str) -> Table:
    """Returns the rows as a table for the terminal."""
    table = Table(title=title)
    for column, justify in (("stage", "left"), ("split", "left"), ("planner", "left"), ("accuracy", "right")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for column in ("95 % interval", "problems", "tokens/problem"):
        table.add_column(column, justify="right")
    for row in rows:
        low, high = row.ci95
        table.add_row(
            row.stage, row.split, row.planner, f"{row.accuracy:.3f}", f"{low:.3f}–{high:.3f}",
            str(row.num_problems), f"{row.tokens_per_problem:,.0f}",
        )  # fmt: skip
    return table
