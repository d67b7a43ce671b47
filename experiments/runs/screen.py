"""What a run shows while it runs: bars in a terminal, plain lines where the output is none."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Generator, Mapping
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES = 20.0
_WIDTH = 110  # of tables that go to a file

Show = Callable[[int, int], None]  # of how many are done, and the total


def results_console() -> Console:
    """Returns the console for tables: as wide as the terminal, or wide enough where there is none."""
    console = Console()
    return console if console.is_terminal else Console(width=_WIDTH)


def duration(seconds: float) -> str:
    """Returns seconds as minutes and seconds, with hours where there are any.

    >>> duration(7), duration(307), duration(4000)
    ('0:07', '5:07', '1:06:40')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def quiet_libraries() -> None:
    """Silences the progress bars of transformers, datasets and TRL, which show without a terminal too."""
    import datasets
    import transformers

    os.environ.setdefault("TQDM_DISABLE", "1")
    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    warnings.filterwarnings("ignore", message=".*gradient_checkpointing.*", category=FutureWarning)


class Pace:
    """Estimates how long the rest of a run takes, from the cost of its stages and the pace so far.

    `costs` has what each stage is expected to cost, by title, in any unit that they share. Work that an earlier
    process did counts as done, not as fast.
    """

    def __init__(self, costs: Mapping[str, float]) -> None:
        self._costs = dict(costs)
        self._shares = dict.fromkeys(costs, 0.0)  # done
        self._spent = 0.0  # cost of the work done here
        self._seconds = 0.0  # that it took

    def __len__(self) -> int:
        return len(self._costs)

    def place(self, title: str) -> int:
        """Returns the number of a stage, from 1; 0 for one that was not planned."""
        return list(self._costs).index(title) + 1 if title in self._costs else 0

    def advance(self, title: str, share: float, seconds: float) -> None:
        """Records that a stage is done up to `share`, after so many seconds more; 0 for work done before."""
        if title not in self._costs:
            return
        if seconds > 0:
            self._spent += (share - self._shares[title]) * self._costs[title]
            self._seconds += seconds
        self._shares[title] = share

    def seconds_left(self) -> float | None:
        """Returns the seconds that are left of the run, None while nothing is known."""
        if self._spent <= 0:
            return None
        left = sum(cost * (1 - self._shares[title]) for title, cost in self._costs.items())
        return left * self._seconds / self._spent


class _Stage:
    """A running stage: how much of it is done, and when that was last reported."""

    def __init__(self, screen: Screen, title: str, total: int, rate: Callable[[], float | None]) -> None:
        self.title, self.total, self.rate = title, total, rate
        self.done = 0
        self.found: int | None = None  # done by an earlier process
        self._screen = screen
        self.started = self._reported = screen.clock()

    def update(self, done: int, total: int) -> None:
        """Takes the number done. The first one, if it comes at once, is what an earlier process did."""
        now = self._screen.clock()
        self.done, self.total = done, total
        if self.found is None:
            self.found = done if now - self.started < 1.0 else 0
            if self.found == done:
                self._screen.pace.advance(self.title, done / max(1, total), 0.0)
                return
        self._screen.pace.advance(self.title, done / max(1, total), max(now - self._reported, 1e-6))
        self._reported = now

    def seconds_left(self) -> float | None:
        """Returns the seconds that are left of the stage, None while nothing is known."""
        here = self.done - (self.found or 0)
        if here <= 0:
            return None
        return (self.total - self.done) * (self._screen.clock() - self.started) / here


class Screen:
    """Shows the stages of one run. `costs` has the expected cost of each stage by its title, for the time left."""

    def __init__(
        self,
        costs: Mapping[str, float] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        seconds_between_lines: float = SECONDS_BETWEEN_LINES,
    ) -> None:
        self.clock = clock
        self.pace = Pace(costs or {})
        self._started = clock()
        self._between = seconds_between_lines
        self._out: TextIO = sys.stdout  # kept, since a library may redirect it meanwhile
        self._console = Console(file=self._out)

    def say(self, text: str) -> None:
        """Prints a line at once, behind the time since the start of the run."""
        print(f"[{duration(self.clock() - self._started):>5}] {text}", file=self._out, flush=True)

    @contextlib.contextmanager
    def stage(self, title: str, total: int, rate: Callable[[], float | None] = lambda: None) -> Generator[Show]:
        """Yields the function to call with the number done and the total; `rate` says how many tokens a second."""
        stage = _Stage(self, title, total, rate)
        shown = self._bar(stage) if self._console.is_terminal else self._lines(stage)
        with shown as show:
            yield show

    @contextlib.contextmanager
    def _bar(self, stage: _Stage) -> Generator[Show]:
        columns = (
            TextColumn("{task.description:<44}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TimeRemainingColumn(), TextColumn("{task.fields[note]}"),
        )  # fmt: skip
        with Progress(*columns, console=self._console) as bar:
            task = bar.add_task(stage.title, total=stage.total, note="")

            def show(done: int, total: int) -> None:
                stage.update(done, total)
                bar.update(task, completed=done, total=total, note=", ".join([*self._rate(stage), *self._run_left()]))

            yield show
            show(stage.total, stage.total)

    @contextlib.contextmanager
    def _lines(self, stage: _Stage) -> Generator[Show]:
        number = self.pace.place(stage.title)
        title = f"{number}/{len(self.pace)} {stage.title}" if number else stage.title
        over = threading.Event()

        def report() -> None:
            while not over.wait(self._between):
                left = stage.seconds_left()
                stage_left = [f"{duration(left)} left"] if left is not None else []
                notes = [f"{stage.done}/{stage.total}", *self._rate(stage), *stage_left, *self._run_left()]
                self.say(f"{title}: {', '.join(notes)}")

        self.say(title)
        reporter = threading.Thread(target=report, name="screen", daemon=True)
        reporter.start()
        try:
            yield stage.update
        finally:
            over.set()
            reporter.join()
        stage.update(stage.total, stage.total)
        took = f"done in {duration(self.clock() - stage.started)}"
        self.say(f"{title}: {', '.join([took, *self._run_left()])}")

    def _rate(self, stage: _Stage) -> list[str]:
        rate = stage.rate()
        return [f"{rate:,.0f} tokens/s"] if rate is not None else []

    def _run_left(self) -> list[str]:
        left = self.pace.seconds_left()
        return [f"run: about {duration(left)} left"] if left else []
