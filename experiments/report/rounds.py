"""The rounds of the loop on its page: the picture of the loop, questions, lessons and losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from experiments.report.document import escaped, table
from experiments.runs.search_records import SearchRecord

_LESSONS_SHOWN = 6
_QUESTIONS_SHOWN = 10


@dataclass(frozen=True)
class Round:
    """What one round of the loop did.

    `imagined` is the record of its imagination: `problems`, `num_written`, `wanted`, `num_refused` by reason, `refused`
    as pairs of a question and its reason. `loss` is the mean of its fine-tuning, None where it is not known.
    """

    imagined: Mapping[str, Any]
    num_searches: int
    num_solved: int
    num_simulations: int
    num_lessons: int
    loss: float | None = None
    control_losses: Mapping[str, float] = field(default_factory=dict[str, float])  # by control, of the same round

    @property
    def num_kept(self) -> int:
        """Questions that it kept of those written."""
        return len(self.imagined["problems"])


def loop_picture(rounds: Sequence[Round], threshold: float | None) -> str:
    """Returns the loop as SVG, with the sums over all rounds at its arrows.

    `threshold` is the ORM score from which a trajectory is kept, where it is known.
    """
    written = sum(found.imagined["num_written"] for found in rounds)
    searches, solved = sum(found.num_searches for found in rounds), sum(found.num_solved for found in rounds)
    lessons, losses = sum(found.num_lessons for found in rounds), [r.loss for r in rounds if r.loss is not None]
    course = f", loss {losses[0]:.3f} → {losses[-1]:.3f}" if losses else ""
    verifier = "scores them" if threshold is None else f"keeps ORM ≥ {threshold:g}"
    boxes = zip(
        ("imagine", "search", "criticise", "distil"),
        ("writes questions", "solves them", verifier, "learns from them"),
        strict=True,
    )
    labels = (
        (f"{sum(found.num_kept for found in rounds):,} kept", f"of {written:,} written"),
        (f"{searches:,} searches", f"{sum(found.num_simulations for found in rounds):,} sim."),
        (f"{solved / max(1, searches):.1%} solved", f"{lessons:,} lessons"),
    )
    drawn = "".join(_box(264 * place, *texts) for place, texts in enumerate(boxes))
    drawn += "".join(_arrow(264 * place + 140, *texts) for place, texts in enumerate(labels))
    back = (
        f"{len(rounds)} round{'s' if len(rounds) > 1 else ''}: the policy that has learnt begins the next one{course}"
    )
    return (
        '<div class="scroll"><svg class="wide" viewBox="0 0 932 165" role="img" aria-label="The loop, with its sums">'
        f'{drawn}<path class="arrow" d="M862 82 V135 H70 V92"/><path class="tip" d="M70 82 l-6 11 h12 z"/>'
        f'<text x="465" y="156" text-anchor="middle">{escaped(back)}</text></svg></div>'
    )


def _box(left: int, title: str, subtitle: str) -> str:
    return (
        f'<rect class="box" x="{left + 1}" y="21" width="138" height="60" rx="8"/>'
        f'<text class="strong" x="{left + 70}" y="47" text-anchor="middle">{escaped(title)}</text>'
        f'<text class="faint" x="{left + 70}" y="67" text-anchor="middle">{escaped(subtitle)}</text>'
    )


def _arrow(left: int, above: str, below: str) -> str:
    return (
        f'<path class="arrow" d="M{left + 4} 51 H{left + 110}"/><path class="tip" d="M{left + 120} 51 l-11 -6 v12 z"/>'
        f'<text x="{left + 62}" y="39" text-anchor="middle">{escaped(above)}</text>'
        f'<text x="{left + 62}" y="72" text-anchor="middle">{escaped(below)}</text>'
    )


def rounds_table(rounds: Sequence[Round]) -> str:
    """Returns a line for each round: questions, searches, lessons, and the losses of the loop and its controls."""
    controls = list(dict.fromkeys(control for found in rounds for control in found.control_losses))
    columns = ["round", "written", "kept", "searches", "solved", "lessons", "loss"]
    rows = [
        [
            number, f"{found.imagined['num_written']:,}", f"{found.num_kept:,}", f"{found.num_searches:,}",
            f"{found.num_solved / max(1, found.num_searches):.1%}", f"{found.num_lessons:,}", _loss(found.loss),
            *(_loss(found.control_losses.get(control)) for control in controls),
        ]
        for number, found in enumerate(rounds, 1)
    ]  # fmt: skip
    return table([*columns, *(f"loss of {control.replace('_', ' ')}" for control in controls)], rows)


def _loss(loss: float | None) -> str:
    return "" if loss is None else f"{loss:.4f}"


def questions(rounds: Sequence[Round]) -> str:
    """Returns how many questions each round wanted and refused, by reason, with examples of the last one."""
    rows = [
        [number, _counts(found.imagined["wanted"]), _counts(found.imagined["num_refused"])]
        for number, found in enumerate(rounds, 1)
    ]
    last = rounds[-1].imagined
    kept = "\n".join(problem["question"] for problem in last["problems"][:_QUESTIONS_SHOWN])
    return (
        f"{table(('round', 'wanted, by level', 'refused, by reason'), rows, (0, 1, 2))}"
        f"<h3>Kept in the last round, for example</h3><pre>{escaped(kept)}</pre>"
        f"<h3>Refused in the last round, for example</h3>{table(('question', 'reason'), last['refused'], (0, 1))}"
    )


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name or 'all'}: {num:,}" for name, num in counts.items())


def lessons(records: Sequence[SearchRecord]) -> str:
    """Returns a few lessons with what their search tried on the way."""
    shown = "".join(
        f"<details{' open' if number == 0 else ''}><summary>{escaped(record.problem.question)}</summary>"
        f"<pre>{escaped(record.best.state.text.strip())}</pre>{_decisions(record)}</details>"
        for number, record in enumerate(records[:_LESSONS_SHOWN])
    )
    return f"<p>{len(records):,} searches of the last round gave one.</p>{shown}"


def _decisions(record: SearchRecord) -> str:
    """Returns the tree along the way that was kept: at each node what was tried, with visits and values."""
    lines = [
        f"{'  ' * depth}{'>' if place == decision.chosen else ' '} {option.text.strip()}"
        f"   visits {option.visit_count}, value {option.value:.2f}"
        for depth, decision in enumerate(record.decisions)
        for place, option in enumerate(decision.options)
    ]
    cost = f"{record.usage.simulations} simulations, {record.num_nodes} nodes, {record.usage.tokens} tokens"
    tree = "\n".join(lines)
    return f'<p class="soft">{escaped(cost)}</p>' + (f"<pre>{escaped(tree)}</pre>" if tree else "")
