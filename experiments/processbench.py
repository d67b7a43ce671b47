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

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from rich.table import Table

from alphallm_env.critics.base import Critic
from alphallm_env.critics.provenance import provenance_of
from alphallm_env.loading import build_simulator, load_policy
from alphallm_env.mdp.dynamics import Rules
from alphallm_env.runtime.engine import Engine
from alphallm_env.runtime.files import Json
from alphallm_env.runtime.metering import Meter, metering
from alphallm_env.simulator import Simulator
from experiments.critics.first_mistakes import (
    Accuracy,
    AnnotatedSolution,
    accuracy,
    best_threshold,
    first_below,
    read_rows,
    step_scores,
)
from experiments.runs.records import write_json
from experiments.runs.screen import quiet_libraries, results_console
from experiments.runs.settings import flat, settings_of


@dataclass(frozen=True)
class BenchConfig:
    """Settings of one measurement. `policy` is the language model that `prompted` asks."""

    rows: Path
    critic: str = "prompted"
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


def all_scores(
    simulator: Simulator, critic: Critic, rows: Sequence[AnnotatedSolution], chunk: int
) -> list[tuple[float, ...]]:
    """Returns the scores of all rows' steps, `chunk` rows at once, and prints the progress."""
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
        tokens = {"critic_tokens": meter.usage.critic_tokens}
        everything = record | tokens | {"provenance": asdict(provenance), "config": flat(config)}
        write_json(config.json, everything)
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
    main(settings_of(BenchConfig))
