"""Searches of many problems by one planner, each written to a journal when it ends, so that a stopped run resumes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agents.base import Budget, Planner, PlanResult
from agents.running import run_unordered
from alphallm_env.errors import RunError
from alphallm_env.runtime.files import Journal
from alphallm_env.simulator import Simulator
from alphallm_env.types import Problem
from experiments.runs.records import RunFolder
from experiments.runs.search_records import SearchRecord, record_of, searches_at


def ignore(*_: object) -> None:
    """Does nothing: for progress that nobody watches."""


def search_journal(folder: RunFolder, name: str) -> Journal[SearchRecord]:
    """Returns the journal `searches/name.jsonl` of a run; a colon in the name becomes an underscore."""
    return searches_at(folder.path / "searches" / f"{name.replace(':', '_')}.jsonl")


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
    """Returns one record per problem, in order. Those found in the journal are kept, the others are searched.

    Up to `concurrency` searches run at once, and one that ends makes way for the next. `progress` is called with the
    number of finished searches and the total, `watch` with each new result as it comes. What a search finds does not
    depend on those beside it, so a run that was stopped and resumes finds what one that was not stopped would.
    Raises RunError where the journal has searches of other problems.
    """
    found = _by_problem(journal.read() if journal else (), problems)
    progress(len(found), len(problems))
    simulator.clear_cache()
    missing = [problem for problem in problems if problem.id not in found]
    for problem, result in run_unordered(planner, simulator, missing, budget, seed, concurrency=concurrency):
        watch(problem, result)
        record = found[problem.id] = record_of(problem, result)
        if journal:
            journal.append([record])
        progress(len(found), len(problems))
    return [found[problem.id] for problem in problems]


def _by_problem(records: Sequence[SearchRecord], problems: Sequence[Problem]) -> dict[str, SearchRecord]:
    """Returns the records by the ids of their problems. Raises RunError for one of another problem."""
    wanted = {problem.id: problem for problem in problems}
    if len(wanted) < len(problems):
        raise ValueError(f"expected problems with different ids, got {len(problems)} with {len(wanted)} ids")
    for record in records:
        problem, there = wanted.get(record.problem.id), record.problem
        if problem != there:
            asked = "no problem of this id" if problem is None else repr(problem.question[:40])
            raise RunError(
                f"the problems have changed: {there.id!r} was searched as {there.question[:40]!r}, and now is {asked}; "
                "choose another folder with --out"
            )
    return {record.problem.id: record for record in records}
