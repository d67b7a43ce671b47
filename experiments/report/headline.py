"""What a run of the loop showed, first: its largest gains, with intervals, beside its controls."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.report.document import escaped, raw_table
from experiments.runs.results import ResultRow

Gain = Mapping[str, Any]  # an entry of `gains` in results.json

_GREEDY, _BEFORE = "greedy", "before"


def gains_in_words(folder: Path, rounds: int) -> list[str]:
    """Returns a line for greedy's gains after the last round, and for each search over another planner.

    They are those of the run's `results.json`, which has the other planners' too.
    """
    gains = json.loads((folder / "results.json").read_text())["gains"]
    others = ("checked_rerank", "orm_rerank", "majority")
    told = [gain for gain in gains if gain["planner"] == _GREEDY or gain["over"] in others]
    return [f"after {rounds} rounds, {_in_words(found)}" for found in told]


def _in_words(found: Gain) -> str:
    return (
        f"{found['planner']} on {found['split']} over {found['over']}: {found['gain']:+.3f} "
        f"(paired 95 %: {_interval(found)})"
    )


def _interval(found: Gain) -> str:
    low, high = found["ci95"]
    return f"{low:+.3f} to {high:+.3f}"


def headline(gains: Sequence[Gain], rows: Sequence[ResultRow]) -> str:
    """Returns what the run showed: sentences, then the largest gain over each thing it is compared with."""
    sentences = (_greedy_sentence(gains, rows), _control_sentence(gains, rows), *_search_sentences(gains, rows))
    said = [sentence for sentence in sentences if sentence]
    lead = "".join(f'<p class="lead">{escaped(sentence)}</p>' for sentence in said[:1])
    others = "".join(f"<li>{escaped(sentence)}</li>" for sentence in said[1:])
    tiles = "".join(_tile(found) for found in _largest(gains, rows))
    return f'{lead}<ul>{others}</ul><div class="tiles">{tiles}</div>'


def _largest(gains: Sequence[Gain], rows: Sequence[ResultRow]) -> list[Gain]:
    """Returns greedy's largest gain over before and over each control, and the gains of a search over a planner."""
    planners = {row.planner for row in rows}
    greedy = [gain for gain in gains if gain["planner"] == _GREEDY]
    overs = dict.fromkeys(gain["over"] for gain in greedy)
    largest = [max((g for g in greedy if g["over"] == over), key=lambda g: float(g["gain"])) for over in overs]
    return largest + [gain for gain in gains if gain["over"] in planners and gain["planner"] != _GREEDY]


def _greedy_sentence(gains: Sequence[Gain], rows: Sequence[ResultRow]) -> str:
    mine = [gain for gain in gains if (gain["planner"], gain["over"]) == (_GREEDY, _BEFORE)]
    if not mine:
        return ""
    best = max(mine, key=lambda gain: float(gain["gain"]))
    course = [row for row in rows if (row.planner, row.split, row.control) == (_GREEDY, best["split"], "")]
    course.sort(key=lambda row: row.round)
    among = f", the best of {len(mine)} splits" if len(mine) > 1 else ""
    went = f"from {course[0].accuracy:.3f} to {course[-1].accuracy:.3f} " if course else ""
    said = (
        f"Greedy decoding went {went}on {best['split']}{among}: {best['gain']:+.3f} "
        f"(95 % interval {_interval(best)}{_caution(best)})."
    )
    lost = [gain for gain in mine if gain["ci95"][1] < 0]
    worse = "; ".join(f"{gain['split']} {gain['gain']:+.3f} ({_interval(gain)})" for gain in lost)
    return f"{said} It got worse on {worse}." if lost else said


def _caution(found: Gain) -> str:
    low, high = found["ci95"]
    return ", which includes zero" if low <= 0 <= high else ""


def _control_sentence(gains: Sequence[Gain], rows: Sequence[ResultRow]) -> str:
    planners = {row.planner for row in rows}
    controls = [gain for gain in _largest(gains, rows) if gain["over"] not in planners | {_BEFORE}]
    if not controls:
        return "No control ran beside it, so the run cannot tell which part of the loop a gain is due to."
    said = "; ".join(
        f"over {gain['over'].replace('_', ' ')} {gain['gain']:+.3f} on {gain['split']} "
        f"({_interval(gain)}{_caution(gain)})"
        for gain in controls
    )
    return f"Beside its controls, the largest differences of greedy are {said}."


def _search_sentences(gains: Sequence[Gain], rows: Sequence[ResultRow]) -> list[str]:
    """Returns what search gives over greedy, as accuracies, and over the other planner at its cost, as a difference."""
    planners = {row.planner for row in rows}
    said: list[str] = []
    for gain in gains:
        if gain["planner"] == _GREEDY or gain["over"] not in planners:
            continue
        last = {row.planner: row for row in rows if row.split == gain["split"] and not row.control and row.round}
        solved = [f"{name} solves {_solved(last[name])}" for name in (gain["planner"], _GREEDY) if name in last]
        said.append(
            f"After the last round, on {gain['split']}, {', '.join(solved)}{'; ' if solved else ''}{gain['planner']} "
            f"beside {gain['over']} at equal cost: {gain['gain']:+.3f} ({_interval(gain)}{_caution(gain)})."
        )
    return said


def _solved(row: ResultRow) -> str:
    low, high = row.ci95
    return f"{row.accuracy:.3f} ({low:.3f} to {high:.3f}) of {row.num_problems:,} problems"


def _tile(found: Gain) -> str:
    low, high = found["ci95"]
    kind, verdict = (
        ("above", "▲ interval above zero") if low > 0
        else ("below", "▼ interval below zero") if high < 0
        else ("", "● interval includes zero")
    )  # fmt: skip
    title = f"{found['planner']} over {found['over'].replace('_', ' ')}, {found['split']}"
    return (
        f'<div class="tile {kind}"><span>{escaped(title)}</span><b>{found["gain"]:+.3f}</b>'
        f"<span>95 %: {_interval(found)}</span><span>{verdict}</span></div>"
    )


def differences(gains: Sequence[Gain]) -> str:
    """Returns every difference after the last round as a table, with its interval drawn."""
    reach = max([abs(end) for gain in gains for end in gain["ci95"]], default=0.0) or 1.0
    rows = [
        [
            *(escaped(gain[name]) for name in ("planner", "split", "over")), f"{gain['gain']:+.3f}",
            _interval(gain), _drawn(gain, reach),
        ]
        for gain in gains
    ]  # fmt: skip
    columns = ("planner", "on", "over", "difference", "95 % interval", f"−{reach:.2f} to +{reach:.2f}")
    note = "<p class='soft'>Accuracy after the last round, minus that of what it is compared with on the same problems."
    return f"{raw_table(columns, rows, (0, 1, 2))}{note} Intervals are paired 95 % percentile bootstraps.</p>"


def _drawn(found: Gain, reach: float) -> str:
    def at(value: float) -> float:
        return 88 + 80 * value / reach

    low, high = found["ci95"]
    return (
        '<svg class="spread" viewBox="0 0 176 18" aria-hidden="true">'
        '<line class="axis" x1="88" x2="88" y1="0" y2="18"/>'
        f'<line class="interval" x1="{at(low):.1f}" x2="{at(high):.1f}" y1="9" y2="9"/>'
        f'<circle class="point" cx="{at(found["gain"]):.1f}" cy="9" r="4"/></svg>'
    )
