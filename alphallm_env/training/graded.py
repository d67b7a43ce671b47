"""The data that critics are trained on: trajectories graded by final answers alone, and labelled steps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

from alphallm_env.runtime.files import Json
from alphallm_env.types import Option, State

CRITICS = ("value", "prm", "orm")


@dataclass(frozen=True)
class Sample:
    """One trajectory: its steps as β cuts them, and whether its final answer is correct."""

    problem_id: str
    question: str
    steps: tuple[str, ...]
    correct: bool


@dataclass(frozen=True)
class LabelledStep:
    """A step after its prefix, and the share of continuations through it that ended correctly."""

    question: str
    before: tuple[str, ...]
    step: str
    share_correct: float


@dataclass(frozen=True)
class ProblemData:
    """All that was sampled for one problem."""

    samples: tuple[Sample, ...]
    steps: tuple[LabelledStep, ...]

    def to_json(self) -> Json:
        """Returns the data as JSON, which `from_json` reads back."""
        return cast(Json, asdict(self))

    @staticmethod
    def from_json(record: Json) -> ProblemData:
        """Returns the data that `to_json` wrote."""
        fields = cast("dict[str, list[dict[str, Any]]]", record)
        samples = tuple(
            Sample(s["problem_id"], s["question"], tuple(s["steps"]), s["correct"]) for s in fields["samples"]
        )
        steps = tuple(
            LabelledStep(s["question"], tuple(s["before"]), s["step"], s["share_correct"]) for s in fields["steps"]
        )
        return ProblemData(samples, steps)


def state_after(question: str, steps: Sequence[str]) -> State:
    """Returns the state after these steps, as critics read it: their texts, with token counts of 0."""
    state = State("", question)
    for step in steps:
        state = state.child(Option(step, 0), None)
    return state


@dataclass(frozen=True)
class Item:
    """A state that a critic scores, and the outcome that the score predicts."""

    state: State
    outcome: bool


def items_of(data: Sequence[ProblemData], threshold: float) -> dict[str, list[Item]]:
    """Returns the items of each critic: every prefix (value), every labelled step (PRM), every end (ORM).

    Prefixes and ends are those of all samples, in their order.
    """
    items: dict[str, list[Item]] = {name: [] for name in CRITICS}
    for entry in data:
        for sample in entry.samples:
            path = list(state_after(sample.question, sample.steps).path())
            items["orm"].append(Item(path[0], sample.correct))
            items["value"] += [Item(state, sample.correct) for state in reversed(path)]
        for step in entry.steps:
            state = state_after(step.question, (*step.before, step.step))
            items["prm"].append(Item(state, step.share_correct >= threshold))
    return items


def prefix_counts(samples: Iterable[Sample]) -> dict[tuple[str, ...], tuple[int, int]]:
    """Returns, for every prefix of the samples' steps, how many samples pass it and how many end correctly."""
    counts: dict[tuple[str, ...], tuple[int, int]] = defaultdict(lambda: (0, 0))
    for sample in samples:
        for length in range(len(sample.steps) + 1):
            visits, correct = counts[sample.steps[:length]]
            counts[sample.steps[:length]] = (visits + 1, correct + sample.correct)
    return dict(counts)
