"""The page of a comparison: hostile names stay text, and the headline has the best of both kinds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.field.curves import Curve
from experiments.field.page import figure_of, write_page
from experiments.runs.plots import Picture

HOSTILE = "<script>alert(1)</script>"
COSTS = dict.fromkeys(
    ("flops", "computed", "tokens", "generated", "simulations", "depth", "choice_share", "seconds"), 2
)


def row(planner: str, is_tree: bool, budget: int, accuracy: float) -> dict[str, Any]:
    return COSTS | {
        "problems": HOSTILE, "planner": planner, "is_tree": is_tree, "multiple": 1, "budget": budget,
        "num_problems": 4, "accuracy": accuracy, "ci95": (accuracy - 0.1, accuracy + 0.1), "pass_at_k": 1.0,
    }  # fmt: skip


def test_the_page_of_a_comparison(tmp_path: Path):
    (tmp_path / "revision.txt").write_text("abc\n")
    rows = [
        row("greedy", False, 0, 0.9), row("tree", True, 50, 0.8), row("tree", True, 100, 0.5),
        row("other", True, 100, 0.4), row(HOSTILE, False, 100, 0.6),
    ]  # fmt: skip
    sentences = {"": [f"first {HOSTILE}"], HOSTILE: ["second"], "none": []}
    write_page(tmp_path, rows, sentences, {HOSTILE: Picture(b"light", b"dark")}, {HOSTILE: HOSTILE}, HOSTILE)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "at a budget of 100: tree 0.500 (0.400–0.600) against &lt;script&gt;" in page
    assert page.index("first &lt;") < page.index("<nav") < page.index("second")
    assert ">none<" not in page


@pytest.mark.parametrize("num_panels", [1, 3])
def test_the_legend_lies_within_the_picture(num_panels: int):
    names = ["eta_mcts_plus,selection=puct,stop_at=1", *(f"planner_{number}" for number in range(13))]
    found = [Curve(name, np.full((2, 4), 0.5), np.array([10.0, 40.0])) for name in names]
    figure = figure_of({f"level {number}": found for number in range(num_panels)}, names[:3], "flops")
    figure.canvas.draw()
    [legend] = figure.legends
    assert len(legend.get_texts()) == len(names)
    drawn, whole = legend.get_window_extent(), figure.bbox
    assert whole.x0 <= drawn.x0 < drawn.x1 <= whole.x1
    assert whole.y0 <= drawn.y0 < drawn.y1 < 0.4 * whole.y1
