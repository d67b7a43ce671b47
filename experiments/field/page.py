"""The page, the picture and the table of a comparison of planners over cost."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rich.table import Table

from alphallm_env.runtime.files import Json, write_whole
from experiments.field.curves import Curve
from experiments.report.document import Section, document, escaped, image, table
from experiments.report.repeat import repeating
from experiments.runs.plots import Picture, png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS = (
    "problems", "planner", "is_tree", "multiple", "budget", "num_problems", "accuracy", "ci95", "pass_at_k", "flops",
    "computed", "tokens", "generated", "simulations", "depth", "choice_share", "seconds",
)  # fmt: skip

_LEAST_WIDTH, _HANDLE, _LETTER = 7.5, 0.6, 0.07  # inches: of a figure, of a line in its legend, of a letter there


def short(cost: float) -> str:
    """Returns a cost as words, millions where it has many.

    >>> short(1_312.4), short(4_676_239_360)
    ('1,312', '4,676M')
    """
    return f"{cost / 1e6:,.0f}M" if cost >= 1e7 else f"{cost:,.0f}"


def table_of(rows: Sequence[Mapping[str, Any]], title: str, by: str) -> Table:
    """Returns one line for each planner and problem set: its accuracy at each budget, and its tree at the largest.

    Budgets are told by the column `by` of the rows, budget or multiple; a greedy solution, without one, stands first.
    """
    found = {(row["problems"], row["planner"], row[by]): row for row in rows}
    sizes = sorted({size for _, _, size in found})
    table = Table(title=title)
    for column in ("problems", "planner"):
        table.add_column(column, no_wrap=True)
    for column in (*(_column(size, by) for size in sizes), "sims", "depth", "choice"):
        table.add_column(column, justify="right")
    for problems, planner in dict.fromkeys((row["problems"], row["planner"]) for row in rows):
        mine = [found.get((problems, planner, size)) for size in sizes]
        last = [row for row in mine if row][-1]
        accuracies = ["" if row is None else f"{row['accuracy']:.3f}" for row in mine]
        tree = (f"{last['simulations']:.0f}", f"{last['depth']:.1f}", f"{last['choice_share']:.2f}")
        table.add_row(problems, planner, *accuracies, *tree)
    return table


def _column(size: float, by: str) -> str:
    if size == 0:
        return "greedy"
    return f"{size}×" if by == "multiple" else short(size)


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes the rows as CSV."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow([name for name in _COLUMNS if name != "ci95"] + ["low", "high"])
    writer.writerows([*(row[name] for name in _COLUMNS if name != "ci95"), *row["ci95"]] for row in rows)
    write_whole(path, file.getvalue())


def picture(curves: Mapping[str, Sequence[Curve]], trees: Sequence[str], axis: str) -> bytes:
    """Returns a PNG of accuracy over cost: a panel for each problem set, thick lines for trees."""
    return png(figure_of(curves, trees, axis))


def figure_of(curves: Mapping[str, Sequence[Curve]], trees: Sequence[str], axis: str) -> Figure:
    """Returns the figure of `picture`, wide enough for its legend."""
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(curve.planner for found in curves.values() for curve in found))
    width = max(_LEAST_WIDTH, 4.2 * len(curves))
    num_columns = max(1, int(width / (_HANDLE + _LETTER * max(map(len, names)))))
    figure = Figure(figsize=(width, 4 + 0.16 * len(names) / num_columns), layout="constrained")
    lines: dict[str, Any] = {}
    for place, (problems, found) in enumerate(curves.items(), 1):
        axes = figure.add_subplot(1, len(curves), place)
        for curve in found:
            is_tree = curve.planner in trees
            [lines[curve.planner]] = axes.plot(
                curve.costs, curve.correct.mean(axis=1), marker="o", markersize=4,
                linewidth=2.4 if is_tree else 1.2, linestyle="-" if is_tree else "--",
                color=f"C{names.index(curve.planner) % 7}", label=curve.planner,
            )  # fmt: skip
        axes.set_xscale("log")
        axes.set_xticks(found[0].costs, [short(cost) for cost in found[0].costs])
        axes.minorticks_off()
        axes.set_ylim(0, 1)
        axes.set_title(problems, fontsize=10)
        axes.set_xlabel(f"{axis} a problem")
        if place == 1:
            axes.set_ylabel("accuracy")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(
        handles=list(lines.values()), loc="outside lower center", ncols=num_columns, frameon=False, fontsize=8
    )
    return figure


def write_page(
    folder: Path,
    rows: Sequence[Mapping[str, Any]],
    sentences: Mapping[str, Sequence[str]],
    pictures: Mapping[str, Picture],
    config: Mapping[str, Json],
    command: str,
) -> None:
    """Writes `report.html` into the run's folder: self-contained, nothing is fetched by it.

    `sentences` are listed under their titles, those of an empty title at the top; `pictures` are named by their axis of
    cost; `command` repeats the run.
    """
    columns = [name.replace("_", " ") for name in _COLUMNS]
    note = (
        "Intervals are 95 % percentile bootstraps over problems. Computed are tokens generated, and read where the "
        "search had not read the prefix before; tokens are all that were generated or scored; generated ones leave out "
        "what critics read. Choice share is the share of expanded nodes below the root with two children or more."
    )
    results = table(columns, [[_figure(row[name]) for name in _COLUMNS] for row in rows], (0, 1))
    sections = [
        *(Section(f"Accuracy over {axis}", image(found, f"accuracy over {axis}")) for axis, found in pictures.items()),
        *(Section(title, _list(lines)) for title, lines in sentences.items() if title),
        Section("All results", f'{results}<p class="soft">{note}</p>'),
        Section("Repeat it", repeating(folder, config, command)),
    ]
    first = _best(rows) + _list(sentences.get("", ()))
    write_whole(folder / "report.html", document("Planners at equal cost", first, sections))


def _list(lines: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{escaped(line)}</li>' for line in lines)}</ul>" if lines else ""


def _best(rows: Sequence[Mapping[str, Any]]) -> str:
    """Returns, for each problem set at its largest budget, the best tree beside the best other planner."""
    said: list[str] = []
    for problems in dict.fromkeys(row["problems"] for row in rows):
        mine = [row for row in rows if row["problems"] == problems and row["budget"]]
        largest = max((row["budget"] for row in mine), default=0)
        last = [row for row in mine if row["budget"] == largest]
        best = [max((row for row in last if bool(row["is_tree"]) is kind), key=_accuracy, default=None)
                for kind in (True, False)]  # fmt: skip
        parts = [f"{row['planner']} {row['accuracy']:.3f} ({_ends(row)})" for row in best if row]
        said.append(f"{problems}, at a budget of {short(largest)}: {' against '.join(parts)}")
    return "".join(f'<p class="lead">{escaped(line)}</p>' for line in said)


def _accuracy(row: Mapping[str, Any]) -> float:
    return row["accuracy"]


def _ends(row: Mapping[str, Any]) -> str:
    return "–".join(f"{end:.3f}" for end in row["ci95"])


def _figure(value: object) -> str:
    """Returns a value as a cell.

    >>> [_figure(value) for value in (True, 0.5, 123456.7, 64128512, (0.25, 1.0), "uct")]
    ['yes', '0.500', '123,457', '64,128,512', '0.250–1.000', 'uct']
    """
    match value:
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.3f}" if abs(value) < 1e3 else f"{value:,.0f}"
        case int():
            return f"{value:,}"
        case list() | tuple():
            return "–".join(_figure(part) for part in cast("Sequence[object]", value))
        case _:
            return str(value)
