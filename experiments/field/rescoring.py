"""Searches of a run graded anew, and what they finished re-ranked, without asking the policy.

A record keeps its best trajectory and up to 16 others, so that re-ranking chooses among these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from rich.table import Table

from agents.best_of_n import answer_shares, with_scores
from agents.tree.answering import best_scored, vote
from agents.tree.evaluation import OutcomeScorer
from alphallm_env.errors import RunError
from alphallm_env.grading import extract_answer
from alphallm_env.mdp.dynamics import Rules
from alphallm_env.mdp.rewards import CORRECT, verdict_of
from alphallm_env.simulator import Simulator
from alphallm_env.types import ScoreKind, State
from experiments.runs.models import Models
from experiments.runs.records import write_json
from experiments.runs.screen import results_console
from experiments.runs.search_records import SearchRecord, searches_at
from experiments.runs.statistics import bootstrap_mean


@dataclass(frozen=True)
class Rescored:
    """One journal of searches. Accuracies are shares of its gradable problems; those of re-ranking are of what is kept.

    `changed` are the ids of problems whose verdict is another one now; `ungraded` counts those whose chosen text was
    not kept, whose verdict stays.
    """

    searches: str
    num_problems: int
    stored: float
    graded_anew: float
    changed: tuple[str, ...]
    ungraded: int
    majority: float
    highest_score: float
    new_orm: float | None = None
    new_orm_gain_ci95: tuple[float, float] | None = None  # over the stored verdicts, paired


def kept_states(record: SearchRecord) -> list[State]:
    """Returns the ends of a search that its record keeps, the best first."""
    return [trajectory.state for trajectory in record.kept]


def graded_anew(record: SearchRecord) -> str | None:
    """Returns today's verdict of the text that the search chose, None where the record does not keep it."""
    chosen = next((state for state in kept_states(record) if extract_answer(state.text) == record.answer), None)
    return None if chosen is None else verdict_of(chosen.text, record.problem)


def rescored(name: str, records: Sequence[SearchRecord], new_scores: Sequence[Sequence[float]] | None) -> Rescored:
    """Returns the figures of one journal. `new_scores` has for each record the scores of `kept_states`."""
    anew = [graded_anew(record) for record in records]
    stored = [float(record.is_correct) for record in records]
    verdicts = [record.verdict if now is None else now for record, now in zip(records, anew, strict=True)]

    def solved(texts: Sequence[str]) -> list[float]:
        return [float(verdict_of(text, r.problem) == CORRECT) for text, r in zip(texts, records, strict=True)]

    voted: list[str] = []
    for record in records:
        finished = with_scores(states := kept_states(record), answer_shares(states), ScoreKind.VOTE_SHARE)
        voted.append(vote(finished, [1.0] * len(finished)).state.text)
    found = Rescored(
        searches=name,
        num_problems=len(records),
        stored=_share(stored),
        graded_anew=_share([verdict == CORRECT for verdict in verdicts]),
        changed=tuple(r.problem.id for r, now in zip(records, verdicts, strict=True) if now != r.verdict),
        ungraded=anew.count(None),
        majority=_share(solved(voted)),
        highest_score=_share(solved([record.best.state.text for record in records])),
    )
    if new_scores is None:
        return found
    chosen = solved(
        [
            best_scored(with_scores(kept_states(record), scores, ScoreKind.ORM)).state.text
            for record, scores in zip(records, new_scores, strict=True)
        ]
    )
    gains = [now - before for now, before in zip(chosen, stored, strict=True)]
    return replace(found, new_orm=_share(chosen), new_orm_gain_ci95=bootstrap_mean(gains))


def _share(solved: Sequence[float]) -> float:
    return round(float(np.mean(solved)), 4)


def scores_of(simulator: Simulator, records: Sequence[SearchRecord]) -> list[list[float]]:
    """Returns the ORM's scores of what each record keeps; texts without an answer score 0."""

    async def scored() -> list[list[float]]:
        return [await OutcomeScorer(simulator).score(kept_states(record)) for record in records]

    return simulator.engine.run(scored())


def table_of(found: Sequence[Rescored]) -> Table:
    """Returns one line for each journal."""
    table = Table(title="searches graded anew, and re-ranked")
    table.add_column("searches", no_wrap=True)
    for column in ("problems", "stored", "now", "changed", "majority", "highest", "new ORM"):
        table.add_column(column, justify="right")
    for row in found:
        figures = (row.stored, row.graded_anew, row.majority, row.highest_score, row.new_orm)
        stored, now, majority, highest, new = ("" if value is None else f"{value:.3f}" for value in figures)
        table.add_row(row.searches, str(row.num_problems), stored, now, str(len(row.changed)), majority, highest, new)
    return table


def rescore(run: Path, models: Models | None = None) -> list[Rescored]:
    """Reads every journal of the run, prints the table and writes `rescored.json`; nothing else in the run changes.

    With `models` their ORM scores anew what the records keep. Raises RunError where the folder holds no searches of
    problems that can be graded.
    """
    simulator = None
    if models is not None:
        from alphallm_env.loading import shared_engine

        simulator = models.simulator(Rules(), shared_engine())
    found: list[Rescored] = []
    for path in sorted((run / "searches").rglob("*.jsonl")):
        records = [record for record in searches_at(path).read() if record.problem.is_gradable]
        if records:
            found.append(rescored(path.stem, records, scores_of(simulator, records) if simulator else None))
    if not found:
        raise RunError(f"expected searches of problems with answers in {run}/searches, found none")
    critics = models.critics_named if models else ""
    write_json(run / "rescored.json", {"searches": [asdict(row) for row in found], "critics": critics})
    results_console().print(table_of(found))
    return found
