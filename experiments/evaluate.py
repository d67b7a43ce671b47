"""Compares planners on one set of problems at an equal token budget.

    python -m experiments.evaluate --planner eta_mcts --limit 100
    python -m experiments.evaluate --problems ../shared/data/gsm8k_train.jsonl --policy FOLDER --limit 20
    python -m experiments.evaluate --planner my_module:MyPlanner eta_mcts --budget 4000
    python -m experiments.evaluate --policy http://127.0.0.1:8000/v1 --tokenizer FOLDER --problems FILE.jsonl

Greedy, majority and ORM re-ranking are measured beside the planners asked for, unless --no-baselines.
With --out, finished problems are kept there, and the same command resumes where it was stopped. `--rescore FOLDER`
grades what another run kept by today's grader, and re-ranks it, by the ORM of --critics where these are named.
`--trees N` writes the trees of the first N problems as pages into the folder of --out, `trees/index.html` the first.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro

from agents.base import Budget
from agents.registry import PLANNERS
from alphallm_env.grading import Verdict
from alphallm_env.mdp.dynamics import Rules
from alphallm_env.mdp.options import TERMINATION_RULES
from alphallm_env.problems import load_problems
from experiments.field.rescoring import rescore
from experiments.runs.flags import MergeRuleName, ProblemSetName, SelectionName, TerminationRuleName
from experiments.runs.ledger import LedgerKey, write_ledger
from experiments.runs.models import Models
from experiments.runs.planners import planners_of
from experiments.runs.records import RunFolder, write_json
from experiments.runs.results import ResultRow, results_table, summarise
from experiments.runs.screen import Screen, quiet_libraries, results_console
from experiments.runs.search_records import SearchRecord
from experiments.runs.searching import ignore, run_searches, search_journal
from experiments.runs.settings import flat, settings_of, with_flat_flags
from experiments.runs.trees import TreePages, traced

BASELINES = ("greedy", "majority", "orm_rerank")


@dataclass(frozen=True)
class Planning:
    """The planners, and what each may spend."""

    planner: Annotated[
        tuple[str, ...], tyro.conf.arg(help=f"planners to compare: {PLANNERS.choices}; … is a preset")
    ] = ("eta_mcts",)
    baselines: Annotated[
        bool,
        tyro.conf.arg(
            help=f"leave out {', '.join(BASELINES)}", help_behavior_hint="(default: they are compared with, too)"
        ),
    ] = True
    selection: SelectionName = ""
    merge_rule: MergeRuleName = ""
    budget: int = 4_000
    """tokens per problem, generated or scored"""
    concurrency: int = 50
    """problems searched at once"""
    seed: int = 0
    """everything random is drawn from it"""

    @property
    def names(self) -> tuple[str, ...]:
        """The planners to compare, the baselines first."""
        return tuple(dict.fromkeys((*(BASELINES if self.baselines else ()), *self.planner)))


@dataclass(frozen=True)
class Problems:
    """The problems, and the limits of a solution."""

    problems: ProblemSetName = "gsm_symbolic"
    split: str = "test"
    """of the problem set"""
    limit: int = 100
    """how many problems"""
    option_rule: TerminationRuleName = "sentence"
    max_tokens: int = 0
    """of one solution; 0: 120 for the tiny policy, else 300"""
    temperature: float = 1.0
    """of the policy"""


@with_flat_flags
@dataclass(frozen=True)
class EvaluateConfig:
    """Compares planners on one set of problems at an equal token budget."""

    planning: Planning = Planning()
    problems: Problems = Problems()
    models: Models = field(default_factory=lambda: Models(backend="auto"))
    out: Path | None = None
    """the run's folder, from which the same command resumes; nothing is kept where None"""
    trees: int = 0
    """of how many problems the trees are kept as pages, in the folder of --out"""
    rescore: Path | None = None
    """a run's folder, whose searches are graded anew and re-ranked, in place of any search"""


def main(config: EvaluateConfig) -> list[ResultRow]:
    """Runs the planners in turn and prints the table."""
    if config.rescore is not None:
        quiet_libraries()
        rescore(config.rescore, None if config.models.critics == "auto" else config.models)
        return []
    if config.trees < 0 or (config.trees and config.out is None):
        raise ValueError(f"--trees must be >= 0 and needs a folder, --out, got {config.trees} and {config.out}")
    planning, sets, models = config.planning, config.problems, config.models
    max_tokens = sets.max_tokens or (120 if models.policy == "tiny" else 300)
    # For the time left, in tokens a problem: greedy writes one solution, the others spend their budget.
    screen = Screen({name: max_tokens / 2 if name == "greedy" else float(planning.budget) for name in planning.names})
    screen.say(f"{', '.join(planning.names)} on {sets.limit} problems of {sets.problems}, policy {models.policy}")
    from alphallm_env.loading import shared_engine  # loads torch: what runs is said first

    quiet_libraries()
    planners = planners_of(planning.names, sets.problems, planning.selection, planning.merge_rule)
    rules = Rules(option_rule=TERMINATION_RULES.resolve(sets.option_rule), max_tokens=max_tokens)
    simulator = models.simulator(rules, shared_engine(), sets.temperature)
    problems = load_problems(sets.problems, sets.split, sets.limit, seed=planning.seed)
    folder = (
        RunFolder(config.out, flat(config, "out", "trees", "rescore")) if config.out else None
    )  # a run may be moved
    pages = TreePages(folder.path, problems, config.trees) if folder and config.trees else None
    rows: list[ResultRow] = []
    searches: dict[LedgerKey, list[SearchRecord]] = {}
    for name, planner in planners.items():
        journal = search_journal(folder, name) if folder else None
        with screen.stage(name, len(problems)) as progress:
            records = run_searches(
                traced(planner) if pages else planner, simulator, problems, Budget(tokens=planning.budget),
                planning.seed, planning.concurrency, journal, progress, partial(pages.write, name) if pages else ignore,
            )  # fmt: skip
        rows.append(summarise("evaluate", name, sets.split, records))
        searches["evaluate", sets.split, name] = records
        ungradable = sum(record.verdict == Verdict.UNGRADABLE.value for record in records)
        screen.say(f"{name}: {rows[-1].accuracy:.3f}" + (f", {ungradable} answers ungradable" if ungradable else ""))
    results_console().print(results_table(rows, f"{models.policy} on {sets.problems}"))
    if folder:
        write_ledger(folder.path, searches)
        results = {
            "rows": [row.to_json() for row in rows],
            "is_reproducible": simulator.is_reproducible,
            "critics": {name: asdict(found) for name, found in simulator.critics.provenance().items()},
        }
        write_json(folder.path / "results.json", results)
    if pages:
        screen.say(f"{pages.write_index(list(planners))} trees in {pages.index}")
    return rows


if __name__ == "__main__":
    main(settings_of(EvaluateConfig))
