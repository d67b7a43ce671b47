"""Compares a field of planners over cost: does a tree beat the best of the others, armed alike, at equal cost?

    python -m experiments.per_token --out runs/per-token            # hours; resumes where it was stopped
    python -m experiments.per_token --quick --out runs/per-token-quick
    python -m experiments.per_token --config FILE.yaml              # flags from a file, by their names

Budgets are multiples of the FLOPs of a greedy solution. Planners are compared problem by problem, on the same problems.
`results.json` has `rows`, `error_ratio` and `cost_factor` (the best tree beside the best other planner, on each axis of
cost), and `accuracy_falls`: where a planner is worse with more budget by more than noise.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from agents.registry import PLANNERS
from alphallm_env.mdp.rewards import CORRECT, verdict_of
from experiments.field.contest import Contest, Terms
from experiments.field.curves import AXES, Curve, Ratio, best_at, cost_factor, curve_of, error_ratio, falls
from experiments.field.page import picture, short, table_of, write_csv, write_page
from experiments.runs.planners import planner_of
from experiments.runs.records import RunFolder, write_json
from experiments.runs.screen import Screen, quiet_libraries, results_console
from experiments.runs.search_records import SearchRecord
from experiments.runs.settings import flat, settings_of
from experiments.runs.statistics import bootstrap_mean


@dataclass(frozen=True)
class PerTokenConfig(Terms):
    """Compares a field of planners over cost."""

    problems: tuple[str, ...] = ("countdown:4", "countdown:5", "countdown:6", "gsm_symbolic")
    """problem sets, each by itself"""
    trees: Annotated[tuple[str, ...], tyro.conf.arg(help=f"tree searches: {PLANNERS.choices}")] = (
        "eta_mcts",
        "checked_eta_mcts",
        "eta_mcts_plus",
    )
    others: Annotated[tuple[str, ...], tyro.conf.arg(help="what they are compared with, named likewise")] = (
        "majority", "weighted_vote", "orm_rerank", "checked_rerank", "without_replacement", "step_beam", "dvts",
        "particle_filter",
    )  # fmt: skip
    multiples: tuple[int, ...] = (8, 32, 128)
    """budgets: what so many greedy solutions cost"""
    quick: bool = False
    """cut down to a few problems and planners, to see whether it runs"""
    out: Path = Path("runs/per-token")
    """the run's folder, from which the same command resumes"""

    def __post_init__(self) -> None:
        if not self.trees or not self.others:
            raise ValueError("expected at least one tree and one other planner, got none")
        if not self.multiples or min(self.multiples) < 1:
            raise ValueError(f"multiples must be >= 1, got {self.multiples}")
        if list(self.multiples) != sorted(set(self.multiples)):
            raise ValueError(f"multiples must rise, as curves do, got {self.multiples}")

    def reduced(self) -> PerTokenConfig:
        """Returns the settings that `quick` means: its planners are those of each kind that matter most."""
        if not self.quick:
            return self
        return replace(
            self, problems=self.problems[:2], limit=min(self.limit, 20), others=("orm_rerank", "checked_rerank"),
            multiples=self.multiples[:2],
        )  # fmt: skip


class Comparison:
    """One run in one folder: searches by problem set, planner and budget, each of which is read back where finished."""

    def __init__(self, config: PerTokenConfig) -> None:
        self.config = config
        config.check_policies()
        self.folder = RunFolder(config.out, flat(config, "out"))
        self.screen = Screen({})
        self.budgets: dict[str, dict[int, int]] = {}  # by multiple, of each problem set
        self.records: dict[tuple[str, str, int], list[SearchRecord]] = {}  # by multiple: 0 of greedy, without a budget

    def run(self) -> None:
        """Runs every search, by problem set."""
        for source in self.config.problems:
            contest = Contest(source, self.config, self.folder, self.screen)
            self.records[source, "greedy", 0] = contest.greedy
            self.budgets[source] = {multiple: contest.budget(multiple) for multiple in self.config.multiples}
            for multiple in self.config.multiples:
                for name in (*self.config.trees, *self.config.others):
                    self.records[source, name, multiple] = contest.search(name, planner_of(name, source), multiple)

    def rows(self) -> list[dict[str, Any]]:
        """Returns one row for each problem set, planner and budget."""
        return [
            row_of(source, planner, multiple, planner in self.config.trees, records)
            | {"budget": self.budgets[source].get(multiple, 0)}
            for (source, planner, multiple), records in self.records.items()
        ]

    def curves(self, source: str, axis: str) -> list[Curve]:
        """Returns the curves of all planners with a budget on a problem set."""
        return [
            curve_of(planner, [self.records[source, planner, multiple] for multiple in self.config.multiples], axis)
            for planner in (*self.config.trees, *self.config.others)
        ]


def row_of(source: str, planner: str, multiple: int, is_tree: bool, records: Sequence[SearchRecord]) -> dict[str, Any]:
    """Returns the figures of one planner at a multiple of greedy's cost. Costs are means over problems."""

    def mean(values: Sequence[float]) -> float:
        return round(float(np.mean(values)), 4)

    correct = [float(record.is_correct) for record in records]
    found = [any(verdict_of(t.state.text, r.problem) == CORRECT for t in r.kept) for r in records]
    expanded = sum(record.num_expanded for record in records)
    usages = [record.usage for record in records]
    return {
        "problems": source, "planner": planner, "is_tree": is_tree, "multiple": multiple, "num_problems": len(records),
        "accuracy": mean(correct), "ci95": list(bootstrap_mean(correct)), "pass_at_k": mean(found),
        **{axis: mean([cost(record) for record in records]) for axis, cost in AXES.items()},
        "simulations": mean([usage.simulations for usage in usages]),
        "depth": mean([record.depth for record in records]),
        "choice_share": round(sum(r.num_choices for r in records) / expanded, 4) if expanded else 0.0,
        "seconds": mean([usage.seconds for usage in usages]),  # of a search, shared with those beside it
    }  # fmt: skip


def ratios_of(comparison: Comparison) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Returns the error ratios and the cost factors of the best tree over the best other planner."""
    config = comparison.config
    errors: list[dict[str, Any]] = []
    factors: list[dict[str, Any]] = []
    for source in config.problems:
        for axis in AXES:
            curves = comparison.curves(source, axis)
            trees, others = curves[: len(config.trees)], curves[len(config.trees) :]
            for number, budget in enumerate(comparison.budgets[source].values()):
                tree = max(trees, key=lambda curve: float(curve.correct[number].mean()))
                cost = float(tree.costs[number])
                other = best_at(others, cost)
                place = {"problems": source, "budget": budget, "axis": axis, "tree": tree.planner}
                ratio = error_ratio(tree.correct[number], other.at(cost), config.seed)
                errors.append({**place, "non_tree": other.planner, **_json(ratio, "ratio")})
                factors.append({**place, **_json(cost_factor(tree, others, number, config.seed), "factor")})
    return errors, factors


def _json(ratio: Ratio, name: str) -> dict[str, Any]:
    values = [None if not np.isfinite(value) else round(value, 4) for value in (ratio.value, *ratio.ci95)]
    return {name: values[0], "ci95": values[1:]}


def falls_of(comparison: Comparison) -> list[dict[str, Any]]:
    """Returns where a planner is worse with more budget by more than noise."""
    return [
        {
            "problems": source, "planner": curve.planner, "budget": list(comparison.budgets[source].values())[number],
            "change": round(change, 4), "ci95": list(interval),
        }
        for source in comparison.config.problems
        for curve in comparison.curves(source, comparison.config.axis)
        for number, change, interval in falls(curve)
    ]  # fmt: skip


def in_words(entry: dict[str, Any], name: str) -> str:
    """Returns a ratio as a line for the terminal and the page."""
    low, high = ("∞" if value is None else f"{value:.2f}" for value in entry["ci95"])
    what = f"its error ÷ {entry['non_tree']}'s" if name == "ratio" else "what the cheapest other needs ÷ its cost"
    value = "∞" if entry[name] is None else f"{entry[name]:.2f}"
    where = f"{entry['problems']}, budget {short(entry['budget'])}, by {entry['axis']}"
    return f"{where}: {entry['tree']}, {what}: {value} ({low} to {high})"


def main(config: PerTokenConfig) -> dict[str, Any]:
    """Runs the comparison, prints its table and ratios, and writes results, CSV, pictures and page."""
    import torch

    config = config.reduced()
    torch.set_num_threads(config.threads)
    quiet_libraries()
    comparison = Comparison(config)
    comparison.run()
    rows = comparison.rows()
    errors, factors = ratios_of(comparison)
    results = {
        "rows": rows, "error_ratio": errors, "cost_factor": factors, "accuracy_falls": falls_of(comparison),
    }  # fmt: skip
    write_json(config.out / "results.json", results)
    write_csv(config.out / "rows.csv", rows)
    lines = [in_words(entry, name) for entries, name in ((errors, "ratio"), (factors, "factor")) for entry in entries]
    pictures = {
        axis: picture({source: comparison.curves(source, axis) for source in config.problems}, config.trees, axis)
        for axis in AXES
    }
    write_page(config.out, rows, lines, pictures)
    console = results_console()
    console.print(table_of(rows, f"accuracy at multiples of a greedy solution's {config.axis}"))
    for line in lines:
        console.print(line)
    comparison.screen.say(f"Report: {config.out / 'report.html'}   {config.out / 'rows.csv'}")
    return results


if __name__ == "__main__":
    main(settings_of(PerTokenConfig, sys.argv[1:]))
