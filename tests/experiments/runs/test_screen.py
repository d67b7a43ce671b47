"""What a run shows: lines without a terminal, bars in one, the time that is left worked by hand."""

from __future__ import annotations

import contextlib
import io
import sys
import time

import pytest

from experiments.runs.screen import Pace, Screen


class Clock:
    """A clock that is moved by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_time_left_follows_from_the_cost_of_what_is_done():
    pace = Pace({"short": 10.0, "long": 30.0})
    assert pace.seconds_left() is None
    pace.advance("short", 0.5, 2.0)  # 5 of 40 in 2 s
    assert pace.seconds_left() == pytest.approx(35 * 2 / 5)
    pace.advance("short", 1.0, 2.0)
    assert pace.seconds_left() == pytest.approx(30 * 4 / 10)
    pace.advance("not planned", 1.0, 9.0)
    assert pace.seconds_left() == pytest.approx(12.0)
    assert (pace.place("long"), pace.place("not planned"), len(pace)) == (2, 0, 2)


def test_what_an_earlier_process_did_counts_as_done_not_as_fast():
    pace = Pace({"one": 10.0, "two": 10.0})
    pace.advance("one", 1.0, 0.0)
    assert pace.seconds_left() is None
    pace.advance("two", 0.5, 5.0)
    assert pace.seconds_left() == pytest.approx(5.0)


def test_a_stage_has_a_line_when_it_starts_and_when_it_ends(capsys: pytest.CaptureFixture[str]):
    clock = Clock()
    screen = Screen({"search": 3.0, "learn": 1.0}, clock=clock)
    with screen.stage("search", 4) as show:
        show(0, 4)
        clock.now = 60.0
        show(2, 4)
        clock.now = 90.0
        show(4, 4)
    with screen.stage("learn", 1):
        clock.now = 100.0
    assert capsys.readouterr().out.splitlines() == [
        "[ 0:00] 1/2 search",
        "[ 1:30] 1/2 search: done in 1:30, run: about 0:30 left",
        "[ 1:30] 2/2 learn",
        "[ 1:40] 2/2 learn: done in 0:10",
    ]


def test_a_long_stage_reports_in_between_even_where_a_library_redirects_the_output(
    capsys: pytest.CaptureFixture[str],
):
    screen = Screen({"search": 1.0}, seconds_between_lines=0.05)
    with screen.stage("search", 4, rate=lambda: 1234.5) as show:
        show(0, 4)
        show(1, 4)
        with contextlib.redirect_stdout(io.StringIO()):
            time.sleep(0.3)
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("[ 0:00] 1/1 search: 1/4, 1,234 tokens/s, 0:0") for line in lines[1:-1])
    assert all(" left, run: about " in line for line in lines[1:-1])


def test_a_stage_that_fails_is_not_done(capsys: pytest.CaptureFixture[str]):
    def fail(screen: Screen) -> None:
        with screen.stage("search", 4):
            raise KeyError("lost")

    with pytest.raises(KeyError):
        fail(Screen())
    assert "done" not in capsys.readouterr().out


def test_a_terminal_has_a_bar(monkeypatch: pytest.MonkeyPatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", terminal)
    with Screen({"search": 1.0}).stage("search", 4) as show:
        show(1, 4)
    assert "search" in terminal.getvalue()
    assert "4/4" in terminal.getvalue()
