"""Rows of a results table, gains between its stages, and the table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import compress, zip_longest
from typing import cast

import numpy as np
from rich.table import Table

from agents.base import Budget
from alphallm_env.runtime.files import Json
from experiments.runs.search_records import SearchRecord
from experiments.runs.statistics import bootstrap_mean


@dataclass(frozen=True)
class ResultRow:
    """One line of the results table. `ci95` is a percentile bootstrap over problems; costs are means over them."""

    stage: str
    planner: str
    accuracy: float
    ci95: tuple[float, float]
    num_problems: int
    tokens_per_problem: float
    split: str
    control: str = ""  # which part of the loop was left out; empty for the loop itself
    computed: float = 0.0  # tokens that the models computed for a problem
    flops: float | None = None  # of the models, for a problem; None where one of them does not tell its size
    seconds: float = field(default=0.0, compare=False)  # of a search, shared with those beside it

    @property
    def round(self) -> int:
        """The round after which it was measured, 0 before the first."""
        return round_of(self.stage)

    def as_budget(self) -> Budget:
        """Returns what a problem cost, to spend as much: FLOPs, tokens where a model does not tell its size."""
        if self.flops is None:
            return Budget(tokens=max(1, round(self.tokens_per_problem)))
        return Budget(flops=max(1, round(self.flops)))

    def to_json(self) -> Json:
        """Returns the row as JSON, with round, level and tokens a problem beside its fields.

        Without the seconds, which differ from one machine to the next: `ledger.json` has them.
        """
        fields = asdict(self)
        del fields["seconds"]
        added = {"round": self.round, "level": self.split, "tokens": self.tokens_per_problem}
        return cast(Json, {**fields, "ci95": list(self.ci95), **added})


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
) -> ResultRow:
    """Returns the row of one planner on one split. Ungradable answers count as not correct.

    Raises ValueError where there is no record, or one of a problem without an answer.
    """
    without = [record.problem.id for record in records if not record.problem.is_gradable]
    if without or not records:
        raise ValueError(f"accuracy needs problems with answers, got {len(records)} with {len(without)} without")
    correct = [record.is_correct for record in records]
    usages = [record.usage for record in records]
    is_sized = not any(usage.unsized_tokens for usage in usages)
    return ResultRow(
        stage=stage,
        planner=planner,
        accuracy=round(float(np.mean(correct)), 4),
        ci95=bootstrap_mean([float(c) for c in correct]),
        num_problems=len(records),
        tokens_per_problem=round(float(np.mean([usage.tokens for usage in usages])), 1),
        split=split,
        control=control,
        computed=round(float(np.mean([usage.computed_tokens for usage in usages])), 1),
        flops=round(float(np.mean([usage.flops for usage in usages])), 1) if is_sized else None,
        seconds=float(np.mean([usage.seconds for usage in usages])),
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
        table.add_column(f"{planner.replace('_', ' ')}\n{split}", justify="right")  # may wrap at spaces
    found = {(row.control, row.round, row.planner, row.split): row for row in rows}
    lines = dict.fromkeys((row.control, row.round) for row in rows)
    for control, number in lines:
        row = [found.get((control, number, *column)) for column in columns]
        accuracies = ["" if cell is None else f"{cell.accuracy:.3f}" for cell in row]
        table.add_row(control.replace("_", " ") or "loop", str(number), *accuracies)
    return table


COLUMNS = (
    "stage", "split", "planner", "accuracy", "95 % interval", "problems", "tokens", "computed", "MFLOPs", "seconds",
)  # fmt: skip
_NUM_LEFT = 3  # columns of words


def cells_of(row: ResultRow) -> tuple[str, ...]:
    """Returns what a table shows of a row under `COLUMNS`; tokens, computed tokens, FLOPs and seconds of a problem."""
    flops = "?" if row.flops is None else f"{row.flops / 1e6:,.0f}"
    return (
        row.stage, row.split, row.planner, f"{row.accuracy:.3f}", "–".join(f"{end:.3f}" for end in row.ci95),
        str(row.num_problems), f"{row.tokens_per_problem:,.0f}", f"{row.computed:,.0f}", flops, f"{row.seconds:.2f}",
    )  # fmt: skip


def results_table(rows: Sequence[ResultRow], title: str) -> Table:
    """Returns the rows as a table for the terminal, without a stage or split that is the same in all rows."""
    cells = [cells_of(row) for row in rows]
    differs = [place >= _NUM_LEFT - 1 or len({row[place] for row in cells}) > 1 for place in range(len(COLUMNS))]
    table = Table(title=title)
    for place, column in enumerate(COLUMNS):
        if differs[place]:
            table.add_column(column, justify="left" if place < _NUM_LEFT else "right", no_wrap=place < _NUM_LEFT)
    for row in cells:
        table.add_row(*compress(row, differs))
    return table
