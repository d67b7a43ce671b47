"""Compares planners on one set of problems at an equal token budget.

    python -m experiments.evaluate --planner eta_mcts --limit 100
    python -m experiments.evaluate --problems ../shared/data/gsm8k_train.jsonl --policy FOLDER --limit 20
    python -m experiments.evaluate --planner my_module:MyPlanner eta_mcts --budget 4000
    python -m experiments.evaluate --policy http://127.0.0.1:8000/v1 --tokenizer FOLDER --problems FILE.jsonl

Greedy, majority and ORM re-ranking stand beside the planners asked for, unless --no-baselines.
With --out, finished problems are kept there and the same command goes on where it was stopped.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import tyro
from rich.table import Table

from agents.base import Budget, Planner, PlanResult
from agents.registry import make_planner
from agents.running import run_episodes
from alphallm_env.errors import RunError
from alphallm_env.grading import Verdict
from alphallm_env.loading import load_simulator
from alphallm_env.mdp.dynamics import Rules
from alphallm_env.mdp.options import option_rule
from alphallm_env.problems import load_problems
from alphallm_env.runtime.files import Journal, Json, write_whole
from alphallm_env.simulator import Simulator
from alphallm_env.types import Problem
from experiments.runs.ledger import write_ledger
from experiments.runs.monitor import quiet_libraries, results_console
from experiments.runs.outcomes import Outcome, Row, outcome_of, summarise
from experiments.runs.records import RunFolder

BASELINES = ("greedy", "majority", "orm_rerank")


@dataclass(frozen=True)
class EvaluateConfig:
    """Settings of one comparison. `critics` auto is tiny for the tiny policy, else the prompted policy."""

    planner: tuple[str, ...] = ("eta_mcts",)
    baselines: bool = True
    problems: str = "gsm_symbolic"
    split: str = "test"
    limit: int = 100
    policy: str = "tiny"
    tokenizer: str = ""  # of a policy on a server: tiny, a folder or hub name
    critics: str = "auto"
    budget: int = 4_000  # tokens per problem, generated or scored
    option_rule: str = "sentence"
    max_tokens: int = 0  # of one solution; 0 is 120 for the tiny policy, else 300
    temperature: float = 1.0
    device: str = "auto"
    backend: str = "auto"  # of a policy in process: transformers, continuous, vllm; auto: continuous on a GPU
    dtype: str = "auto"
    concurrency: int = 50  # problems searched at once
    seed: int = 0
    out: Path | None = None


def _nothing(*_: object) -> None:
    """Watches, and does nothing."""


def evaluate(
    planner: Planner,
    simulator: Simulator,
    problems: Sequence[Problem],
    budget: Budget,
    seed: int,
    concurrency: int,
    journal: Journal[Outcome] | None = None,
    progress: Callable[[int, int], None] = _nothing,
    watch: Callable[[Problem, PlanResult], None] = _nothing,
) -> list[Outcome]:
    """Returns one outcome per problem, in order. Whole groups of `concurrency` found in the journal are kept.

    Groups are searched one after the other and always begin at the same problems, with models that remember
    nothing, so that a search that was stopped and goes on computes to the bit what one that was not would.
    """
    outcomes = journal.read(group=concurrency, total=len(problems)) if journal else []
    _check_same_problems(outcomes, problems)
    for start in range(len(outcomes), len(problems), concurrency):
        group = problems[start : start + concurrency]
        fresh: list[Outcome] = []
        simulator.forget()
        for problem, result in run_episodes(planner, simulator, group, budget, seed, concurrency=concurrency):
            watch(problem, result)
            fresh.append(outcome_of(problem, result))
            progress(len(outcomes) + len(fresh), len(problems))
        if journal:
            journal.append(fresh)
        outcomes += fresh
    return outcomes


def _check_same_problems(outcomes: Sequence[Outcome], problems: Sequence[Problem]) -> None:
    if len(outcomes) > len(problems):
        raise RunError(f"expected at most {len(problems)} finished searches, got {len(outcomes)}")
    for number, (outcome, problem) in enumerate(zip(outcomes, problems, strict=False)):
        if outcome.problem != problem:
            found = f"{outcome.problem.id!r}: {outcome.problem.question[:40]!r}"
            wanted = f"{problem.id!r}: {problem.question[:40]!r}"
            raise RunError(f"the problems have changed: expected a search of {wanted} as number {number}, got {found}")


def results_table(rows: Sequence[Row], title: str) -> Table:
    """Returns the table that the terminal shows."""
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


def main(config: EvaluateConfig) -> list[Row]:
    """Runs the planners one after the other and prints the table."""
    quiet_libraries()
    tiny = config.policy == "tiny"
    critics = config.critics if config.critics != "auto" else ("tiny" if tiny else "prompted")
    rules = Rules(option_rule=option_rule(config.option_rule), max_tokens=config.max_tokens or (120 if tiny else 300))
    simulator = load_simulator(
        config.policy, critics, rules, config.device, config.dtype, config.temperature,
        tokenizer=config.tokenizer, backend=config.backend,
    )  # fmt: skip
    problems = load_problems(config.problems, config.split, config.limit, seed=config.seed)
    names = (*(BASELINES if config.baselines else ()), *config.planner)
    planners = {name: make_planner(name, config.problems) for name in names}
    settings = {key: value for key, value in asdict(config).items() if key != "out"}  # a run may be moved
    folder = RunFolder(config.out, cast("dict[str, Json]", settings)) if config.out else None
    console = results_console()
    rows: list[Row] = []
    searches: dict[tuple[str, str, str], list[Outcome]] = {}
    for name, planner in planners.items():
        journal = folder.journal(name.replace(":", "_"), Outcome.to_json, Outcome.from_json) if folder else None
        start = time.monotonic()
        outcomes = evaluate(
            planner, simulator, problems, Budget(tokens=config.budget), config.seed, config.concurrency, journal,
        )  # fmt: skip
        rows.append(summarise("evaluate", name, config.split, outcomes))
        searches["evaluate", config.split, name] = outcomes
        ungradable = sum(outcome.verdict == Verdict.UNGRADABLE.value for outcome in outcomes)
        note = f", {ungradable} answers ungradable" if ungradable else ""
        console.print(f"{name}: {rows[-1].accuracy:.3f} in {time.monotonic() - start:.0f} s{note}")
    console.print(results_table(rows, f"{config.policy} on {config.problems}"))
    if folder:
        results = {
            "rows": [row.to_json() for row in rows],
            "is_reproducible": simulator.is_reproducible,
            "critics": {name: asdict(found) for name, found in simulator.critics.provenance().items()},
        }
        write_ledger(folder.path, searches)
        write_whole(folder.path / "results.json", json.dumps(results, indent=2) + "\n")
    return rows


if __name__ == "__main__":
    main(tyro.cli(EvaluateConfig))
