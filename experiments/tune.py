"""Tunes the settings of ηMCTS on development problems, at an equal budget, by Optuna.

    python -m experiments.tune --space docs/examples/space.yaml --problems countdown:5 countdown:6 --out runs/tune

The space names the settings to try, each with a list of values or with bounds. The study is kept in `out/study.log`:
the same command resumes, and with more --trials goes on. The figure of the best trial is the best of many on these
problems, and so flattered: measure its settings on others, with `experiments.per_token`. Needs `pip install
alphallm-env[tune]`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import numpy as np
import tyro
import yaml
from rich.table import Table

from agents.mcts import EtaMCTS
from alphallm_env.runtime.files import Json
from experiments.field.contest import Contest, Terms, policy_of
from experiments.runs.planners import planner_of
from experiments.runs.records import RunFolder, write_json
from experiments.runs.screen import Screen, quiet_libraries, results_console
from experiments.runs.settings import flat, settings_of
from experiments.runs.statistics import bootstrap_mean

if TYPE_CHECKING:
    import optuna

Space = Mapping[str, Any]  # by setting: its values, or the keywords of Optuna's `suggest_int` or `suggest_float`


@dataclass(frozen=True, kw_only=True)
class TuneConfig(Terms):
    """Tunes the settings of a tree search."""

    space: Path
    """a YAML file of settings, each with a list of values or with low, high and where wanted log: true or step"""
    problems: tuple[str, ...] = ("countdown:5",)
    """problem sets, whose accuracies are averaged"""
    policy: str = ""
    """of every set; the shipped one that suits it where empty"""
    planner: Annotated[str, tyro.conf.arg(help="whose other settings stay: a name of a tree search")] = "eta_mcts"
    split: str = "development"
    """of the problem sets; not test, which is read once, at the end"""
    limit: int = 100
    """problems of each set"""
    multiple: int = 32
    """budget: what so many greedy solutions cost"""
    trials: int = 40
    """in all, those that are in the study already too; the planner's own settings are measured beside them"""
    out: Path = Path("runs/tune")
    """the run's folder, from which the same command resumes"""

    def __post_init__(self) -> None:
        if self.split == "test":
            raise ValueError("settings are tuned on development problems, got split test, which is read once")
        for name in ("trials", "multiple", "limit"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")


def space_of(path: Path) -> Space:
    """Returns the space in a file. Raises SystemExit for a file that holds none."""
    try:
        found = cast(object, yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SystemExit(f"--space must be a YAML file of settings, got {str(path)!r}: {error}") from error
    if not isinstance(found, dict) or not found:
        raise SystemExit(f"--space must be a YAML file of settings by name, got {found!r} in {str(path)!r}")
    space = cast("dict[str, Any]", found)
    for name, values in space.items():
        is_bounded = isinstance(values, dict) and {"low", "high"} <= cast("dict[str, Any]", values).keys()
        if not (is_bounded or (isinstance(values, list) and values)):
            raise SystemExit(f"--space {path}: {name} needs a list of values, or low and high, got {values!r}")
    return space


def suggested(trial: optuna.Trial, space: Space) -> dict[str, Any]:
    """Returns the settings that a trial is to have."""
    found: dict[str, Any] = {}
    for name, values in space.items():
        if isinstance(values, list):
            found[name] = trial.suggest_categorical(name, cast("list[Any]", values))
        elif isinstance(values["low"], int) and isinstance(values["high"], int):
            found[name] = trial.suggest_int(name, **values)
        else:
            found[name] = trial.suggest_float(name, **values)
    return found


class Tuning:
    """One study in one folder."""

    def __init__(self, config: TuneConfig) -> None:
        self.config = config
        self.space = space_of(config.space)
        planner = planner_of(config.planner, config.problems[0])
        if not isinstance(planner, EtaMCTS):
            raise SystemExit(f"--planner must be a tree search, got {config.planner!r}")
        known = planner.config.record().keys()
        if unknown := self.space.keys() - known:
            raise SystemExit(f"--space must name settings among {', '.join(known)}, got {', '.join(sorted(unknown))}")
        policies = {source: policy_of(source, config.policy) for source in config.problems}
        record: dict[str, Json] = {**flat(config, "out", "space", "trials"), "space": cast(Json, dict(self.space))}
        self.folder = RunFolder(config.out, record)
        self.screen = Screen({})
        self.contests = {
            source: Contest(source, policy, config, self.folder.path, self.screen)
            for source, policy in policies.items()
        }

    def run(self) -> dict[str, Any]:
        """Runs the trials that are missing and returns what `results.json` gets. Raises SystemExit without Optuna."""
        try:
            import optuna
            from optuna.storages import JournalStorage
            from optuna.storages.journal import JournalFileBackend
        except ModuleNotFoundError as error:
            raise SystemExit(f"experiments.tune needs the extra alphallm-env[tune]: {error}") from error

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        storage = JournalStorage(JournalFileBackend(str(self.config.out / "study.log")))
        study = optuna.create_study(study_name="tune", storage=storage, direction="maximize", load_if_exists=True)
        states = optuna.trial.TrialState
        for trial in study.get_trials(states=(states.RUNNING,)):  # that a stop cut short: they are tried again
            study.tell(trial.number, state=states.FAIL)
            study.enqueue_trial(trial.params)
        own = self.solved({})
        while (num_done := len(study.get_trials(states=(states.COMPLETE,)))) < self.config.trials:
            study.sampler = optuna.samplers.TPESampler(seed=self.config.seed + num_done)
            study.optimize(lambda trial: float(np.mean(self.solved(suggested(trial, self.space)))), n_trials=1)
            self.screen.say(f"trial {num_done + 1} of {self.config.trials}: best {study.best_value:.3f}")
        ranked = sorted(study.get_trials(states=(states.COMPLETE,)), key=lambda trial: -cast(float, trial.value))
        best = self.solved(ranked[0].params)
        gains = [after - before for after, before in zip(best, own, strict=True)]
        return {
            "best": ranked[0].params, "accuracy": round(float(np.mean(best)), 4), "own": round(float(np.mean(own)), 4),
            "gain": round(float(np.mean(gains)), 4), "gain_ci95": list(bootstrap_mean(gains)),
            "trials": [{"accuracy": round(cast(float, trial.value), 4), **trial.params} for trial in ranked],
        }  # fmt: skip

    def solved(self, settings: Mapping[str, Any]) -> list[float]:
        """Returns which problems of all sets a planner with these settings solves, 0 or 1."""
        name = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12] if settings else "own"
        found: list[float] = []
        for source, contest in self.contests.items():
            planner = cast(EtaMCTS, planner_of(self.config.planner, source))
            tried = EtaMCTS(planner.config.with_settings(**settings), planner.name)
            records = contest.search(f"{self.config.planner}-{name}", tried, contest.budget(self.config.multiple))
            found += [float(record.is_correct) for record in records]
        return found


def table_of(trials: Sequence[Mapping[str, Any]], most: int = 10) -> Table:
    """Returns the best trials, one a line."""
    table = Table(title="best trials, on the problems that they were tuned on")
    names = list(trials[0])
    for name in names:
        table.add_column(name, justify="right")
    for trial in trials[:most]:
        table.add_row(*(f"{trial[name]:.3f}" if isinstance(trial[name], float) else str(trial[name]) for name in names))
    return table


def main(config: TuneConfig) -> dict[str, Any]:
    """Runs the study, prints its best trials and writes `results.json`."""
    import torch

    torch.set_num_threads(config.threads)
    quiet_libraries()
    tuning = Tuning(config)
    results = tuning.run()
    write_json(config.out / "results.json", results)
    results_console().print(table_of(results["trials"]))
    low, high = results["gain_ci95"]
    tuning.screen.say(
        f"best {results['accuracy']:.3f}, the planner's own settings {results['own']:.3f}: "
        f"{results['gain']:+.3f} ({low:+.3f} to {high:+.3f}), flattered by the choice among {config.trials}"
    )
    return results


if __name__ == "__main__":
    main(settings_of(TuneConfig))
