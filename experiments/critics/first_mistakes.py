"""Solutions whose first wrong step is known, and how often a critic finds it. Zheng et al. 2024."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

from alphallm_env.critics.base import Critic, checked_scores
from alphallm_env.critics.measures import harmonic_mean
from alphallm_env.errors import CriticError, ProblemError
from alphallm_env.training.graded import state_after
from alphallm_env.types import State

ALL_RIGHT = -1  # the label of a solution without a mistake


@dataclass(frozen=True)
class AnnotatedSolution:
    """A solution whose first wrong step is known; `label` is its index, −1 where all steps are right."""

    id: str
    question: str
    steps: tuple[str, ...]
    label: int


@dataclass(frozen=True)
class Accuracy:
    """How often the first mistake, or that there is none, was found."""

    f1: float
    wrong_accuracy: float  # of solutions with a mistake
    right_accuracy: float  # of solutions without
    num_wrong: int
    num_right: int


@runtime_checkable
class ScoresSteps(Protocol):
    """A critic that scores all steps of a solution at once."""

    async def score_steps(self, states: Sequence[State]) -> list[tuple[float, ...]]:
        """Returns the scores of each state's options, first to last."""
        ...


def read_rows(path: Path, limit: int | None = None) -> list[AnnotatedSolution]:
    """Returns the rows of a JSONL file. Raises ProblemError, naming the line, where one is not as expected."""
    rows: list[AnnotatedSolution] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()[:limit], 1):
        try:
            record = cast("dict[str, Any]", json.loads(line))
            name, question, steps = str(record.get("id", number)), record["question"], record["steps"]
            label = int(record["label"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ProblemError(f"expected question, steps and label in line {number} of {path}: {error!r}") from error
        texts = [question, *steps] if isinstance(steps, list) and steps else [None]
        if not all(isinstance(text, str) for text in texts):
            raise ProblemError(f"expected a question and steps, a list of texts, in line {number} of {path}: {record}")
        if not ALL_RIGHT <= label < len(steps):
            raise ProblemError(f"label must be in [-1, {len(steps)}) in line {number} of {path}, got {label}")
        rows.append(AnnotatedSolution(name, question, tuple(steps), label))
    if not rows:
        raise ProblemError(f"expected at least one row in {path}, got none")
    return rows


async def step_scores(critic: Critic, rows: Sequence[AnnotatedSolution]) -> list[tuple[float, ...]]:
    """Returns the score of each step of each row, given those before it. A step is a line, as a policy writes it.

    Raises CriticError where there are not as many scores as steps.
    """
    ends = [state_after(row.question, [step.rstrip("\n") + "\n" for step in row.steps]) for row in rows]
    if isinstance(critic, ScoresSteps):
        found = await critic.score_steps(ends)
    else:
        prefixes = [list(end.path())[-2::-1] for end in ends]  # after the first step, the second, …
        asked = [state for states in prefixes for state in states]
        scores = iter(checked_scores(await critic.evaluate(asked), asked, critic.name))
        found = [tuple(next(scores) for _ in states) for states in prefixes]
    for row, scores in zip(rows, found, strict=True):
        if len(scores) != len(row.steps):
            raise CriticError(f"expected {len(row.steps)} scores of the steps of {row.id!r}, got {len(scores)}")
    return found


def first_below(scores: Sequence[float], threshold: float) -> int:
    """Returns the index of the first score below the threshold, −1 where there is none.

    >>> first_below([0.9, 0.4, 0.1], 0.5), first_below([0.9], 0.5)
    (1, -1)
    """
    return next((index for index, score in enumerate(scores) if score < threshold), ALL_RIGHT)


def accuracy(rows: Sequence[AnnotatedSolution], scores: Sequence[Sequence[float]], threshold: float) -> Accuracy:
    """Returns both accuracies and their harmonic mean. Raises ValueError unless there are rows of both kinds."""
    hits: dict[bool, list[bool]] = {True: [], False: []}
    for row, found in zip(rows, scores, strict=True):
        hits[row.label == ALL_RIGHT].append(first_below(found, threshold) == row.label)
    right, wrong = hits[True], hits[False]
    if not right or not wrong:
        raise ValueError(f"expected rows with and without a mistake, got {len(wrong)} and {len(right)}")
    shares = sum(wrong) / len(wrong), sum(right) / len(right)
    return Accuracy(harmonic_mean(*shares), *shares, len(wrong), len(right))


def best_threshold(rows: Sequence[AnnotatedSolution], scores: Sequence[Sequence[float]]) -> float:
    """Returns the threshold with the highest F1; midway between two scores, so that neither lies on it."""
    values = sorted({score for found in scores for score in found})
    between = [(one + other) / 2 for one, other in zip([0.0, *values], [*values, 1.0], strict=True)]
    return max(between, key=lambda threshold: (accuracy(rows, scores, threshold).f1, -abs(threshold - 0.5)))
