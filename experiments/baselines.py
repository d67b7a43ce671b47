"""Standard agents on the Choice environment, beside simple rules and planners at an equal token budget.

    python -m experiments.baselines --out runs/baselines --json FILE
    python -m experiments.baselines --smoke

PPO, A2C, DQN (stable-baselines3) and MaskablePPO (sb3-contrib) learn on problems of the train split to choose among
the policy's options; everyone is evaluated on the test split. The planners may spend what the agents spent on
average. Each training and each evaluation of one seed is kept in the run's folder: the same command resumes
where it was stopped.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from experiments.choice.comparison import BaselinesConfig, Comparison, smoke_settings
from experiments.choice.report import BaselineRow, Runs, baselines_table, draw_curves, row_of
from experiments.choice.training import Point
from experiments.runs.records import RunFolder, write_json
from experiments.runs.screen import quiet_libraries, results_console
from experiments.runs.settings import flat, settings_of

REFERENCE = "most_probable"


def mean_tokens(runs: Sequence[Runs]) -> int:
    """Returns the mean tokens a problem of several agents' runs."""
    return round(float(np.mean([played.num_tokens for agent in runs for run in agent for played in run])))


def main(config: BaselinesConfig) -> list[BaselineRow]:
    """Trains, evaluates, prints the table and writes the results."""
    quiet_libraries()
    config = smoke_settings(config) if config.smoke else config
    with tempfile.TemporaryDirectory() as scratch:
        return _run(config, config.out or Path(scratch))


def _run(config: BaselinesConfig, path: Path) -> list[BaselineRow]:
    folder = RunFolder(path, flat(config, "out", "json"))
    comparison, console, started = Comparison(config, folder), results_console(), time.monotonic()

    def tell(name: str) -> None:
        console.print(f"{name}: done after {time.monotonic() - started:.0f} s")

    rules = comparison.rule_runs()
    tell("rules")
    agents: dict[str, Runs] = {}
    curves: dict[str, list[list[Point]]] = {}
    for algorithm in config.algorithms:
        agents[algorithm], curves[algorithm] = comparison.agent_runs(algorithm)
        tell(algorithm)
    budget = mean_tokens(list((agents or rules).values()))
    planners: dict[str, Runs] = {}
    for name in config.planners:
        planners[name] = comparison.planner_runs(name, budget)
        tell(name)
    kinds = {"rule": rules, "trained": agents, "planner": planners}
    rows = [row_of(name, kind, runs, rules[REFERENCE]) for kind, group in kinds.items() for name, runs in group.items()]
    title = f"{config.test_limit} problems of {config.problems}, {config.num_seeds} seeds, {budget:,} tokens"
    console.print(baselines_table(rows, title))
    on_development = comparison.rules_on_development()
    if curves:
        draw_curves(curves, on_development, "Learning to choose", path / "curves.png")
    results = {
        "budget": budget,
        "rows": [row.to_json() for row in rows],
        "development": on_development,
        "curves": {name: [[asdict(point) for point in run] for run in runs] for name, runs in curves.items()},
        "offers": len(comparison.train_env.book),
    }
    for file in (path / "results.json", config.json):
        if file:
            write_json(file, results)
    return rows


if __name__ == "__main__":
    main(settings_of(BaselinesConfig))
