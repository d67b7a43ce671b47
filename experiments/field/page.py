"""The page, the picture and the table of a comparison of planners over cost."""

from __future__ import annotations

import base64
import csv
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from alphallm_env.runtime.files import write_whole
from experiments.field.curves import Curve
from experiments.runs.plots import png
from experiments.runs.report import STYLE

_COLUMNS = (
    "problems", "planner", "is_tree", "multiple", "budget", "num_problems", "accuracy", "ci95", "pass_at_k", "flops",
    "computed", "tokens", "generated", "simulations", "depth", "choice_share", "seconds",
)  # fmt: skip


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
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(curves), 4), layout="constrained")
    names = list(dict.fromkeys(curve.planner for found in curves.values() for curve in found))
    lines: dict[str, Any] = {}
    for place, (problems, found) in enumerate(curves.items(), 1):
        axes = figure.add_subplot(1, len(curves), place)
        for curve in found:
            is_tree = curve.planner in trees
            [lines[curve.planner]] = axes.plot(
                curve.costs, curve.correct.mean(axis=1), marker="o", markersize=4,
                linewidth=2.4 if is_tree else 1.2, linestyle="-" if is_tree else "--",
                color=f"C{names.index(curve.planner) % 10}", label=curve.planner,
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
    figure.legend(handles=list(lines.values()), loc="outside lower center", ncols=5, frameon=False, fontsize=8)
    return png(figure)


def write_page(
    folder: Path, rows: Sequence[Mapping[str, Any]], ratios: Sequence[str], pictures: Mapping[str, bytes]
) -> None:
    """Writes `report.html` into the run's folder: self-contained, nothing is fetched by it."""
    head = "".join(f"<th>{name.replace('_', ' ')}</th>" for name in _COLUMNS)
    body = "".join(f"<tr>{''.join(f'<td>{_text(row[name])}</td>' for name in _COLUMNS)}</tr>" for row in rows)
    images = "".join(
        f'<h2>Accuracy over {_text(axis)}</h2><img alt="accuracy over {_text(axis)}" '
        f'src="data:image/png;base64,{base64.b64encode(image).decode()}">'
        for axis, image in pictures.items()
    )
    page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Planners at equal cost</title><style>{STYLE}</style></head><body>
<h1>Planners at equal cost</h1>
<ul>{"".join(f"<li>{_text(line)}</li>" for line in ratios)}</ul>
{images}
<h2>Results</h2><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>
<p>Intervals are 95 % percentile bootstraps over problems. Computed are tokens generated,
and read where the search had not read the prefix before; tokens are all that were generated or scored; generated ones
leave out what critics read. Choice share is the share of expanded nodes below the root with two children or more.</p>
</body></html>
"""
    write_whole(folder / "report.html", page)


def _text(value: object) -> str:
    return html.escape(f"{value:.3g}" if isinstance(value, float) else str(value))
