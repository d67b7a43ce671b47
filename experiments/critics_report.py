"""Measures critics on trajectories they never saw: precision, recall, F1, AUC, Brier, calibration; by split and depth.

    python -m experiments.critics_report --json FILE --out runs/critics_report        # the shipped ones
    python -m experiments.critics_report --policy FOLDER --critics FOLDER --problems FILE.jsonl --json FILE
    python -m experiments.critics_report --policy FOLDER --critics rlhflow:FOLDER --problems FILE.jsonl --only prm orm

A policy's trajectories are sampled and graded as for training (`critics/data.py`). The value function is asked at every
prefix of each, against its end; the PRM at steps, against the share of continuations that end correctly; the ORM at
ends. Scalings of all kinds are fitted on the development split and measured on the others, beside the scores as they
are (raw) and as the critics' own folder calibrates them (kept). The one called `--calibration` is what the headline,
the depths and the pictures show: best is the kind with the lowest Brier score in a cross-validation over development
problems, so the test split has no say. `calibration.json` in `--out` holds its fit. Sampling that was stopped resumes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, cast

from alphallm_env.critics.calibration import SCALING_KINDS, save_calibration
from alphallm_env.critics.measures import quality
from alphallm_env.loading import build_simulator, load_policy
from alphallm_env.mdp.dynamics import Rules
from alphallm_env.mdp.options import TERMINATION_RULES
from alphallm_env.runtime.engine import Engine
from alphallm_env.runtime.files import Json
from alphallm_env.simulator import Simulator
from alphallm_env.training.graded import CRITICS, ProblemData, items_of
from experiments.critics.config import AT_ONCE
from experiments.critics.data import Sampler, collect, label_steps, problem_splits
from experiments.critics.report import CriticReport, as_json, tables, write_pictures
from experiments.critics.scores import cross_validated, raw_scores, scalings_of
from experiments.runs.records import settle_config, write_json
from experiments.runs.screen import quiet_libraries, results_console
from experiments.runs.settings import flat, settings_of


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
    at_once: int = AT_ONCE  # texts sampled in one batch
    device: str = "auto"
    seed: int = 1
    smoke: bool = False  # a handful of problems, for a test

    def __post_init__(self) -> None:
        if unknown := set(self.only) - set(CRITICS):
            raise ValueError(f"--only must name some of {', '.join(CRITICS)}, got {', '.join(sorted(unknown))}")


SMOKE = {"development_problems": 8, "test_problems": 8, "unseen_problems": 4, "samples": 4, "min_visits": 2}
_DATA = ("policy", "problems", "option_rule", "development_problems", "test_problems", "unseen_problems", "samples",
         "min_visits", "steps_per_problem", "temperature", "max_tokens", "seed")  # fmt: skip


def collect_data(config: ReportConfig, simulator: Simulator) -> dict[str, list[ProblemData]]:
    """Returns graded trajectories of each split, read back from `out` where it has them.

    Raises RunError if it holds data of other settings.
    """
    config.out.mkdir(parents=True, exist_ok=True)
    settings = {name: value for name, value in flat(config).items() if name in _DATA}
    settle_config(config.out / "data_config.json", settings)
    sizes = {"development": config.development_problems, "test": config.test_problems}
    if not config.problems.endswith(".jsonl") and config.unseen_problems:
        sizes["unseen_templates"] = config.unseen_problems
    rule = TERMINATION_RULES.resolve(config.option_rule)
    sampler = Sampler(simulator.policy, rule, config.max_tokens, config.temperature, config.seed, config.at_once)
    label = partial(label_steps, sampler, min_visits=config.min_visits, steps_per_problem=config.steps_per_problem)
    return {
        split: collect(sampler, problems, config.out / f"{split}.jsonl", config.samples, label)
        for split, problems in problem_splits(config.problems, sizes, config.seed).items()
    }


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
    rules = Rules(option_rule=TERMINATION_RULES.resolve(config.option_rule), max_tokens=config.max_tokens)
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
    record = as_json(reports, flat(config)) | {"provenance": cast(Json, provenance)}
    for path in (config.out / "report.json", *([config.json] if config.json else [])):
        write_json(path, record)
    console.print(f"pictures, calibration and data: {config.out}")
    return reports


if __name__ == "__main__":
    main(settings_of(ReportConfig))
