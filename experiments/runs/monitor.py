"""What a run shows while it goes on: bars on a terminal, curves and trees in TensorBoard."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from torch.utils.tensorboard import SummaryWriter

from agents.base import PlanResult
from agents.tree.node import render_tree
from alphallm_env.runtime.engine import Engine, EngineStatistics
from alphallm_env.runtime.metering import Usage
from alphallm_env.types import Problem
from experiments.runs.ledger import figures
from experiments.runs.search_records import SearchRecord, ResultRow

_TREES_PER_STAGE = 3
_WIDTH = 110  # of tables that go to a file


def results_console() -> Console:
    """Returns the console for tables: as wide as the terminal, or wide enough where there is none."""
    console = Console()
    return console if console.is_terminal else Console(width=_WIDTH)


def quiet_libraries() -> None:
    """Silences the progress bars of transformers and datasets, which do not know whether anyone looks."""
    import datasets
    import transformers

    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    warnings.filterwarnings("ignore", message=".*gradient_checkpointing.*", category=FutureWarning)


def stage_number(stage: str) -> int:
    """Returns 0 for the stage `before`, else the number of its round."""
    return 0 if stage == "before" else int(stage.removeprefix("round"))


def _load(before: EngineStatistics, engine: Engine, seconds: float) -> dict[str, float]:
    """Returns how full an engine kept its models since `before`; nothing where they had nothing to do."""
    now = engine.statistics
    if now.steps == before.steps or now.batches == before.batches:
        return {}
    return {
        "tokens per second": (now.items_stepped - before.items_stepped) / seconds,  # written
        "texts a step": (now.items_stepped - before.items_stepped) / (now.steps - before.steps),
        "items a batch": (now.items - before.items) / (now.batches - before.batches),
        "model share": (now.model_seconds - before.model_seconds) / seconds,
        "queue": float(engine.num_waiting),
    }


class Monitor:
    """Writes event files, and shows progress where the output is a terminal; silent where it is not."""

    def __init__(self, logs: Path) -> None:
        self._writer = SummaryWriter(str(logs))
        self._console = Console()

    @contextlib.contextmanager
    def progress(
        self, title: str, total: int, engine: Engine | None = None, step: int = 0
    ) -> Generator[Callable[[int, int], None]]:
        """Yields the function to call with the number done and the total.

        Of an engine, how full it keeps its models is shown beside, and written at the end.
        """
        columns = (
            TextColumn("{task.description:<44}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TextColumn("{task.fields[load]}"),
        )  # fmt: skip
        before, started = replace(engine.statistics) if engine else None, time.monotonic()

        def load() -> dict[str, float]:
            return {} if engine is None or before is None else _load(before, engine, time.monotonic() - started)

        def show(done: int, total: int) -> None:
            shown = ", ".join(f"{value:,.0f} {name}" for name, value in list(load().items())[:2])
            bar.update(task, completed=done, total=total, load=shown)

        with Progress(*columns, console=self._console, disable=not self._console.is_terminal) as bar:
            task = bar.add_task(title, total=total, load="")
            yield show
            show(total, total)
        for name, value in load().items():
            self._writer.add_scalar(f"engine/{title.partition(': ')[2]}/{name}".replace(" ", "_"), value, step)

    def scalar(self, tag: str, value: float, step: int) -> None:
        """Writes one number."""
        self._writer.add_scalar(tag, value, step)

    def rows(self, rows: Sequence[ResultRow]) -> None:
        """Writes accuracy and tokens of one stage; the step is the round."""
        for row in rows:
            step = stage_number(row.stage)
            self._writer.add_scalar(f"accuracy/{row.split}/{row.planner}", row.accuracy, step)
            self._writer.add_scalar(f"tokens_per_problem/{row.split}/{row.planner}", row.tokens_per_problem, step)
        self._writer.flush()

    def ledger(self, tag: str, usage: Usage, step: int) -> None:
        """Writes what the searches of one row cost together."""
        for name, value in figures(usage).items():
            self._writer.add_scalar(f"ledger/{tag}/{name}", value, step)

    def searches(self, records: Sequence[SearchRecord], step: int) -> None:
        """Writes means and histograms of the searches of one round."""
        measures = {
            "nodes": [o.num_nodes for o in records],
            "depth": [o.depth for o in records],
            "width": [o.width for o in records],
            "tokens": [o.usage.tokens for o in records],
            "critic_tokens": [o.usage.critic_tokens for o in records],
            "rollout_tokens": [o.usage.rollout_tokens for o in records],
            "rejected_tokens": [o.usage.rejected_tokens for o in records],
            "orm_score": [o.best.score for o in records],
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
        """Writes what is left."""
        self._writer.close()
