"""The report: one page that stands alone, whatever a name or a setting holds."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import get_args

import pytest

from alphallm_env.runtime.metering import Usage
from alphallm_env.training.base import Decision, SearchedOption
from alphallm_env.types import Ending, Option, Problem, State, Trajectory
from experiments.loop.config import ControlName
from experiments.runs.plots import plot
from experiments.runs.report import PageDetails, gains_in_words, write_report
from experiments.runs.results import ResultRow
from experiments.runs.search_records import SearchRecord

HOSTILE = "</pre><script>alert(1)</script><img src=x onerror='alert(2)'>&lt;"
GAINS = [
    {"planner": "greedy", "split": "test", "over": "before", "gain": 0.125, "ci95": [0.05, 0.2]},
    {"planner": HOSTILE, "split": "test", "over": "no_search", "gain": -0.01, "ci95": [-0.03, 0.01]},
]
IMAGINED = {
    "problems": [{"question": HOSTILE}], "num_written": 9, "wanted": {"4": 5, "5": 2},
    "num_refused": {"no game": 7, HOSTILE: 1}, "refused": [[HOSTILE, "no game"], ["Make 3", HOSTILE]],
}  # fmt: skip


def row(stage: str = "before", planner: str = "greedy", split: str = "test", accuracy: float = 0.5) -> ResultRow:
    return ResultRow(stage, planner, accuracy, (accuracy - 0.1, accuracy + 0.1), 1_000, 1_234.5, split)


ROWS = [row(), row("round1", accuracy=0.625), row(planner="majority"), row(split="unseen_templates", accuracy=0.25)]


def lesson() -> SearchRecord:
    problem = Problem("imagined/1", HOSTILE)
    best = Trajectory(State(problem.id, HOSTILE).child(Option(HOSTILE, 4), Ending.ANSWERED), 1.0)
    options = (SearchedOption(HOSTILE, 3, 0.75), SearchedOption("no\n", 1, 0.0))
    return SearchRecord(problem, "5", "unknown", 1.0, best, Usage(simulations=4), decisions=(Decision("", options, 0),))


class Tags(HTMLParser):
    """Counts tags, and keeps what the page would fetch."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.sources: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]


@pytest.fixture
def page(tmp_path: Path) -> str:
    (tmp_path / "revision.txt").write_text("abc-dirty\n")
    rows = [*ROWS, row(HOSTILE, HOSTILE, HOSTILE)]
    details = PageDetails([IMAGINED], [lesson()])
    write_report(tmp_path, rows, {"gains": GAINS}, {"policy": HOSTILE, "seed": 0}, details)
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def test_hostile_text_stays_text(page: str):
    tags = Tags(page)
    assert "script" not in tags.names
    assert tags.names.count("img") == 1
    # Also in a question kept and one refused, in a reason twice, and in a lesson and its tree.
    assert page.count("&lt;script&gt;alert(1)") == 14


def test_the_page_fetches_nothing(page: str):
    assert [source[:22] for source in Tags(page).sources] == ["data:image/png;base64,"]
    assert "http" not in page
    assert "url(" not in page


def test_the_page_says_what_was_found(page: str):
    assert "greedy on test over before: +0.125 (paired 95 %: +0.050 to +0.200)" in page
    assert "over no_search: -0.010 (paired 95 %: -0.030 to +0.010)" in page
    assert "<td>4: 5, 5: 2</td><td>1</td><td>9</td>" in page
    assert "visits 3, value 0.75" in page
    assert "<td>0.625</td><td>0.525–0.725</td><td>1000</td><td>1,234</td>" in page
    assert len(re.findall("<tr>", page)) == 8  # two heads, five rows and a round
    assert "revision abc-dirty" in page


def test_gains_are_told_for_greedy_and_for_a_search_over_others(tmp_path: Path):
    over = {"planner": "eta_mcts", "split": "n=5", "over": "orm_rerank", "gain": 0.03, "ci95": [0.0, 0.06]}
    (tmp_path / "results.json").write_text(json.dumps({"gains": [*GAINS, over]}))
    told = gains_in_words(tmp_path, 5)
    assert [line.partition(":")[0] for line in told] == [
        "after 5 rounds, greedy on test over before", "after 5 rounds, eta_mcts on n=5 over orm_rerank"
    ]  # fmt: skip


@pytest.mark.parametrize(
    "rows",
    [
        ROWS,
        ROWS[:1],
        [row(f"round{number}") for number in range(7)],
        [row(accuracy=0.0), row("round1", accuracy=1.0)],
        [
            row(split="n=4"),
            row("round1", split="n=4"),
            *(replace(row("c-round1", split="n=4"), control=control) for control in get_args(ControlName)),
        ],
    ],
    ids=["several", "one", "many rounds", "the ends", "levels and all controls"],
)
def test_the_plot_is_a_png(rows: list[ResultRow]):
    image = plot(rows)
    assert image.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(image) > 2_000
