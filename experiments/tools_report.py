"""The ORM with tools beside the ORM without, on solutions that the policy wrote itself.

    python -m experiments.tools_report --policy FOLDER --json FILE --out runs/tools
    python -m experiments.tools_report --policy FOLDER --problems FILE.jsonl --limit 100 --json FILE

Both ask the policy's own model. The one with tools may run Python in the sandbox before it judges
(`alphallm_env/critics/tool_augmented.py`). Problems are those of reasoning-gym where arithmetic or algebra decides
(`math_like.py`), or a file's. Sampling and scoring that were stopped go on.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import tyro
from rich.table import Table

from alphallm_env.critics.base import Critic
from alphallm_env.critics.measures import Quality, area_under_roc, quality
from alphallm_env.critics.prompted.generative import OutcomeRewardModel
from alphallm_env.critics.prompted.tool_augmented import ToolAugmentedORM
from alphallm_env.loading import load_policy
from alphallm_env.mdp.options import SentenceRule
from alphallm_env.problems import load_problems
from alphallm_env.runtime.engine import Engine
from alphallm_env.runtime.files import Journal, Json, write_whole
from alphallm_env.runtime.metering import Meter, metering
from alphallm_env.sandbox import Sandbox
from alphallm_env.simulator import Policy
from alphallm_env.training.graded import ProblemData, Sample, state_after
from alphallm_env.types import Problem, State, Trajectory
from experiments.critics.config import AT_ONCE
from experiments.critics.data import Sampler, collect
from experiments.critics.math_like import TASKS, math_like
from experiments.runs.records import settle_config
from experiments.runs.screen import quiet_libraries, results_console

_RESAMPLES = 2_000


@dataclass(frozen=True)
class ToolsConfig:
    """Settings of one comparison."""

    policy: str = "tiny"
    json: Path | None = None
    out: Path = Path("runs/tools")
    problems: str = "math_like"  # or a JSONL file
    tasks: tuple[str, ...] = TASKS  # of math_like
    num_each: int = 14  # problems of each task
    limit: int = 100  # problems of a file
    samples: int = 2  # solutions per problem
    temperature: float = 0.7
    max_tokens: int = 256  # of a solution
    max_check_tokens: int = 300  # of a check, outputs left out
    max_programs: int = 2
    chunk: int = 32  # solutions judged at once
    at_once: int = AT_ONCE  # texts sampled side by side: what the memory holds
    device: str = "auto"
    dtype: str = "auto"
    seed: int = 1


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


def problems_of(config: ToolsConfig) -> list[Problem]:
    """Returns the problems to compare on. Raises ProblemError where there are not as many."""
    if config.problems == "math_like":
        return math_like(config.tasks, config.num_each, config.seed)
    return load_problems(config.problems, limit=config.limit)


def solutions_of(policy: Policy, config: ToolsConfig) -> list[Sample]:
    """Returns graded solutions of the policy, those of a problem that could not be graded left out.

    Raises RunError where `out` holds those of other settings.
    """
    config.out.mkdir(parents=True, exist_ok=True)
    settings = {
        name: value for name, value in asdict(config).items() if name not in ("json", "out", "chunk", "at_once")
    }
    settle_config(config.out / "config.json", cast("dict[str, Json]", settings))
    sampler = Sampler(policy, SentenceRule(), config.max_tokens, config.temperature, config.seed, config.at_once)
    data: list[ProblemData] = collect(
        sampler,
        problems_of(config),
        config.out / "solutions.jsonl",
        config.samples,
        lambda groups: [[] for _ in groups],
    )
    return [sample for entry in data for sample in dict.fromkeys(entry.samples)]


def judge_all(
    solutions: Sequence[Sample], plain: Critic, tools: Critic, engine: Engine, config: ToolsConfig
) -> list[Judged]:
    """Returns the scores of all solutions; those judged before are read back from `out`."""
    journal = Journal(config.out / "judged.jsonl", Judged.to_json, Judged.from_json)
    judged = journal.read()
    for start in range(len(judged), len(solutions), config.chunk):
        part = solutions[start : start + config.chunk]
        states = [state_after(sample.question, sample.steps) for sample in part]
        fresh = judge(part, states, plain, tools, engine)
        journal.append(fresh)
        judged += fresh
        print(f"{len(judged)}/{len(solutions)} solutions judged", flush=True)
    return judged


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


def main(config: ToolsConfig) -> Comparison:
    """Samples, judges both ways, prints the table and writes the JSON."""
    quiet_libraries()
    policy = load_policy(config.policy, config.device, config.dtype)
    solutions = solutions_of(policy, config)
    with Engine() as engine, Sandbox() as sandbox:
        tools = ToolAugmentedORM(
            policy.lm, policy.template, engine, sandbox,
            max_tokens=config.max_check_tokens, max_programs=config.max_programs,
        )  # fmt: skip
        judged = judge_all(solutions, OutcomeRewardModel(policy.lm, policy.template, engine), tools, engine, config)
    found = compare(judged, config.seed)
    results_console().print(show(found))
    if config.json:
        settings = {key: str(value) if isinstance(value, Path) else value for key, value in asdict(config).items()}
        write_whole(config.json, json.dumps(asdict(found) | {"config": settings}, indent=2) + "\n")
    return found


if __name__ == "__main__":
    main(tyro.cli(ToolsConfig))
