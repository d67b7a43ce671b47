"""Measures critics on trajectories they never saw: precision, recall, F1, AUC, Brier, calibration; by split and depth.

    python -m experiments.critics_report --json FILE --out runs/critics_report        # the shipped ones
    python -m experiments.critics_report --policy FOLDER --critics FOLDER --problems FILE.jsonl --json FILE
    python -m experiments.critics_report --policy FOLDER --critics rlhflow:FOLDER --problems FILE.jsonl --only prm orm

A policy's trajectories are sampled and graded as for training (`critic_data.py`). The value function is asked at every
prefix of each, against its end; the PRM at steps, against the share of continuations that end correctly; the ORM at
ends. Scalings of all kinds are fitted on the development split and measured on the others, beside the scores as they
are (raw) and as the critics' own folder calibrates them (kept). The one called `--calibration` is what the headline,
the depths and the pictures show: best is the kind with the lowest Brier score in a cross-validation over development
problems, so the test split has no say. `calibration.json` in `--out` holds its fit. Sampling that is stopped goes on.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, cast

import tyro
from rich.table import Table

from alphallm_env.critics.calibration import (
    SCALING_KINDS,
    CalibratedCritic,
    Scaling,
    fit_scaling,
    raw,
    save_calibration,
)
from alphallm_env.critics.measures import Quality, quality
from alphallm_env.loading import build_simulator, load_policy
from alphallm_env.mdp.dynamics import Rules
from alphallm_env.mdp.options import option_rule
from alphallm_env.runtime.engine import Engine
from alphallm_env.runtime.files import Json, write_whole
from alphallm_env.runtime.seeds import derive_seed
from alphallm_env.simulator import Simulator
from alphallm_env.training.graded import CRITICS, Item, ProblemData, items_of
from experiments.critics.config import AT_ONCE
from experiments.critics.data import Sampler, collect, label_steps, problem_splits
from experiments.critics.reliability import depth_picture, reliability_picture
from experiments.runs.records import git_revision, settle_config
from experiments.runs.screen import quiet_libraries, results_console

# PAPER §3, on GSM8K's test problems: precision, recall, ECE.
PAPER = {"value": (0.82, 0.79, 0.032), "prm": (0.62, 0.90, 0.375)}
NUM_FOLDS = 5


@dataclass(frozen=True)
class ReportConfig:
    """Settings of one report. `critics` auto is tiny for the tiny policy, else the prompted policy."""

    json: Path | None = None
    out: Path = Path("runs/critics_report")
    policy: str = "tiny"
    critics: str = "auto"
    only: tuple[str, ...] = CRITICS
    problems: str = "gsm_symbolic"
    calibration: Literal["best", "kept", "raw", "temperature", "platt", "isotonic"] = "best"
    option_rule: str = "sentence"
    development_problems: int = 600
    test_problems: int = 600
    unseen_problems: int = 100  # of templates that no training saw; gsm_symbolic only
    samples: int = 8  # trajectories per problem
    min_visits: int = 4  # continuations behind every PRM label
    steps_per_problem: int = 4
    threshold: float = 0.25  # a step is good if at least this share of its continuations is
    temperature: float = 1.0
    max_tokens: int = 120
    at_once: int = AT_ONCE  # texts sampled side by side: what the memory holds
    device: str = "auto"
    seed: int = 1
    smoke: bool = False  # a handful of problems, for a test

    def __post_init__(self) -> None:
        if unknown := set(self.only) - set(CRITICS):
            raise ValueError(f"--only must name some of {', '.join(CRITICS)}, got {', '.join(sorted(unknown))}")


SMOKE = {"development_problems": 8, "test_problems": 8, "unseen_problems": 4, "samples": 4, "min_visits": 2}
_DATA = ("policy", "problems", "option_rule", "development_problems", "test_problems", "unseen_problems", "samples",
         "min_visits", "steps_per_problem", "temperature", "max_tokens", "seed")  # fmt: skip


@dataclass(frozen=True)
class Scored:
    """Items of one split with one critic's raw scores, in [0, 1]."""

    items: list[Item]
    scores: list[float]

    @property
    def outcomes(self) -> list[bool]:
        """The items' outcomes."""
        return [item.outcome for item in self.items]

    def through(self, scaling: Scaling | None) -> list[float]:
        """Returns the scores after a scaling, as they are where there is none."""
        return [scaling(score) for score in self.scores] if scaling else self.scores

    def by_depth(self) -> dict[int, Scored]:
        """Returns the items of each depth, in options taken."""
        parts: dict[int, list[int]] = defaultdict(list)
        for index, item in enumerate(self.items):
            parts[item.state.depth].append(index)
        return {
            depth: Scored([self.items[i] for i in indices], [self.scores[i] for i in indices])
            for depth, indices in sorted(parts.items())
        }


def raw_scores(simulator: Simulator, name: str, items: list[Item]) -> Scored:
    """Returns the critic's scores without its calibration. Equal states are asked about once."""
    critic = raw(simulator.critics.require(name))
    states = list(dict.fromkeys(item.state for item in items))
    scores = dict(zip(states, simulator.engine.run(critic.evaluate(states)), strict=True))
    return Scored(items, [scores[item.state] for item in items])


def collect_data(config: ReportConfig, simulator: Simulator) -> dict[str, list[ProblemData]]:
    """Returns graded trajectories of each split, read back from `out` where it has them.

    Raises RunError if it holds data of other settings.
    """
    config.out.mkdir(parents=True, exist_ok=True)
    settings = {name: value for name, value in asdict(config).items() if name in _DATA}
    settle_config(config.out / "data_config.json", cast("dict[str, Json]", settings))
    sizes = {"development": config.development_problems, "test": config.test_problems}
    if not config.problems.endswith(".jsonl") and config.unseen_problems:
        sizes["unseen_templates"] = config.unseen_problems
    rule = option_rule(config.option_rule)
    sampler = Sampler(simulator.policy, rule, config.max_tokens, config.temperature, config.seed, config.at_once)
    label = partial(label_steps, sampler, min_visits=config.min_visits, steps_per_problem=config.steps_per_problem)
    return {
        split: collect(sampler, problems, config.out / f"{split}.jsonl", config.samples, label)
        for split, problems in problem_splits(config.problems, sizes, config.seed).items()
    }


def cross_validated(kind: str, development: Scored, num_folds: int = NUM_FOLDS) -> Quality:
    """Returns the measures of a kind of scaling on development problems that its fit left out, all folds together."""
    folds = [derive_seed(item.state.question) % num_folds for item in development.items]
    targets = [float(outcome) for outcome in development.outcomes]
    scores = list(development.scores)
    for fold in set(folds):
        fitted = [index for index, other in enumerate(folds) if other != fold]
        scaling = fit_scaling(kind, [development.scores[i] for i in fitted], [targets[i] for i in fitted])
        for index, own in enumerate(folds):
            if own == fold:
                scores[index] = scaling(scores[index])
    return quality(scores, development.outcomes)


def scalings_of(simulator: Simulator, name: str, development: Scored) -> dict[str, Scaling | None]:
    """Returns the ways to calibrate a critic: raw, kept (its own), and every kind fitted on the development split."""
    critic = simulator.critics.require(name)
    kept = critic.scaling if isinstance(critic, CalibratedCritic) else None
    targets = [float(outcome) for outcome in development.outcomes]
    fitted: dict[str, Scaling | None] = {k: fit_scaling(k, development.scores, targets) for k in SCALING_KINDS}
    return {"raw": None, "kept": kept} | fitted


@dataclass(frozen=True)
class CriticReport:
    """One critic's measures."""

    calibration: str  # of the headline
    scaling: Scaling | None  # the same
    folds: dict[str, Quality]  # kind -> measures in the cross-validation over development problems
    splits: dict[str, dict[str, Quality]]  # split -> calibration -> measures
    depths: dict[int, Quality]  # of the test split, as the headline has it
    test: Scored
    unseen: Scored | None

    @property
    def headline(self) -> Quality:
        """The measures on the test split."""
        return self.splits["test"][self.calibration]


def report_on(
    simulator: Simulator, name: str, data: dict[str, list[ProblemData]], config: ReportConfig
) -> CriticReport:
    """Returns the measures of one critic on every split."""
    scored = {
        split: raw_scores(simulator, name, items_of(part, config.threshold)[name]) for split, part in data.items()
    }
    scalings = scalings_of(simulator, name, scored["development"])
    folds = {kind: cross_validated(kind, scored["development"]) for kind in SCALING_KINDS}
    calibration = config.calibration
    if calibration == "best":
        calibration = min(SCALING_KINDS, key=lambda kind: folds[kind].brier)
    chosen, test = scalings[calibration], scored["test"]
    return CriticReport(
        calibration=calibration,
        scaling=chosen,
        folds=folds,
        splits={
            split: {how: quality(part.through(scaling), part.outcomes) for how, scaling in scalings.items()}
            for split, part in scored.items()
        },
        depths={depth: quality(part.through(chosen), part.outcomes) for depth, part in test.by_depth().items()},
        test=test,
        unseen=scored.get("unseen_templates"),
    )


def main(config: ReportConfig) -> dict[str, CriticReport]:
    """Samples, scores, measures; prints the tables and writes JSON, calibration and pictures."""
    if config.smoke:
        config = replace(config, **SMOKE)
    quiet_libraries()
    critics = config.critics if config.critics != "auto" else ("tiny" if config.policy == "tiny" else "prompted")
    rules = Rules(option_rule=option_rule(config.option_rule), max_tokens=config.max_tokens)
    with Engine() as engine:
        policy = load_policy(config.policy, config.device)
        simulator = build_simulator(policy, critics, rules, engine, config.device)
        data = collect_data(config, simulator)
        reports = {name: report_on(simulator, name, data, config) for name in config.only}
        provenance = {name: asdict(p) for name, p in simulator.critics.provenance().items() if name in config.only}
    console = results_console()
    for table in tables(reports):
        console.print(table)
    write_pictures(config.out, reports)
    fitted = {name: report.scaling for name, report in reports.items() if report.scaling is not None}
    if fitted:
        save_calibration(config.out, fitted)
    record = as_json(reports, config) | {"provenance": cast(Json, provenance)}
    for path in (config.out / "report.json", *([config.json] if config.json else [])):
        write_whole(path, json.dumps(record, indent=2) + "\n")
    console.print(f"pictures, calibration and data: {config.out}")
    return reports


def as_json(reports: dict[str, CriticReport], config: ReportConfig) -> dict[str, Json]:
    """Returns the report as JSON: headline figures as `critic_measure`, then everything. NaN becomes null."""
    headline: dict[str, Json] = {}
    critics: dict[str, Json] = {}
    for name, report in reports.items():
        measures = _measures(report.headline)
        headline |= {f"{name}_{measure}": value for measure, value in measures.items()}
        headline |= {f"{name}_ece_{how}": report.splits["test"][how].ece for how in ("raw", "kept")}
        headline[f"{name}_calibration"] = report.calibration
        splits: dict[str, Json] = {
            split: {how: _measures(found) for how, found in qualities.items()}
            for split, qualities in report.splits.items()
        }
        depths: dict[str, Json] = {str(depth): _measures(found) for depth, found in report.depths.items()}
        folds: dict[str, Json] = {kind: _measures(found) for kind, found in report.folds.items()}
        critics[name] = {"splits": splits, "by_depth": depths, "cross_validated": folds}
    paper: dict[str, Json] = {
        name: dict(zip(("precision", "recall", "ece"), row, strict=True)) for name, row in PAPER.items()
    }
    settings = {key: str(value) if isinstance(value, Path) else value for key, value in asdict(config).items()}
    headline |= {"critics": critics, "paper": paper, "config": cast(Json, settings), "revision": git_revision()}
    return headline


def _measures(found: Quality) -> dict[str, Json]:
    return {name: None if math.isnan(value) else value for name, value in asdict(found).items()}


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


if __name__ == "__main__":
    main(tyro.cli(ReportConfig))
