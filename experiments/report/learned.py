"""Critics that the loop fitted: how well they tell right from wrong, and whether their scores mean what they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.report.document import escaped, table

Measured = Mapping[str, Any]  # an entry of `learned_critics` in results.json

_SIZE = 190  # of a diagram's two axes


def learned_critics(measures: Sequence[Measured]) -> str:
    """Returns reliability diagrams of the last critics that were fitted, and measures of all; nothing without any."""
    if not measures:
        return ""
    rows = [
        [
            found["stage"], found["critic"], found["level"] or "all", f"{found['auc']:.3f}", f"{found['ece']:.3f}",
            f"{found['num_states']:,}",
        ]
        for found in measures
    ]  # fmt: skip
    last = [found for found in measures if found["stage"] == measures[-1]["stage"] and found.get("bins")]
    note = "<p class='soft'>On problems of the round's searches that the critic was not fitted to.</p>"
    return _diagrams(last) + table(("stage", "critic", "level", "AUC", "ECE", "states"), rows, (0, 1, 2)) + note


def _diagrams(measures: Sequence[Measured]) -> str:
    """Returns a diagram for each critic and level: mean outcome by mean score, a dot a bin."""
    if not measures:
        return ""
    drawn = "".join(_diagram(found) for found in measures)
    return (
        f'<figure><div class="tiles">{drawn}</div><figcaption>Reliability after {escaped(measures[0]["stage"])}: the '
        "share that is right, by score. A dot is a bin, and its area grows with the scores in it. On the line a score "
        "is the probability that it claims to be.</figcaption></figure>"
    )


def _diagram(found: Measured) -> str:
    most = max(num for num, _, _ in found["bins"])
    dots = "".join(
        f'<circle class="point" cx="{30 + _SIZE * score:.1f}" cy="{10 + _SIZE * (1 - outcome):.1f}" '
        f'r="{2 + 7 * (num / most) ** 0.5:.1f}"><title>{num:,} scores around {score:.2f}: {outcome:.2f} right</title>'
        "</circle>"
        for num, score, outcome in found["bins"]
    )
    title = escaped(f"{found['critic']}, level {found['level']}" if found["level"] else found["critic"])
    end, floor = 30 + _SIZE, 10 + _SIZE
    return (
        f'<div><b>{title}</b><svg viewBox="0 0 {end + 12} {floor + 22}" role="img" aria-label="Reliability of {title}">'
        f'<path class="frame" d="M30 10 V{floor} H{end}"/><line class="axis" x1="30" y1="{floor}" x2="{end}" y2="10"/>'
        f'<text class="faint" x="24" y="{floor}" text-anchor="end">0</text><text class="faint" x="24" y="18" '
        f'text-anchor="end">1</text><text class="faint" x="{end}" y="{floor + 16}" text-anchor="middle">1</text>'
        f'<text class="faint" x="{30 + _SIZE // 2}" y="{floor + 16}" text-anchor="middle">score</text>'
        f"{dots}</svg></div>"
    )
