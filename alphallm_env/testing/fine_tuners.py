"""The contract of fine-tuners."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from alphallm_env.training.base import FineTuner, FineTuning, Lesson

if TYPE_CHECKING:
    from alphallm_env.lm.local.transformers_lm import TransformersLM
    from alphallm_env.lm.prompts import PromptTemplate

_SETTINGS = FineTuning(epochs=1, batch_size=2, lr=1e-3)


def check_fine_tuner(
    fine_tuner: FineTuner,
    load: Callable[[], TransformersLM],
    template: PromptTemplate,
    lessons: Sequence[Lesson],
    folder: Path,
) -> None:
    """Checks that lessons change the weights, that a policy is written, and that the same lessons give the same one.

    `load` returns a fresh copy of the policy's model each time it is called. `folder` is an empty one to write to.
    Without a lesson, ValueError must be raised and nothing written.
    """

    def written(name: str) -> dict[str, bytes]:
        out = folder / name
        result = fine_tuner.fine_tune(load(), template, lessons, _SETTINGS, out, folder / f"{name}-logs")
        assert math.isfinite(result.loss), f"the loss must be finite, got {result.loss}"
        assert 0 < result.num_lessons <= len(lessons), (
            f"expected 1 to {len(lessons)} lessons to be learnt from, got {result.num_lessons}"
        )
        weights = {path.name: path.read_bytes() for path in sorted(out.glob("*.safetensors"))}
        assert weights, f"expected weights as safetensors in {out}, found {sorted(p.name for p in out.iterdir())}"
        return weights

    one, other = written("one"), written("other")
    assert one == other, "the same lessons, settings and weights must give the same weights, bit for bit"
    before = folder / "before"
    load().model.save_pretrained(before)
    untouched = {path.name: path.read_bytes() for path in sorted(before.glob("*.safetensors"))}
    assert one != untouched, "the weights must change: nothing was learnt"
    lm = type(load()).load(folder / "one", "cpu")
    assert lm.count_tokens(template.solve(lessons[0].question, "")) > 0, "the policy's tokenizer must be written too"
    try:
        fine_tuner.fine_tune(load(), template, [], _SETTINGS, folder / "none", folder / "none-logs")
    except ValueError:
        assert not (folder / "none").exists(), "nothing must be written where there is no lesson"
    else:
        raise AssertionError("no lesson at all must raise ValueError")
