"""Compares a field of planners over cost: does a tree beat the best of the others, armed alike, at equal cost?

    python -m experiments.per_token --out runs/per-token            # hours; resumes where it was stopped
    python -m experiments.per_token --quick --out runs/per-token-quick
    python -m experiments.per_token --config FILE.yaml              # flags from a file, by their names
    python -m experiments.per_token --policy FOLDER OTHER --repeats 3 --processes 2
    python -m experiments.per_token --axis tokens --budgets 500 2000

Budgets are multiples of the FLOPs of a greedy solution, or `--budgets` in units of `--axis`. Planners are compared
problem by problem, on the same problems.
`results.json` has `rows`, `error_ratio` and `cost_factor` (the best tree beside the best other planner, on each axis of
cost), `differences` (of every planner to `--reference`), and `accuracy_falls`: where a planner is worse with more
budget by more than noise.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from experiments.field.comparison import Comparison, FieldConfig, in_words
from experiments.field.curves import AXES
from experiments.field.page import picture, table_of, write_csv, write_page
from experiments.report.repeat import command_of
from experiments.runs.plots import drawn
from experiments.runs.records import write_json
from experiments.runs.screen import quiet_libraries, results_console
from experiments.runs.settings import flat, settings_of


@dataclass(frozen=True)
class PerTokenConfig(FieldConfig):
    """Compares a field of planners over cost."""

    quick: bool = False
    """cut down to a few problems and planners, to see whether it runs"""

    def reduced(self) -> PerTokenConfig:
        """Returns the settings that `quick` means: its planners are those of each kind that matter most."""
        if not self.quick:
            return self
        return replace(
            self, problems=self.problems[:2], limit=min(self.limit, 20), others=("orm_rerank", "checked_rerank"),
            multiples=self.multiples[:2], budgets=self.budgets[:2],
        )  # fmt: skip


def main(config: PerTokenConfig) -> dict[str, Any]:
    """Runs the comparison, prints its table and ratios, and writes results, CSV, pictures and page."""
    import torch

    config = config.reduced()
    torch.set_num_threads(config.threads)
    quiet_libraries()
    comparison = Comparison(config)
    comparison.run()
    rows = comparison.rows()
    errors, factors = comparison.ratios()
    differences = comparison.differences()
    results = {
        "rows": rows, "error_ratio": errors, "cost_factor": factors, "differences": differences,
        "accuracy_falls": comparison.falls(),
    }  # fmt: skip
    write_json(config.out / "results.json", results)
    write_csv(config.out / "rows.csv", rows)
    largest = {entry["problems"]: entry["budget"] for entry in errors}  # budgets rise
    first = [e for e in errors if e["axis"] == config.axis and e["budget"] == largest[e["problems"]]]
    entries = {
        "": first, "Errors of the best tree": errors, "What others need": factors, "Differences": differences,
    }  # fmt: skip
    sentences = {title: [in_words(entry) for entry in found] for title, found in entries.items()}
    pictures = {
        axis: drawn(partial(picture, {p: comparison.curves(p, axis) for p in comparison.places}, config.trees, axis))
        for axis in AXES
    }
    settings = flat(config, "out", "quick")
    command = command_of("experiments.per_token", settings, {"": flat(PerTokenConfig(), "out", "quick")})
    write_page(config.out, rows, sentences, pictures, settings, command)
    console = results_console()
    by = "budget" if config.budgets else "multiple"
    title = f"accuracy by budget of {config.axis}" + ("" if config.budgets else ", in greedy solutions")
    console.print(table_of(rows, title, by))
    for line in (line for title, lines in sentences.items() if title for line in lines):
        console.print(line)
    comparison.screen.say(f"Report: {config.out / 'report.html'}   {config.out / 'rows.csv'}")
    return results


if __name__ == "__main__":
    main(settings_of(PerTokenConfig, sys.argv[1:]))
