"""The contract of fine-tuners."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from alphallm_env.lm.revision import weights_digest

if TYPE_CHECKING:
    from alphallm_env.lm.local.transformers_lm import TransformersLM
    from alphallm_env.lm.prompts.templates import PromptTemplate

LessonType = TypeVar("LessonType", contravariant=True)
SettingsType = TypeVar("SettingsType", contravariant=True)


class FineTuned(Protocol):
    """What a fine-tuning returns, as far as the contract looks at it."""

    @property
    def loss(self) -> float:
        """The mean training loss."""
        ...

    @property
    def num_lessons(self) -> int:
        """How many lessons it learnt from."""
        ...


class TunesPolicies(Protocol[LessonType, SettingsType]):
    """A fine-tuner, whatever its lessons and settings are made of."""

    def fine_tune(
        self,
        lm: TransformersLM,
        template: PromptTemplate,
        lessons: Sequence[LessonType],
        settings: SettingsType,
        out: Path,
        logs: Path,
    ) -> FineTuned:
        """Trains the model and writes it, with its tokenizer, to the folder `out`."""
        ...


def check_fine_tuner(
    fine_tuner: TunesPolicies[LessonType, SettingsType],
    lessons: Sequence[LessonType],
    settings: SettingsType,
    policy: str | Path,
    folder: Path,
) -> None:
    """Checks that lessons become a model that can be loaded and differs, the same each time; that none are refused.

    `policy` is the folder of a small model to start from, `folder` an empty one to write to. Trains twice.
    """
    from alphallm_env.lm.local.transformers_lm import TransformersLM

    start = TransformersLM.load(policy, "cpu", "float32")
    start.model.save_pretrained(folder / "start")
    first = _trained(fine_tuner, lessons, settings, policy, folder / "first")
    assert first is not None, f"expected weights in safetensors in {folder / 'first'}, found none"
    assert first != weights_digest(folder / "start"), "fine-tuning must change the weights"
    second = _trained(fine_tuner, lessons, settings, policy, folder / "second")
    assert first == second, "the same lessons, settings and weights must give the same weights"
    out = folder / "none"
    try:
        _trained(fine_tuner, [], settings, policy, out)
    except ValueError:
        assert not out.exists() or not list(out.iterdir()), f"refused lessons must leave nothing behind in {out}"
    else:
        raise AssertionError("no lessons must raise ValueError")


def _trained(
    fine_tuner: TunesPolicies[LessonType, SettingsType],
    lessons: Sequence[LessonType],
    settings: SettingsType,
    policy: str | Path,
    out: Path,
) -> str | None:
    """Returns the digest of the weights that a fine-tuning of a fresh copy of the policy wrote."""
    from alphallm_env.lm.local.transformers_lm import TransformersLM
    from alphallm_env.lm.prompts.templates import template_for

    lm = TransformersLM.load(policy, "cpu", "float32")
    result = fine_tuner.fine_tune(lm, template_for(lm.tokenizer), lessons, settings, out, out.with_suffix(".logs"))
    assert math.isfinite(result.loss), f"the loss must be finite, got {result.loss}"
    assert 0 < result.num_lessons <= len(lessons), (
        f"num_lessons must be in [1, {len(lessons)}], got {result.num_lessons}"
    )
    TransformersLM.load(out, "cpu", "float32")  # raises ModelError where model or tokenizer is missing
    return weights_digest(out)
