"""The one-page HTML report of a run: a plot, its results table, its settings."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from alphallm_env.runtime.files import Json, write_whole
from experiments.runs.plots import plot
from experiments.runs.results import COLUMNS, ResultRow, cells_of
from experiments.runs.search_records import SearchRecord

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100% } th, td { padding: .3rem .6rem; text-align: right }
th { border-bottom: 2px solid #222 } td { border-bottom: 1px solid #ddd }
th:nth-child(-n+3), td:nth-child(-n+3) { text-align: left }
img { max-width: 100% } pre { background: #f6f6f4; padding: .8rem; white-space: pre-wrap }
"""
_LESSONS_SHOWN = 6
_QUESTIONS_SHOWN = 10


@dataclass(frozen=True)
class PageDetails:
    """What the page shows of the rounds beside their results.

    `imagined` has for each round the record of its imagination: `problems`, `num_written`, `wanted`, `num_refused` by
    reason, `refused` as pairs of a question and its reason.
    `lessons` are searches of the last round whose best trajectory was kept.
    """

    imagined: Sequence[Mapping[str, Any]]
    lessons: Sequence[SearchRecord]


def write_report(
    folder: Path,
    rows: Sequence[ResultRow],
    results: dict[str, Json],
    config: dict[str, Json],
    details: PageDetails | None = None,
) -> None:
    """Writes `report.html` into the run's folder: self-contained, nothing is fetched by it."""
    revision = (folder / "revision.txt").read_text().strip()
    page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Self-improvement of {_text(config["policy"])}</title>
<style>{STYLE}</style></head><body>
<h1>Self-improvement of the policy “{_text(config["policy"])}”</h1>
<p>{_headline(results)}</p>
<img alt="accuracy" src="data:image/png;base64,{base64.b64encode(plot(rows)).decode()}">
<h2>Results</h2>
{_table(rows)}
<p>Intervals are 95 % percentile bootstraps over problems. Tokens are all that were generated or scored:
by the policy, by rollouts and by critics.</p>
{_questions(details) if details else ""}
{_lessons(details) if details else ""}
<h2>Settings</h2>
<pre>{_text(json.dumps(config, indent=1))}\nrevision {_text(revision)}</pre>
</body></html>
"""
    write_whole(folder / "report.html", page)


def gains_in_words(folder: Path, rounds: int) -> list[str]:
    """Returns a line for greedy's gains after the last round, and for each search over another planner.

    They are those of the run's `results.json`, which has the other planners' too.
    """
    gains = json.loads((folder / "results.json").read_text())["gains"]
    others = ("checked_rerank", "orm_rerank", "majority")
    told = [gain for gain in gains if gain["planner"] == "greedy" or gain["over"] in others]
    return [f"after {rounds} rounds, {_gain(found)}" for found in told]


def _gain(found: Mapping[str, Any]) -> str:
    low, high = found["ci95"]
    return (
        f"{found['planner']} on {found['split']} over {found['over']}: {found['gain']:+.3f} "
        f"(paired 95 %: {low:+.3f} to {high:+.3f})"
    )


def _text(value: object) -> str:
    return html.escape(str(value))


def _headline(results: dict[str, Json]) -> str:
    gains = cast("list[dict[str, Any]]", results["gains"])
    items = "".join(f"<li>{_text(_gain(found))}</li>" for found in gains)
    return f"Differences after the last round, paired by problem:</p><ul>{items}</ul><p>"


def _questions(details: PageDetails) -> str:
    """Returns how many questions each round wrote, kept and refused, with examples."""
    rows = "".join(
        f"<tr><td>{number}</td><td>{_text(_counts(record['wanted']))}</td>"
        f"<td>{_text('; '.join(f'{reason}: {num}' for reason, num in record['num_refused'].items()))}</td>"
        f"<td>{record['num_written']}</td><td>{len(record['problems'])}</td></tr>"
        for number, record in enumerate(details.imagined, 1)
    )
    last = details.imagined[-1]
    kept = "\n".join(problem["question"] for problem in last["problems"][:_QUESTIONS_SHOWN])
    refused = "".join(
        f"<tr><td>{_text(question)}</td><td>{_text(reason)}</td></tr>" for question, reason in last["refused"]
    )
    return (
        "<h2>Imagined questions</h2><table><thead><tr><th>round</th><th>wanted, by level</th><th>refused</th>"
        f"<th>written</th><th>kept</th></tr></thead><tbody>{rows}</tbody></table>"
        f"<p>Kept in the last round:</p><pre>{_text(kept)}</pre><p>Refused:</p>"
        f"<table><thead><tr><th>question</th><th>reason</th></tr></thead><tbody>{refused}</tbody></table>"
    )


def _counts(wanted: Mapping[str, int]) -> str:
    return ", ".join(f"{level or 'all'}: {num}" for level, num in wanted.items())


def _lessons(details: PageDetails) -> str:
    """Returns a few lessons with what their search tried on the way."""
    shown = "".join(
        f"<details{' open' if number == 0 else ''}><summary>{_text(record.problem.question)}</summary>"
        f"<pre>{_text(record.best.state.text.strip())}</pre>{_decisions(record)}</details>"
        for number, record in enumerate(details.lessons[:_LESSONS_SHOWN])
    )
    return f"<h2>Lessons of the last round</h2><p>{len(details.lessons)} searches gave one.</p>{shown}"


def _decisions(record: SearchRecord) -> str:
    """Returns the tree along the way that was kept: at each node what was tried, with visits and values."""
    lines = [
        f"{'  ' * depth}{'>' if place == decision.chosen else ' '} {option.text.strip()}"
        f"   visits {option.visit_count}, value {option.value:.2f}"
        for depth, decision in enumerate(record.decisions)
        for place, option in enumerate(decision.options)
    ]
    cost = f"{record.usage.simulations} simulations, {record.num_nodes} nodes, {record.usage.tokens} tokens"
    tree = "\n".join(lines)
    return f"<p>{_text(cost)}</p>" + (f"<pre>{_text(tree)}</pre>" if tree else "")


def _table(rows: Sequence[ResultRow]) -> str:
    head = "".join(f"<th>{name}</th>" for name in COLUMNS)
    body = "".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in cells_of(row))}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
