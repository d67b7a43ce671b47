"""Lessons and fine-tuners by name."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from alphallm_env.training.base import FINE_TUNERS, Decision, Lesson, SearchedOption

LAZY = '''
class Lazy:
    """Learns nothing."""

    def fine_tune(self, lm, template, lessons, settings, out, logs):
        raise ValueError("no")


made = Lazy()
'''


@pytest.fixture
def user_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "lazy_tuner.py").write_text(LAZY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "lazy_tuner", raising=False)
    importlib.invalidate_caches()
    return "lazy_tuner"


def test_fine_tuners_are_found_by_name(user_module: str):
    assert type(FINE_TUNERS.resolve("sft")).__name__ == "SupervisedFineTuner"
    for attribute in ("Lazy", "made"):
        assert type(FINE_TUNERS.resolve(f"{user_module}:{attribute}")).__name__ == "Lazy"


def test_a_wrong_name_lists_the_right_ones():
    names = "sft, weighted_sft, dpo, kto, module:attribute"
    with pytest.raises(ValueError, match=f"fine-tuner must be one of {names}, got 'ppo'"):
        FINE_TUNERS.resolve("ppo")
    with pytest.raises(ValueError, match="expected an object with a method fine_tune, got float"):
        FINE_TUNERS.resolve("math:pi")


def test_what_cannot_be_a_lesson_is_refused():
    with pytest.raises(ValueError, match=r"weight must be >= 0, got -1"):
        Lesson("Q?", "#### 1", weight=-1.0)
    with pytest.raises(ValueError, match="index of one of 1 options, got 1"):
        Decision("", (SearchedOption("a\n", 3, 0.5),), chosen=1)
