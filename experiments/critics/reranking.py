"""What an ORM is worth: its choice among a policy's samples of a problem, beside other choices among the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.table import Table

from agents.tree.answering import best_scored, vote
from alphallm_env.training.graded import ProblemData, state_after
from alphallm_env.types import Trajectory
from experiments.runs.statistics import bootstrap_mean

WAYS = {
    "one_sample": "one sample",  # the mean over all
    "majority": "majority",  # Wang et al. 2022
    "orm": "highest ORM score",
    "orm_vote": "vote weighted by ORM",  # Li et al. 2023
    "any": "any is right",  # what no choice can exceed
}


@dataclass(frozen=True)
class Reranking:
    """The share of problems that each way to choose answers right, and by how much the ORM beats the majority."""

    accuracy: dict[str, float]
    ci95: dict[str, tuple[float, float]]
    orm_over_majority: float
    orm_over_majority_ci95: tuple[float, float]  # paired, a bootstrap over problems
    num_problems: int


def reranking(data: Sequence[ProblemData], scores: Sequence[float]) -> Reranking:
    """Measures all ways to choose. `scores` are the ORM's, one a sample, in the order of the data.

    Problems without a graded sample are left out. Raises ValueError where there are not as many scores as samples,
    or no problem is left.
    """
    num_samples = sum(len(entry.samples) for entry in data)
    if len(scores) != num_samples:
        raise ValueError(f"expected {num_samples} scores, one a sample, got {len(scores)}")
    left = iter(scores)
    problems = [_chosen(entry, [next(left) for _ in entry.samples]) for entry in data if entry.samples]
    if not problems:
        raise ValueError(f"expected a problem with a graded sample, got none in {len(data)}")
    gains = [found["orm"] - found["majority"] for found in problems]
    return Reranking(
        accuracy={way: float(np.mean([found[way] for found in problems])) for way in WAYS},
        ci95={way: bootstrap_mean([found[way] for found in problems]) for way in WAYS},
        orm_over_majority=float(np.mean(gains)),
        orm_over_majority_ci95=bootstrap_mean(gains),
        num_problems=len(problems),
    )


def _chosen(entry: ProblemData, scores: Sequence[float]) -> dict[str, float]:
    """Returns, per way to choose, 1 where it takes a right sample of the problem and 0 where it does not."""
    samples = [
        Trajectory(state_after(sample.question, sample.steps), score)
        for sample, score in zip(entry.samples, scores, strict=True)
    ]
    right = {id(trajectory): float(s.correct) for trajectory, s in zip(samples, entry.samples, strict=True)}
    return {
        "one_sample": float(np.mean(list(right.values()))),
        "majority": right[id(vote(samples, [1.0] * len(samples)))],
        "orm": right[id(best_scored(samples))],
        "orm_vote": right[id(vote(samples, scores))],
        "any": max(right.values()),
    }


def reranking_table(found: Reranking) -> Table:
    """Returns the ways to choose, one a row."""
    table = Table(title=f"which sample to take: {found.num_problems} problems")
    for column in ("choice", "right", "95 % interval"):
        table.add_column(column, justify="left" if column == "choice" else "right")
    for way, name in WAYS.items():
        low, high = found.ci95[way]
        table.add_row(name, f"{found.accuracy[way]:.3f}", f"{low:.3f}–{high:.3f}")
    low, high = found.orm_over_majority_ci95
    table.add_row("ORM over majority, paired", f"{found.orm_over_majority:+.3f}", f"{low:+.3f}–{high:+.3f}")
    return table
