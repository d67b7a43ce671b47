"""ProcessBench: does a critic find the first wrong step of a solution? Zheng et al. 2024.

    python -m experiments.processbench --rows FILE.jsonl --critic prompted --policy FOLDER --json FILE
    python -m experiments.processbench --rows FILE.jsonl --critic qwen_prm:FOLDER --json FILE
    python -m experiments.processbench --rows FILE.jsonl --critic rlhflow:FOLDER --development 50     # threshold chosen

A row has `question`, `steps` and `label`: the index of the first wrong step, −1 where all are right. A critic names the
first step that it scores below a threshold, or none. F1 is the harmonic mean of two accuracies: on solutions with a
mistake (the very step must be named), and on those without (none must be). The threshold is `--threshold`, or with
`--development` the one that is best on so many rows, drawn by `--seed`, which are then not measured.
`prompted` asks a language model about each step, True or False; a folder's critics are asked for their PRM.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any, Protocol, cast, runtime_checkable

import tyro
from rich.table import Table

from alphallm_env.critics.base import Critic, checked_scores
from alphallm_env.critics.measures import harmonic_mean
from alphallm_env.critics.provenance import provenance_of
from alphallm_env.errors import CriticError, ProblemError
from alphallm_env.loading import PROMPTED, build_simulator, load_policy
from alphallm_env.mdp.dynamics import Rules
from alphallm_env.runtime.engine import Engine
from alphallm_env.runtime.files import Json, write_whole
from alphallm_env.runtime.metering import Meter, metering
from alphallm_env.simulator import Simulator
from alphallm_env.training.graded import state_after
from alphallm_env.types import State
from experiments.runs.screen import quiet_libraries, results_console

ALL_RIGHT = -1  # the label of a solution without a mistake


@dataclass(frozen=True)
class BenchConfig:
    """Settings of one measurement. `policy` is the language model that `prompted` asks."""

    rows: Path
    critic: str = PROMPTED
    policy: str = "tiny"
    json: Path | None = None
    limit: int | None = None  # the first rows only
    threshold: float = 0.5
    development: int = 0  # rows that choose the threshold
    device: str = "auto"
    dtype: str = "auto"
    chunk: int = 16  # solutions asked about at once
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.0 <= self.threshold <= 1.0:
            raise ValueError(f"threshold must be in [0, 1], got {self.threshold}")
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"limit must be >= 1, got {self.limit}")


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


def all_scores(
    simulator: Simulator, critic: Critic, rows: Sequence[AnnotatedSolution], chunk: int
) -> list[tuple[float, ...]]:
    """Returns the scores of all rows' steps, so many rows at once, and shows how far it is."""
    scores: list[tuple[float, ...]] = []
    for start in range(0, len(rows), chunk):
        scores += simulator.engine.run(step_scores(critic, rows[start : start + chunk]))
        print(f"{len(scores)}/{len(rows)} solutions", flush=True)
    return scores


def main(config: BenchConfig) -> Accuracy:
    """Measures a critic on the rows; prints the table and writes the JSON, every row's scores included."""
    quiet_libraries()
    rows = read_rows(config.rows, config.limit)
    if not 0 <= config.development < len(rows):
        raise ValueError(f"development must be in [0, {len(rows)}), got {config.development}")
    with Engine() as engine, metering(Meter()) as meter:
        policy = load_policy(config.policy, config.device, config.dtype)
        simulator = build_simulator(policy, config.critic, Rules(), engine, config.device)
        critic = simulator.critics.require("prm")
        scores = all_scores(simulator, critic, rows, config.chunk)
        provenance = provenance_of(critic)
    chosen = set(Random(config.seed).sample(range(len(rows)), config.development))
    parts = [[i for i in range(len(rows)) if (i in chosen) == is_chosen] for is_chosen in (True, False)]
    (held_rows, held_scores), (test_rows, test_scores) = (
        ([rows[i] for i in part], [scores[i] for i in part]) for part in parts
    )
    threshold = best_threshold(held_rows, held_scores) if config.development else config.threshold
    found = accuracy(test_rows, test_scores, threshold)
    how = f"best on {len(held_rows)} other rows" if config.development else "given"
    show(found, config.critic, f"{threshold:.3f}, {how}", meter.usage.critic_tokens)
    if config.json:
        record = _record(rows, scores, chosen, threshold, found)
        settings = {key: str(value) if isinstance(value, Path) else value for key, value in asdict(config).items()}
        tokens = {"critic_tokens": meter.usage.critic_tokens}
        everything = record | tokens | {"provenance": asdict(provenance), "config": settings}
        write_whole(config.json, json.dumps(everything, indent=2) + "\n")
    return found


def show(found: Accuracy, critic: str, threshold: str, tokens: int) -> None:
    """Prints the table."""
    table = Table(title=f"ProcessBench, {critic}, threshold {threshold}")
    for column in ("F1", "with a mistake", "without", "rows", "tokens read"):
        table.add_column(column, justify="right")
    table.add_row(
        f"{found.f1:.3f}", f"{found.wrong_accuracy:.3f}", f"{found.right_accuracy:.3f}",
        f"{found.num_wrong} + {found.num_right}", f"{tokens:,}",
    )  # fmt: skip
    results_console().print(table)


def _record(
    rows: Sequence[AnnotatedSolution],
    scores: Sequence[Sequence[float]],
    chosen: set[int],
    threshold: float,
    found: Accuracy,
) -> dict[str, Json]:
    listed: list[Json] = [
        {"id": row.id, "label": row.label, "named": first_below(part, threshold), "scores": list(part),
         "development": index in chosen}
        for index, (row, part) in enumerate(zip(rows, scores, strict=True))
    ]  # fmt: skip
    return asdict(found) | {"threshold": threshold, "rows": listed}


if __name__ == "__main__":
    main(tyro.cli(BenchConfig))
