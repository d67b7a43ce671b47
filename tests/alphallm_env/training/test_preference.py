"""Preferences: which pairs and labels a search gives, and that the policy comes to prefer what it took."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.lm.prompts import TinyTemplate
from alphallm_env.lm.shipped import TINY_POLICY
from alphallm_env.testing import check_fine_tuner
from alphallm_env.training import preference
from alphallm_env.training.base import FINE_TUNERS, Decision, FineTuning, Lesson, ScoredSolution, SearchedOption
from alphallm_env.training.sft import SupervisedFineTuner

TEMPLATE = TinyTemplate()
QUESTION = "A kid has {n} books. His sister has 2 more. How many does she have?"
LESSONS = [
    Lesson(
        QUESTION.format(n=n), f"{n} + 2 = {n + 2}\n#### {n + 2}\n",
        rejected=(ScoredSolution(f"{n} * 2 = {n * 2}\n#### {n * 2}\n", 0.0),),
        decisions=(
            Decision(
                "",
                (SearchedOption(f"{n} + 2 = {n + 2}\n", 5, 0.9), SearchedOption(f"{n} - 2 = {n - 2}\n", 2, 0.1)),
                chosen=0,
            ),
        ),
    )
    for n in range(3, 7)
]  # fmt: skip
CONFIG = FineTuning(epochs=2, batch_size=4, lr=1e-3)
FINE_TUNERS_OF_PREFERENCES = [preference.DirectPreference(lr_share=0.3), preference.LabelledOptions(lr_share=0.3)]


def load(dtype: str = "float32") -> TransformersLM:
    return TransformersLM.load(TINY_POLICY, device="cpu", dtype=dtype)


def log_prob(lm: TransformersLM, question: str, text: str) -> float:
    """Returns the log-probability of the text after the question."""
    prompt, whole = lm.vocabulary.encode([TEMPLATE.solve(question, more) for more in ("", text)])
    with torch.inference_mode():
        log_probs = lm.model(input_ids=torch.tensor([whole])).logits[0].float().log_softmax(-1)
    return sum(log_probs[place - 1, whole[place]].item() for place in range(len(prompt), len(whole)))


def leads(lm: TransformersLM) -> list[float]:
    """Returns by how much each lesson's solution and option are likelier than what was rejected."""
    found: list[float] = []
    for lesson in LESSONS:
        chosen, other = (option.text for option in lesson.decisions[0].options)
        for one, rejected in ((lesson.solution, lesson.rejected[0].solution), (chosen, other)):
            found.append(log_prob(lm, lesson.question, one) - log_prob(lm, lesson.question, rejected))
    return found


def test_pairs_are_what_was_taken_and_what_was_worse_by_the_margin():
    options = (
        SearchedOption("a\n", 3, 0.2),
        SearchedOption("b\n", 9, 0.9),
        SearchedOption("c\n", 2, 0.6),
        SearchedOption("b\n", 1, 0.0),
    )
    lesson = Lesson(
        "q", "b\nd\n", score=1.0, decisions=(Decision("x\n", options, 1),),
        rejected=(ScoredSolution("a\n", 0.0), ScoredSolution("b\ne\n", 0.8), ScoredSolution("b\nd\n", 0.0)),
    )  # fmt: skip
    assert list(preference.pairs_of(lesson, 0.5)) == [
        preference.Pair("q", "", "b\nd\n", "a\n", is_whole=True),
        preference.Pair("q", "x\n", "b\n", "a\n", is_whole=False),
    ]
    assert len(list(preference.pairs_of(lesson, 0.1))) == 4
    several = replace(lesson, rejected=tuple(ScoredSolution(text, 0.0) for text in "vwxyz"))
    chosen = preference.chosen_pairs(several, 0.1, 2)
    assert [pair.rejected for pair in chosen] == ["v", "w", "a\n", "c\n"]


@pytest.mark.parametrize("fine_tuner", FINE_TUNERS_OF_PREFERENCES)
def test_what_was_taken_gains_on_what_was_rejected_beyond_imitation(fine_tuner, tmp_path: Path):
    imitating, preferring = load(), load()
    SupervisedFineTuner().fine_tune(imitating, TEMPLATE, LESSONS, CONFIG, tmp_path / "sft", tmp_path / "logs")
    result = fine_tuner.fine_tune(preferring, TEMPLATE, LESSONS, CONFIG, tmp_path / "policy", tmp_path / "logs")
    assert sum(leads(preferring)) > sum(leads(imitating)) + 1.0
    assert result.num_lessons == len(LESSONS)
    written = TransformersLM.load(tmp_path / "policy", device="cpu")
    assert leads(written) == pytest.approx(leads(preferring), abs=1e-3)


@pytest.mark.parametrize("fine_tuner", FINE_TUNERS_OF_PREFERENCES)
def test_it_keeps_the_contract(fine_tuner, tmp_path: Path):
    check_fine_tuner(fine_tuner, load, TEMPLATE, LESSONS, tmp_path)


@pytest.mark.parametrize("fine_tuner", FINE_TUNERS_OF_PREFERENCES)
def test_lessons_without_anything_rejected_are_imitated(fine_tuner, tmp_path: Path):
    alone = [replace(lesson, rejected=(), decisions=()) for lesson in LESSONS]
    imitating, preferring = load(), load()
    SupervisedFineTuner().fine_tune(imitating, TEMPLATE, alone, CONFIG, tmp_path / "sft", tmp_path / "logs")
    fine_tuner.fine_tune(preferring, TEMPLATE, alone, CONFIG, tmp_path / "policy", tmp_path / "logs")
    assert leads(preferring) == leads(imitating)


@pytest.mark.parametrize("fine_tuner", FINE_TUNERS_OF_PREFERENCES)
def test_a_rejected_text_that_is_too_long_is_refused_not_cut(fine_tuner, tmp_path: Path):
    long = replace(LESSONS[0], rejected=(ScoredSolution("1 + 1 = 2\n" * 40, 0.0),))
    settings = replace(CONFIG, max_length=100)
    with pytest.raises(ValueError, match=r"at most 100 tokens, got one of \d+"):
        fine_tuner.fine_tune(load(), TEMPLATE, [long, *LESSONS], settings, tmp_path / "policy", tmp_path / "logs")
    assert not (tmp_path / "policy").exists()


def test_options_have_no_end_and_solutions_have_one():
    lm = load()
    rows = [preference._pair_row(pair, lm, TEMPLATE) for pair in preference.pairs_of(LESSONS[0], 0.5)]  # pyright: ignore[reportPrivateUsage]
    whole, option = rows
    assert lm.tokenizer.decode(whole["rejected_ids"]) == "3 * 2 = 6\n#### 6\n<|end|>"
    assert lm.tokenizer.decode(option["chosen_ids"]) == "3 + 2 = 5\n"
    assert lm.tokenizer.decode(option["prompt_ids"] + option["rejected_ids"]).endswith("3 - 2 = 1\n")


def test_they_go_by_their_names():
    assert isinstance(FINE_TUNERS.resolve("dpo"), preference.DirectPreference)
    assert isinstance(FINE_TUNERS.resolve("kto"), preference.LabelledOptions)
