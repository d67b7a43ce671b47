"""What a run writes for TensorBoard while it runs: curves, histograms, trees."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from agents.base import PlanResult
from agents.tree.node import render_tree
from alphallm_env.runtime.engine import Engine, EngineStatistics
from alphallm_env.runtime.metering import Usage
from alphallm_env.types import Problem
from experiments.runs.ledger import figures
from experiments.runs.results import ResultRow
from experiments.runs.screen import Screen, Show
from experiments.runs.search_records import SearchRecord

_TREES_PER_STAGE = 3


def _load(before: EngineStatistics, engine: Engine, seconds: float) -> dict[str, float]:
    """Returns the throughput and batch sizes of an engine since `before`; empty where it ran no batch."""
    now = engine.statistics
    if now.steps == before.steps or now.batches == before.batches:
        return {}
    return {
        "tokens per second": (now.items_stepped - before.items_stepped) / seconds,  # decoded
        "texts a step": (now.items_stepped - before.items_stepped) / (now.steps - before.steps),
        "items a batch": (now.items - before.items) / (now.batches - before.batches),
        "model share": (now.model_seconds - before.model_seconds) / seconds,
        "queue": float(engine.num_waiting),
    }


class Monitor:
    """Writes TensorBoard's event files, and reports progress to the screen."""

    def __init__(self, logs: Path, screen: Screen | None = None) -> None:
        self._writer = SummaryWriter(str(logs))
        self._screen = screen or Screen()

    @contextlib.contextmanager
    def progress(self, title: str, total: int, engine: Engine | None = None, step: int = 0) -> Generator[Show]:
        """Yields the function to call with the number done and the total.

        The engine's throughput is shown during the stage, and written with its batch sizes at the end.
        """
        before, started = replace(engine.statistics) if engine else None, time.monotonic()

        def load() -> dict[str, float]:
            return {} if engine is None or before is None else _load(before, engine, time.monotonic() - started)

        with self._screen.stage(title, total, lambda: load().get("tokens per second")) as show:
            yield show
        for name, value in load().items():
            self._writer.add_scalar(f"engine/{title.partition(': ')[2]}/{name}".replace(" ", "_"), value, step)

    def say(self, text: str) -> None:
        """Shows a line on the screen."""
        self._screen.say(text)

    def scalar(self, tag: str, value: float, step: int) -> None:
        """Writes one number."""
        self._writer.add_scalar(tag, value, step)

    def rows(self, rows: Sequence[ResultRow]) -> None:
        """Writes accuracy and tokens of one stage; the step is the round."""
        for row in rows:
            tag = f"{row.split}/{row.planner}" + (f"/{row.control}" if row.control else "")
            self._writer.add_scalar(f"accuracy/{tag}", row.accuracy, row.round)
            self._writer.add_scalar(f"tokens_per_problem/{tag}", row.tokens_per_problem, row.round)
        self._writer.flush()

    def ledger(self, tag: str, usage: Usage, step: int) -> None:
        """Writes what the searches of one row cost together."""
        for name, value in figures(usage).items():
            self._writer.add_scalar(f"ledger/{tag}/{name}", value, step)

    def searches(self, records: Sequence[SearchRecord], step: int) -> None:
        """Writes means and histograms of the searches of one round."""
        measures = {
            "nodes": [r.num_nodes for r in records],
            "depth": [r.depth for r in records],
            "width": [r.width for r in records],
            "tokens": [r.usage.tokens for r in records],
            "critic_tokens": [r.usage.critic_tokens for r in records],
            "rollout_tokens": [r.usage.rollout_tokens for r in records],
            "rejected_tokens": [r.usage.rejected_tokens for r in records],
            "orm_score": [r.best.score for r in records],
        }
        for name, values in measures.items():
            if values:
                self._writer.add_scalar(f"search/{name}", float(np.mean(values)), step)
                self._writer.add_histogram(f"search/{name}_by_problem", np.asarray(values, dtype=float), step)
        self._writer.flush()

    def tree_sampler(self, tag: str) -> Callable[[Problem, PlanResult], None]:
        """Returns a function that writes the first few trees it is shown as text."""
        shown = 0

        def show(problem: Problem, result: PlanResult) -> None:
            nonlocal shown
            if result.root is not None and shown < _TREES_PER_STAGE:
                text = f"{problem.question}\n\n{render_tree(result.root, max_nodes=60)}"
                self._writer.add_text(f"trees/{tag}", f"```\n{text}\n```", shown)
                shown += 1

        return show

    def close(self) -> None:
        """Writes what is buffered."""
        self._writer.close()
