"""What the page shows of the rounds: losses as they were logged, also by a run that was started twice."""

from __future__ import annotations

from pathlib import Path

from experiments.loop.details import losses_in
from experiments.runs.monitor import Monitor


def test_losses_are_read_from_the_event_files(tmp_path: Path):
    for number in (1, 2):  # an event file each
        monitor = Monitor(tmp_path)
        monitor.scalar("distil/loss", 0.5 / number, number)
        monitor.scalar("no_search-distil/loss", 0.75, number)
        monitor.close()
    assert losses_in(tmp_path, ("no_search", "no_lessons")) == {
        "": {1: 0.5, 2: 0.25},
        "no_search": {1: 0.75, 2: 0.75},
        "no_lessons": {},
    }
