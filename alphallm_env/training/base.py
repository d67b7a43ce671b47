"""Lessons in, weights out: what a policy is fine-tuned on, what a fine-tuner is, and fine-tuners by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

from alphallm_env.registry import Registry
from alphallm_env.types import ScoreKind

if TYPE_CHECKING:
    from alphallm_env.lm.local.transformers_lm import TransformersLM
    from alphallm_env.lm.prompts import PromptTemplate


@dataclass(frozen=True)
class ScoredSolution:
    """A whole solution and its score in [0, 1], of the same kind as that of the lesson it belongs to."""

    solution: str
    score: float


@dataclass(frozen=True)
class SearchedOption:
    """An option that a search tried: its text, how often it was visited, and the mean of the returns, its value."""

    text: str
    visit_count: int
    value: float


@dataclass(frozen=True)
class Decision:
    """The options that a search tried after `prefix`, the text before them; `chosen` is the index of the one taken."""

    prefix: str
    options: tuple[SearchedOption, ...]
    chosen: int

    def __post_init__(self) -> None:
        if not 0 <= self.chosen < len(self.options):
            raise ValueError(f"chosen must be the index of one of {len(self.options)} options, got {self.chosen}")


@dataclass(frozen=True)
class Lesson:
    """A question, the solution that the policy should learn to write, and what a search found beside it.

    Imitation needs the first two. Preference methods (DPO and its kin) compare the solution with `rejected`, whole
    solutions of the same question, or at each of `decisions` the option taken with its siblings; expert iteration
    needs the visit counts there. `score` is in [0, 1], and `score_kind` says what gave it. `weight` is how
    much the lesson counts beside others, `round` the round of the loop that found it, from 1.

    `prefix` is text of the solution before `solution`, which is given and not learnt. Where `is_whole` is not set, the
    solution breaks off, and its end is not learnt either.
    """

    question: str
    solution: str
    score: float = 1.0
    score_kind: ScoreKind = ScoreKind.ORM
    weight: float = 1.0
    rejected: tuple[ScoredSolution, ...] = ()
    decisions: tuple[Decision, ...] = ()
    round: int = 1
    prefix: str = ""
    is_whole: bool = True

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise ValueError(f"weight must be >= 0, got {self.weight}")


@dataclass(frozen=True)
class FineTuning:
    """Settings of one fine-tuning. A lesson longer than `max_length` tokens is an error: none is ever cut.

    The length is that of prompt and solution together; None is what the model can read.
    """

    epochs: int = 3
    batch_size: int = 32
    lr: float = 1e-3  # the highest; it rises over `warmup_share` of the steps and then falls to 0
    warmup_share: float = 0.1
    max_length: int | None = None
    seed: int = 0
    lora_rank: int = 0  # of LoRA matrices, beside frozen linear layers; 0: all weights are trained

    def __post_init__(self) -> None:
        if self.lora_rank < 0:
            raise ValueError(f"lora_rank must be >= 0, got {self.lora_rank}")
        for name in ("epochs", "batch_size", "max_length"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be >= 1, got {value}")


@dataclass(frozen=True)
class FineTuneResult:
    """The mean training loss, in the method's own unit, and how many of the lessons it learnt from."""

    loss: float
    num_lessons: int


@runtime_checkable
class FineTuner(Protocol):
    """Turns lessons into weights. `alphallm_env.testing.check_fine_tuner` is its contract."""

    def fine_tune(
        self,
        lm: TransformersLM,
        template: PromptTemplate,
        lessons: Sequence[Lesson],
        settings: FineTuning,
        out: Path,
        logs: Path,
    ) -> FineTuneResult:
        """Trains the model, which is the caller's own copy, and writes model and tokenizer to the folder `out`.

        `template` turns a question into the prompt that the policy is taught to answer. Event files of TensorBoard go
        to the folder `logs`. The same lessons, settings and weights give the same weights. Raises ValueError, before it
        writes anything, for lessons that it cannot learn from: none at all, or one that is too long.
        """
        ...


def _accepted(found: object) -> FineTuner:
    """Returns a fine-tuner, made first where `found` is a class or a function without arguments."""
    if isinstance(found, type) or (callable(found) and not isinstance(found, FineTuner)):
        found = cast("Callable[[], object]", found)()
    if not isinstance(found, FineTuner):
        raise TypeError(f"expected an object with a method fine_tune, got {type(found).__name__}")
    return found


FINE_TUNERS: Registry[FineTuner] = Registry(
    "fine-tuner",
    {
        "sft": "alphallm_env.training.sft:SupervisedFineTuner",
        "weighted_sft": "alphallm_env.training.sft:WeightedFineTuner",
        "dpo": "alphallm_env.training.preference:DirectPreference",
        "kto": "alphallm_env.training.preference:LabelledOptions",
    },
    _accepted,
)
