"""The one-page HTML report of a run: a plot, its results table, its settings."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Sequence
from pathlib import Path

from alphallm_env.runtime.files import Json, write_whole
from experiments.runs.results import ResultRow

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100% } th, td { padding: .3rem .6rem; text-align: right }
th { border-bottom: 2px solid #222 } td { border-bottom: 1px solid #ddd }
th:nth-child(-n+3), td:nth-child(-n+3) { text-align: left }
img { max-width: 100% } pre { background: #f6f6f4; padding: .8rem; white-space: pre-wrap }
"""
_COLOURS = {"before": "#9aa5b1", "round1": "#5b8db8", "round2": "#1f4e79"}


def write_report(folder: Path, rows: Sequence[ResultRow], results: dict[str, Json], config: dict[str, Json]) -> None:
    """Writes `report.html` into the run's folder: self-contained, nothing is fetched by it."""
    revision = (folder / "revision.txt").read_text().strip()
    page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Self-improvement of {_text(config["policy"])}</title>
<style>{_STYLE}</style></head><body>
<h1>Self-improvement of the policy “{_text(config["policy"])}”</h1>
<p>{_headline(results)}</p>
<img alt="accuracy by planner and stage" src="data:image/png;base64,{base64.b64encode(plot(rows)).decode()}">
<h2>Results</h2>
{_table(rows)}
<p>Intervals are 95 % percentile bootstraps over problems. Tokens are all that were generated or scored:
by the policy, by rollouts and by critics.</p>
<h2>Settings</h2>
<pre>{_text(json.dumps(config, indent=1))}\nrevision {_text(revision)}</pre>
</body></html>
"""
    write_whole(folder / "report.html", page)


def gains_in_words(folder: Path, rounds: int) -> list[str]:
    """Returns a line for each planner's gain, as the run's `results.json` has it."""
    gains = json.loads((folder / "results.json").read_text())["gain_after_last_round"]
    return [
        f"{planner}: {found['gain']:+.3f} after {rounds} rounds "
        f"(paired 95 %: {found['ci95'][0]:+.3f} to {found['ci95'][1]:+.3f})"
        for planner, found in gains.items()
    ]


def _text(value: object) -> str:
    return html.escape(str(value))


def _headline(results: dict[str, Json]) -> str:
    gains = results["gain_after_last_round"]
    assert isinstance(gains, dict)
    parts: list[str] = []
    for planner, gain in gains.items():
        assert isinstance(gain, dict)
        interval = gain["ci95"]
        assert isinstance(interval, list)
        low, high = (float(str(end)) for end in interval)
        value = float(str(gain["gain"]))
        parts.append(f"{_text(planner)} {100 * value:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f})")
    return "Gain after the last round, paired by problem: " + "; ".join(parts) + "."


def _table(rows: Sequence[ResultRow]) -> str:
    head = "".join(
        f"<th>{name}</th>"
        for name in ("stage", "split", "planner", "accuracy", "95 % interval", "problems", "tokens/problem")
    )
    body = "".join(
        f"<tr><td>{_text(row.stage)}</td><td>{_text(row.split)}</td><td>{_text(row.planner)}</td>"
        f"<td>{row.accuracy:.3f}</td><td>{row.ci95[0]:.3f}–{row.ci95[1]:.3f}</td>"
        f"<td>{row.num_problems}</td><td>{row.tokens_per_problem:,.0f}</td></tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def plot(rows: Sequence[ResultRow]) -> bytes:
    """Returns a PNG of accuracy by planner, one bar a stage, with intervals; the test split only."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    tested = [row for row in rows if row.split == "test"]
    planners = list(dict.fromkeys(row.planner for row in tested))
    stages = list(dict.fromkeys(row.stage for row in tested))
    figure = Figure(figsize=(9, 4), layout="constrained")
    FigureCanvasAgg(figure)
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
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
