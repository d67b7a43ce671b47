"""The contract of fine-tuners passes what is right and names what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

import pytest
import torch

from alphallm_env.loading import TINY_POLICY
from alphallm_env.testing import check_fine_tuner


@dataclass(frozen=True)
class Result:
    loss: float
    num_lessons: int


class Nudge:
    """Moves the model's last norm by as much as there are lessons."""

    def size(self, lessons):
        return 0.01 * len(lessons)

    def fine_tune(self, lm, template, lessons, settings, out, logs):
        if not lessons:
            raise ValueError("expected lessons, got none")
        with torch.no_grad():
            lm.model.model.norm.weight += self.size(lessons)
        self.save(lm, out)
        return Result(0.5, len(lessons))

    def save(self, lm, out):
        lm.model.save_pretrained(out)
        lm.tokenizer.save_pretrained(out)


class Idle(Nudge):
    def size(self, lessons):
        return 0.0


class Moody(Nudge):
    calls = count(1)

    def size(self, lessons):
        return 0.01 * next(self.calls)


class Lenient(Nudge):
    def fine_tune(self, lm, template, lessons, settings, out, logs):
        return super().fine_tune(lm, template, lessons or ["x"], settings, out, logs) if lessons else Result(0.0, 1)


class Boastful(Nudge):
    def fine_tune(self, *arguments):
        super().fine_tune(*arguments)
        return Result(0.5, 99)


class Untidy(Nudge):
    def fine_tune(self, lm, template, lessons, settings, out, logs):
        out.mkdir(parents=True, exist_ok=True)
        (out / "notes.txt").write_text("begun")
        return super().fine_tune(lm, template, lessons, settings, out, logs)


def test_a_right_fine_tuner_passes(tmp_path):
    check_fine_tuner(Nudge(), ["one", "two"], None, TINY_POLICY, tmp_path)


@pytest.mark.parametrize(
    ("fine_tuner", "law"),
    [
        (Idle(), "must change the weights"),
        (Moody(), "must give the same weights"),
        (Lenient(), r"num_lessons must be in \[1, 0\]"),
        (Boastful(), r"num_lessons must be in \[1, 2\], got 99"),
        (Untidy(), "must leave nothing behind"),
    ],
)
def test_a_wrong_fine_tuner_is_named(fine_tuner, law, tmp_path):
    with pytest.raises(AssertionError, match=law):
        check_fine_tuner(fine_tuner, ["one", "two"], None, TINY_POLICY, tmp_path)
