"""The report on critics: one critic's measures, the JSON, tables and pictures of several."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from alphallm_env.critics.calibration import Scaling
from alphallm_env.critics.measures import Quality
from alphallm_env.runtime.files import Json
from experiments.critics.reliability import depth_picture, reliability_picture
from experiments.critics.scores import ScoredItems
from experiments.runs.records import git_revision

# PAPER §3, on GSM8K's test problems: precision, recall, ECE.
PAPER = {"value": (0.82, 0.79, 0.032), "prm": (0.62, 0.90, 0.375)}


@dataclass(frozen=True)
class CriticReport:
    """One critic's measures."""

    calibration: str  # of the headline
    scaling: Scaling | None  # the same
    folds: dict[str, Quality]  # kind -> measures in the cross-validation over development problems
    splits: dict[str, dict[str, Quality]]  # split -> calibration -> measures
    depths: dict[int, Quality]  # of the test split, as the headline has it
    test: ScoredItems
    unseen: ScoredItems | None

    @property
    def headline(self) -> Quality:
        """The measures on the test split."""
        return self.splits["test"][self.calibration]


def as_json(reports: dict[str, CriticReport], settings: dict[str, Json]) -> dict[str, Json]:
    """Returns the report as JSON: headline figures as `critic_measure`, then everything. NaN becomes null."""
    headline: dict[str, Json] = {}
    critics: dict[str, Json] = {}
    for name, report in reports.items():
        measures = report.headline.to_json()
        headline |= {f"{name}_{measure}": value for measure, value in measures.items()}
        headline |= {f"{name}_ece_{how}": report.splits["test"][how].ece for how in ("raw", "kept")}
        headline[f"{name}_calibration"] = report.calibration
        splits: dict[str, Json] = {
            split: {how: found.to_json() for how, found in qualities.items()}
            for split, qualities in report.splits.items()
        }
        depths: dict[str, Json] = {str(depth): found.to_json() for depth, found in report.depths.items()}
        folds: dict[str, Json] = {kind: found.to_json() for kind, found in report.folds.items()}
        critics[name] = {"splits": splits, "by_depth": depths, "cross_validated": folds}
    paper: dict[str, Json] = {
        name: dict(zip(("precision", "recall", "ece"), row, strict=True)) for name, row in PAPER.items()
    }
    headline |= {"critics": critics, "paper": paper, "config": settings, "revision": git_revision()}
    return headline


def tables(reports: dict[str, CriticReport]) -> list[Table]:
    """Returns the tables that the terminal shows: the paper's, calibration, splits, depths."""
    return [
        paper_table(reports),
        calibration_table(
            "ECE (Brier), cross-validated over development problems", {n: r.folds for n, r in reports.items()}
        ),
        calibration_table(
            "ECE (Brier) on the test split, fitted on the development split",
            {name: report.splits["test"] for name, report in reports.items()},
        ),
        _quality_table(
            "by split",
            [(name, split, found[r.calibration]) for name, r in reports.items() for split, found in r.splits.items()],
        ),
        _quality_table(
            "by depth on the test split, in options taken",
            [(name, str(depth), found) for name, r in reports.items() for depth, found in r.depths.items()],
        ),
    ]


def _table(title: str, *columns: str, num_names: int = 1) -> Table:
    table = Table(title=title)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index < num_names else "right")
    return table


def _shown(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def paper_table(reports: dict[str, CriticReport]) -> Table:
    """Returns AlphaLLM's table of critics with ours on the test split beside it."""
    table = _table(
        "the paper's table (GSM8K, 70B) and ours (test split)",
        "critic", "precision, paper", "ours", "recall, paper", "ours", "ECE, paper", "ours", "calibration",
    )  # fmt: skip
    for name, report in reports.items():
        found = report.headline
        paper = PAPER.get(name, (math.nan,) * 3)
        ours = (found.precision, found.recall, found.ece)
        figures = (_shown(value) for pair in zip(paper, ours, strict=True) for value in pair)
        table.add_row(name, *figures, report.calibration)
    return table


def calibration_table(title: str, critics: dict[str, dict[str, Quality]]) -> Table:
    """Returns ECE and Brier score of each critic after every calibration."""
    ways = list(next(iter(critics.values())))
    table = _table(title, "critic", *ways)
    for name, found in critics.items():
        table.add_row(name, *(f"{_shown(found[way].ece)} ({_shown(found[way].brier)})" for way in ways))
    return table


def _quality_table(title: str, rows: Sequence[tuple[str, str, Quality]]) -> Table:
    shown: dict[str, Callable[[Quality], str]] = {
        "precision": lambda q: _shown(q.precision), "recall": lambda q: _shown(q.recall), "F1": lambda q: _shown(q.f1),
        "AUC": lambda q: _shown(q.auc), "ECE": lambda q: _shown(q.ece), "Brier": lambda q: _shown(q.brier),
        "correct": lambda q: _shown(q.base_rate), "scores": lambda q: str(q.num_scores),
    }  # fmt: skip
    table = _table(title, "critic", "part", *shown, num_names=2)
    for name, part, found in rows:
        table.add_row(name, part, *(show(found) for show in shown.values()))
    return table


def write_pictures(folder: Path, reports: dict[str, CriticReport]) -> None:
    """Writes reliability diagrams of the test split and of unseen templates, and AUC and ECE by depth."""
    tested = {name: (r.test.outcomes, r.test.scores, r.test.through(r.scaling)) for name, r in reports.items()}
    (folder / "reliability_test.png").write_bytes(reliability_picture(tested, "test split"))
    unseen = {
        name: (r.unseen.outcomes, r.unseen.scores, r.unseen.through(r.scaling))
        for name, r in reports.items()
        if r.unseen is not None
    }
    if unseen:
        (folder / "reliability_unseen_templates.png").write_bytes(reliability_picture(unseen, "unseen templates"))
    (folder / "by_depth.png").write_bytes(depth_picture({name: r.depths for name, r in reports.items()}))
