"""Searches of many problems by one planner, written to a journal as they finish, so that a stopped run resumes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agents.base import Budget, Planner, PlanResult
from agents.running import run_episodes
from alphallm_env.runtime.files import Journal
from alphallm_env.simulator import Simulator
from alphallm_env.types import Problem
from experiments.runs.records import RunFolder, check_same_problems
from experiments.runs.search_records import SearchRecord, record_of


def ignore(*_: object) -> None:
    """Does nothing: for progress that nobody watches."""


def search_journal(folder: RunFolder, name: str) -> Journal[SearchRecord]:
    """Returns the journal `searches/name.jsonl` of a run; a colon in the name becomes an underscore."""
    return folder.journal(name.replace(":", "_"), SearchRecord.to_json, SearchRecord.from_json)


def run_searches(
    planner: Planner,
    simulator: Simulator,
    problems: Sequence[Problem],
    budget: Budget,
    seed: int,
    concurrency: int,
    journal: Journal[SearchRecord] | None = None,
    progress: Callable[[int, int], None] = ignore,
    watch: Callable[[Problem, PlanResult], None] = ignore,
) -> list[SearchRecord]:
    """Returns one record per problem, in order. Whole groups of `concurrency` found in the journal are kept.

    `progress` is called with the number of finished searches and the total, `watch` with each new result. Groups are
    searched one by one, always of the same problems and with empty caches, so that a run that was stopped and resumes
    computes to the bit what one that was not stopped would.
    """
    records = journal.read(group=concurrency, total=len(problems)) if journal else []
    check_same_problems([record.problem for record in records], problems, "the finished searches")
    progress(len(records), len(problems))
    for start in range(len(records), len(problems), concurrency):
        group = problems[start : start + concurrency]
        fresh: list[SearchRecord] = []
        simulator.clear_cache()
        for problem, result in run_episodes(planner, simulator, group, budget, seed, concurrency=concurrency):
            watch(problem, result)
            fresh.append(record_of(problem, result))
            progress(len(records) + len(fresh), len(problems))
        if journal:
            journal.append(fresh)
        records += fresh
    return records
