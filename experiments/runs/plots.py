"""Figures of a run's results, as PNGs."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from experiments.runs.results import ResultRow

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS = {"before": "#9aa5b1", "round1": "#5b8db8", "round2": "#1f4e79"}
_LINES = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)))  # the loop, then its four controls


def plot(rows: Sequence[ResultRow]) -> bytes:
    """Returns the figure that suits the rows: by round where there are levels or many rounds, else by planner."""
    by_round = (
        len({row.split for row in rows if row.split.startswith("n=")}) > 0 or len({row.round for row in rows}) > 3
    )
    return plot_rounds(rows) if by_round else plot_planners(rows)


def plot_rounds(rows: Sequence[ResultRow]) -> bytes:
    """Returns accuracy by round: a panel for each planner, a colour for each split, dashes for controls."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.ticker import MaxNLocator

    planners = list(dict.fromkeys(row.planner for row in rows))
    splits = sorted({row.split for row in rows})
    controls = list(dict.fromkeys(row.control for row in rows))
    figure = Figure(figsize=(3.4 * len(planners) + 1, 4), layout="constrained")
    for place, planner in enumerate(planners, 1):
        axes = figure.add_subplot(1, len(planners), place)
        for number, split in enumerate(splits):
            for line, control in zip(_LINES, controls, strict=False):
                # A control begins where the loop does.
                found = [row for row in rows if (row.planner, row.split) == (planner, split)
                         and (row.control == control or (control and row.round == 0))]  # fmt: skip
                found.sort(key=lambda row: row.round)
                if not any(row.control == control for row in found):
                    continue
                rounds, heights = [row.round for row in found], [row.accuracy for row in found]
                axes.plot(rounds, heights, linestyle=line, marker="o", markersize=3, color=f"C{number}")
                if not control:
                    low, high = [row.ci95[0] for row in found], [row.ci95[1] for row in found]
                    axes.fill_between(rounds, low, high, color=f"C{number}", alpha=0.12, linewidth=0)
        axes.set_title(planner, fontsize=10)
        axes.set_ylim(0, 1)
        axes.set_xlabel("round")
        if place == 1:
            axes.set_ylabel("accuracy")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    handles = [Line2D([], [], color=f"C{number}", label=split) for number, split in enumerate(splits)]
    for line, control in zip(_LINES, controls, strict=False) if len(controls) > 1 else ():
        handles.append(Line2D([], [], linestyle=line, color="grey", label=control.replace("_", " ") or "the loop"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=8)
    return png(figure)


def plot_planners(rows: Sequence[ResultRow]) -> bytes:
    """Returns a PNG of accuracy by planner, one bar a stage, with intervals; the test split only."""
    from matplotlib.figure import Figure

    tested = [row for row in rows if row.split == "test"]
    planners = list(dict.fromkeys(row.planner for row in tested))
    stages = list(dict.fromkeys(row.stage for row in tested))
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.add_subplot()
    spacing = min(0.27, 0.9 / max(1, len(stages)))  # of the bars of one planner
    for offset, stage in enumerate(stages):
        found = [(planners.index(row.planner), row) for row in tested if row.stage == stage]
        places = [place + (offset - (len(stages) - 1) / 2) * spacing for place, _ in found]
        heights = [row.accuracy for _, row in found]
        errors = [[h - row.ci95[0] for h, (_, row) in zip(heights, found, strict=True)],
                  [row.ci95[1] - h for h, (_, row) in zip(heights, found, strict=True)]]  # fmt: skip
        axes.bar(places, heights, 0.93 * spacing, yerr=errors, capsize=3, label=stage, color=_COLOURS.get(stage))
    axes.set_xticks(range(len(planners)), planners)
    axes.set_ylim(0, 1)
    axes.set_ylabel("accuracy")
    axes.grid(axis="y", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return png(figure)


def png(figure: Figure) -> bytes:
    """Returns the figure as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
