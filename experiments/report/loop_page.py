"""The page of a run of the loop: what it showed, how it came about, what it cost, how to repeat it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from alphallm_env.runtime.files import Json, write_whole
from alphallm_env.runtime.metering import Usage
from experiments.report.document import Section, document, escaped, image, table
from experiments.report.headline import differences, headline
from experiments.report.learned import learned_critics
from experiments.report.repeat import repeating
from experiments.report.rounds import Round, lessons, loop_picture, questions, rounds_table
from experiments.report.spending import spending
from experiments.runs.ledger import LedgerKey
from experiments.runs.plots import drawn, has_costs, plot, plot_costs
from experiments.runs.results import COLUMNS, ResultRow, cells_of
from experiments.runs.search_records import SearchRecord


@dataclass(frozen=True)
class PageDetails:
    """What the page shows beside the results.

    `lessons` are searches of the last round whose best trajectory was kept; `ledger` has what each row's searches cost
    together, `imagination` the tokens that the questions of each stage took; `command` repeats the run.
    """

    rounds: Sequence[Round]
    lessons: Sequence[SearchRecord]
    ledger: Mapping[LedgerKey, Usage] = field(default_factory=dict[LedgerKey, Usage])
    imagination: Mapping[str, int] = field(default_factory=dict[str, int])
    command: str = ""


def write_report(
    folder: Path,
    rows: Sequence[ResultRow],
    results: dict[str, Json],
    config: dict[str, Json],
    details: PageDetails | None = None,
) -> None:
    """Writes `report.html` into the run's folder: self-contained, nothing is fetched by it."""
    gains = cast("list[dict[str, Any]]", results["gains"])
    sections = [
        Section("Accuracy", _accuracy(rows)),
        Section("Differences", differences(gains) if gains else ""),
        *(_loop_sections(details, cast("float | None", config.get("orm_threshold"))) if details else ()),
        Section("Learned critics", learned_critics(cast("list[dict[str, Any]]", results.get("learned_critics", [])))),
        Section("All results", _results(rows)),
        Section("Repeat it", repeating(folder, config, details.command if details else "")),
    ]
    about = f'<p class="soft">{escaped(_size(rows, config))}</p>'
    title = f"Self-improvement of the policy “{config['policy']}”"
    page = document(title, about + headline(gains, rows), sections)
    write_whole(folder / "report.html", page)


def _size(rows: Sequence[ResultRow], config: Mapping[str, Json]) -> str:
    rounds = max((row.round for row in rows), default=0)
    problems = f", evaluated on {config['test_problems']}" if "test_problems" in config else ""
    seed = f", seed {config['seed']}" if "seed" in config else ""
    return f"{rounds} rounds{problems}{seed}"


def _accuracy(rows: Sequence[ResultRow]) -> str:
    found = image(drawn(lambda: plot(rows)), "accuracy")
    if has_costs(rows):
        found += "<h3>Over cost</h3>" + image(drawn(lambda: plot_costs(rows)), "accuracy over FLOPs a problem")
        found += '<p class="soft">Planners of about the same cost are drawn side by side.</p>'
    return found + '<p class="soft">Bands and bars are 95 % percentile bootstraps over problems.</p>'


def _loop_sections(details: PageDetails, threshold: float | None) -> list[Section]:
    rounds = details.rounds
    return [
        Section("The loop", loop_picture(rounds, threshold) + rounds_table(rounds) if rounds else ""),
        Section("Cost", spending(details.ledger, details.imagination)),
        Section("Imagined questions", questions(rounds) if rounds else ""),
        Section("Lessons of the last round", lessons(details.lessons)),
    ]


def _results(rows: Sequence[ResultRow]) -> str:
    note = "<p class='soft'>Tokens are all that were generated or scored: by the policy, by rollouts and by critics. "
    return (
        table(COLUMNS, [cells_of(row) for row in rows], (0, 1, 2))
        + f"{note}Tokens, computed tokens, FLOPs and seconds are means of a problem.</p>"
    )
