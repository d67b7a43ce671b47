"""The report: one page that stands alone, whatever a name or a setting holds."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from experiments.runs.report import plot, write_report
from experiments.runs.results import ResultRow

HOSTILE = "</pre><script>alert(1)</script><img src=x onerror='alert(2)'>&lt;"
GAIN = {"greedy": {"gain": 0.125, "ci95": [0.05, 0.2]}, HOSTILE: {"gain": -0.01, "ci95": [-0.03, 0.01]}}


def row(stage: str = "before", planner: str = "greedy", split: str = "test", accuracy: float = 0.5) -> ResultRow:
    return ResultRow(stage, planner, accuracy, (accuracy - 0.1, accuracy + 0.1), 1_000, 1_234.5, split)


ROWS = [row(), row("round1", accuracy=0.625), row(planner="majority"), row(split="unseen_templates", accuracy=0.25)]


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
    write_report(tmp_path, rows, {"gain_after_last_round": GAIN}, {"policy": HOSTILE, "seed": 0})
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def test_hostile_text_stays_text(page: str):
    tags = Tags(page)
    assert "script" not in tags.names
    assert tags.names.count("img") == 1
    assert page.count("&lt;script&gt;alert(1)") == 7  # title, heading, headline, a row's three cells, settings


def test_the_page_fetches_nothing(page: str):
    assert [source[:22] for source in Tags(page).sources] == ["data:image/png;base64,"]
    assert "http" not in page
    assert "url(" not in page


def test_the_page_says_what_was_found(page: str):
    assert "greedy +12.5 points (+5.0 to +20.0)" in page
    assert "-1.0 points (-3.0 to +1.0)" in page
    assert "<td>0.625</td><td>0.525–0.725</td><td>1000</td><td>1,234</td>" in page
    assert len(re.findall("<tr>", page)) == 6  # the head and five rows
    assert "revision abc-dirty" in page


@pytest.mark.parametrize(
    "rows",
    [ROWS, ROWS[:1], [row(f"round{number}") for number in range(7)], [row(accuracy=0.0), row("round1", accuracy=1.0)]],
    ids=["several", "one", "many rounds", "the ends"],
)
def test_the_plot_is_a_png(rows: list[ResultRow]):
    image = plot(rows)
    assert image.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(image) > 2_000
