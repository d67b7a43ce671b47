"""Figures of a run's results, as PNGs."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from experiments.runs.results import ResultRow

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS = {"before": "#9aa5b1", "round1": "#56b4e9", "round2": "#0072b2"}
_LINES = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)))  # the loop, then its four controls

# Colours of Okabe and Ito, and grey; those of a page's text and ground (`experiments/report/style.py`).
_LIGHT = ("#ffffff", "#1d2125", ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#6c7680"))
_DARK = ("#14171a", "#e4e7ea", ("#56b4e9", "#e69f00", "#2fbf94", "#cc79a7", "#0072b2", "#d55e00", "#a2abb4"))
_GRID = "#8b949c"


@dataclass(frozen=True)
class Picture:
    """One figure as two PNGs, for light and for dark pages."""

    light: bytes
    dark: bytes


def drawn(draw: Callable[[], bytes]) -> Picture:
    """Returns the figure that `draw` makes, in the colours of light and of dark pages."""
    from cycler import cycler
    from matplotlib import rc_context

    found: list[bytes] = []
    for ground, ink, cycle in (_LIGHT, _DARK):
        inked = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
        settings: dict[Any, Any] = dict.fromkeys(inked, ink) | {"figure.facecolor": ground, "axes.facecolor": ground}
        settings |= {"axes.prop_cycle": cycler(color=cycle), "grid.color": _GRID}
        with rc_context(settings):
            found.append(draw())
    return Picture(*found)


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


def has_costs(rows: Sequence[ResultRow]) -> bool:
    """Returns whether planners can be drawn over cost: two or more of known FLOPs on one split."""
    return bool(_splits_over_cost(rows))


def _splits_over_cost(rows: Sequence[ResultRow]) -> list[str]:
    sized = {(row.split, row.planner) for row in rows if row.flops and not row.control}
    splits = dict.fromkeys(split for split, _ in sized)
    return sorted(split for split in splits if len({planner for other, planner in sized if other == split}) > 1)


def plot_costs(rows: Sequence[ResultRow]) -> bytes:
    """Returns accuracy over FLOPs a problem: a panel for each split; hollow before the first round, else full."""
    from matplotlib.figure import Figure

    splits, last = _splits_over_cost(rows), max(row.round for row in rows)
    shown = [row for row in rows if row.flops and not row.control and row.split in splits and row.round in (0, last)]
    planners = list(dict.fromkeys(row.planner for row in shown))
    figure = Figure(figsize=(4.6 * len(splits), 4), layout="constrained")
    for place, split in enumerate(splits, 1):
        axes = figure.add_subplot(1, len(splits), place)
        mine = [row for row in shown if row.split == split]
        for row in mine:
            number, height = planners.index(row.planner), row.accuracy
            aside = 1.05 ** (2 * number + (row.round > 0) - len(planners) + 0.5)  # planners may cost the same
            axes.errorbar(
                (row.flops or 0) / 1e6 * aside, height, yerr=[[height - row.ci95[0]], [row.ci95[1] - height]], fmt="o",
                color=f"C{number % 7}", markerfacecolor=f"C{number % 7}" if row.round else "none", capsize=3,
                linewidth=1, label=f"{row.planner}, {row.stage}",
            )  # fmt: skip
        axes.set_xscale("log")
        ticks = _apart(sorted((row.flops or 0) / 1e6 for row in mine))
        axes.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks])
        axes.minorticks_off()
        axes.set_ylim(-0.02, 1.02)
        axes.set_title(split, fontsize=10)
        axes.set_xlabel("MFLOPs a problem")
        if place == 1:
            axes.set_ylabel("accuracy")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return png(figure)


def _apart(costs: Sequence[float]) -> list[float]:
    """Returns rising costs without those less than half as large again as the one before, for labels on an axis."""
    found = list[float]()
    for cost in costs:
        if not found or cost > 1.5 * found[-1]:
            found.append(cost)
    return found


def png(figure: Figure) -> bytes:
    """Returns the figure as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, facecolor=figure.get_facecolor())
    return buffer.getvalue()
