"""The report: one page that stands alone, whatever a name or a setting holds."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import get_args

import pytest

from alphallm_env.runtime.files import Json
from alphallm_env.runtime.metering import Usage, Work
from alphallm_env.training.base import Decision, SearchedOption
from alphallm_env.types import Ending, Option, Problem, State, Trajectory
from experiments.loop.config import ControlName
from experiments.report.headline import gains_in_words
from experiments.report.loop_page import PageDetails, write_report
from experiments.report.rounds import Round
from experiments.report.style import STYLE
from experiments.runs.plots import drawn, plot
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
    found = Round(IMAGINED, 8, 6, 32, 7, 0.25, {HOSTILE: 0.5})
    ledger = {
        ("before", "test", HOSTILE): Usage(policy=Work(100, 20)),
        (HOSTILE, "imagined", "greedy"): Usage(policy=Work(1, 2), critic=Work(0, 4)),
    }
    details = PageDetails([found], [lesson()], ledger, {HOSTILE: 5}, f"python {HOSTILE}")
    measures: list[dict[str, Json]] = [
        {
            "stage": HOSTILE,
            "critic": HOSTILE,
            "level": HOSTILE,
            "auc": 0.75,
            "ece": 0.125,
            "num_states": 90,
            "bins": [[80, 0.25, 0.5], [20, 0.75, 0.75]],
        }
    ]
    gains = [
        *GAINS,
        {"planner": "greedy", "split": HOSTILE, "over": f"{HOSTILE}!", "gain": 0.5, "ci95": [0.25, 0.75]},
        {"planner": HOSTILE, "split": HOSTILE, "over": "majority", "gain": 0.5, "ci95": [0.25, 0.75]},
    ]
    results: dict[str, Json] = {"gains": gains, "learned_critics": measures}  # type: ignore[dict-item]
    write_report(tmp_path, rows, results, {"policy": HOSTILE, "seed": 0, HOSTILE: HOSTILE}, details)
    return (tmp_path / "report.html").read_text(encoding="utf-8")


ALLOWED = {
    "html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "ul", "li", "div", "span", "b", "nav", "a",
    "section", "figure", "figcaption", "picture", "source", "img", "table", "thead", "tbody", "tr", "th", "td", "svg",
    "rect", "text", "path", "line", "circle", "details", "summary", "pre",
}  # fmt: skip


def test_hostile_text_stays_text(page: str):
    tags = Tags(page)
    assert set(tags.names) <= ALLOWED
    assert tags.names.count("img") == 1
    assert tags.names.count("title") == 1 + 3 * 3 + 2  # of the page, of three bars, one a role, and of two dots
    counts = {
        "title and heading": 2, "gains in the headline": 4, "gains in tiles": 4, "gains in the table": 5,
        "losses of a control": 1, "labels of three bars and their parts": 2 * 4, "questions and reasons": 4,
        "lesson and its tree": 3, "critic": 3, "its diagram": 5, "row": 3, "command": 1, "settings": 3,
    }  # fmt: skip
    assert page.count("&lt;script&gt;alert(1)") == sum(counts.values())


def test_the_page_fetches_nothing_and_forbids_it(page: str):
    sources = [source for source in Tags(page).sources if not source.startswith("#")]
    assert [source[:22] for source in sources] == ["data:image/png;base64,"]
    assert "://" not in page
    assert "url(" not in page
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    assert f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'" in page
    assert f"<style>{STYLE}</style>" in page
    assert not re.search(r"<[^>]* style=", page)  # which the policy would forbid


def test_every_entry_of_the_contents_has_its_section(page: str):
    entries = re.findall(r'<a href="#(\w+)">([^<]*)</a>', page)
    assert [f'<h2 id="{anchor}">{title}</h2>' in page for anchor, title in entries] == [True] * 9


def test_the_page_says_what_was_found(page: str):
    assert (
        '<td class="words">greedy</td><td class="words">test</td><td class="words">before</td><td>+0.125</td>' in page
    )
    assert "<td>-0.030 to +0.010</td>" in page
    assert '<td class="words">4: 5, 5: 2</td>' in page
    assert '<td class="words">1</td><td>9</td><td>1</td><td>8</td><td>75.0%</td><td>7</td><td>0.2500</td>' in page
    assert "visits 3, value 0.75" in page
    assert "<td>0.625</td><td>0.525–0.725</td><td>1000</td><td>1,234</td>" in page
    assert "<td>0.750</td><td>0.125</td><td>90</td>" in page
    assert 'cx="77.5" cy="105.0" r="9.0"' in page  # 30 + 190 · 0.25, 10 + 190 · 0.5, the largest bin
    assert 'cx="172.5" cy="57.5" r="5.5"' in page  # a quarter of its scores: half as far beyond 2
    assert '<td class="words">revision</td><td class="words">abc-dirty</td>' in page


def test_the_loop_is_drawn_with_its_sums(page: str):
    loop = page[page.index('aria-label="The loop') : page.index("</svg>", page.index('aria-label="The loop'))]
    said = re.findall(r">([^<>]+)</text>", loop)
    assert said == [
        "imagine", "writes questions", "search", "solves them", "criticise", "scores them", "distil",
        "learns from them", "1 kept", "of 9 written", "8 searches", "32 sim.", "75.0% solved", "7 lessons",
        "1 round: the policy that has learnt begins the next one, loss 0.250 → 0.250",
    ]  # fmt: skip


def test_a_page_without_details_has_no_empty_sections(tmp_path: Path):
    (tmp_path / "revision.txt").write_text("abc\n")
    write_report(tmp_path, ROWS, {"gains": []}, {"policy": "tiny"})
    titles = re.findall(r"<h2[^>]*>([^<]+)</h2>", (tmp_path / "report.html").read_text(encoding="utf-8"))
    assert titles == ["Accuracy", "All results", "Repeat it"]


def test_figures_are_drawn_for_light_and_for_dark_pages():
    from matplotlib import rcParams

    before = rcParams["text.color"]
    found = drawn(lambda: plot(ROWS))
    assert found.light != found.dark
    assert rcParams["text.color"] == before


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
