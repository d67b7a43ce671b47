"""Pictures of critics: reliability diagrams, and measures by depth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from alphallm_env.critics.measures import NUM_BINS, Quality, expected_calibration_error, reliability_bins
from experiments.runs.plots import png

_RAW, _CALIBRATED, _LINE = "#c2703d", "#1f4e79", "#888888"
_COLOURS = ("#1f4e79", "#c2703d", "#4d8a4d")
_FEWEST = 10  # scores in a bin, or at a depth, below which its point says nothing

Triple = tuple[Sequence[bool], Sequence[float], Sequence[float]]  # outcomes, raw scores, calibrated scores


def reliability_picture(critics: Mapping[str, Triple], title: str) -> bytes:
    """Returns a PNG: for each critic, mean outcome by score, raw and calibrated, and how the scores are spread.

    The bins are those of the ECE; those with fewer than ten scores have no point.
    """
    figure = Figure(figsize=(4 * len(critics), 5.2), layout="constrained")
    axes = figure.subplots(2, len(critics), squeeze=False, height_ratios=[3, 1], sharex=True)
    for column, (name, (outcomes, raw, calibrated)) in enumerate(critics.items()):
        upper, lower = axes[0][column], axes[1][column]
        upper.plot([0, 1], [0, 1], color=_LINE, linestyle=":", linewidth=1)
        for scores, label, colour in ((raw, "raw", _RAW), (calibrated, "calibrated", _CALIBRATED)):
            _curve(upper, scores, outcomes, label, colour)
            lower.hist(scores, bins=NUM_BINS, range=(0, 1), histtype="step", color=colour, linewidth=1.5)
        upper.set_title(f"{name}, {len(outcomes):,} scores")
        upper.set_ylim(-0.02, 1.02)
        upper.legend(frameon=False, loc="upper left")
        lower.set_xlabel("score")
        for part in (upper, lower):
            _plain(part)
    axes[0][0].set_ylabel("share correct")
    axes[1][0].set_ylabel("scores")
    figure.suptitle(title)
    return png(figure)


def _curve(axes: Axes, scores: Sequence[float], outcomes: Sequence[bool], label: str, colour: str) -> None:
    targets = [float(outcome) for outcome in outcomes]
    bins = [found for found in reliability_bins(scores, targets) if found.num_scores >= _FEWEST]
    ece = expected_calibration_error(scores, targets)
    axes.plot(
        [found.mean_score for found in bins], [found.mean_outcome for found in bins],
        marker="o", markersize=4, color=colour, label=f"{label}, ECE {ece:.3f}",
    )  # fmt: skip


def depth_picture(critics: Mapping[str, Mapping[int, Quality]]) -> bytes:
    """Returns a PNG of AUC and ECE by depth, in options taken; depths with fewer than ten scores are left out."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.subplots(1, 2)
    for (name, depths), colour in zip(critics.items(), _COLOURS, strict=False):
        known = {depth: found for depth, found in depths.items() if found.num_scores >= _FEWEST}
        for part, values in (
            (axes[0], {depth: found.auc for depth, found in known.items() if not math.isnan(found.auc)}),
            (axes[1], {depth: found.ece for depth, found in known.items()}),
        ):
            part.plot(list(values), list(values.values()), marker="o", markersize=4, color=colour, label=name)
    for part, label in zip(axes, ("AUC", "ECE"), strict=True):
        part.set_xlabel("options taken")
        part.set_title(label)
        part.xaxis.get_major_locator().set_params(integer=True)
        _plain(part)
    axes[0].set_ylim(0.4, 1.02)
    axes[1].set_ylim(bottom=0)
    axes[0].legend(frameon=False)
    return png(figure)


def _plain(axes: Axes) -> None:
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
