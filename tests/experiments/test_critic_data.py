"""Labels for critics, worked by hand."""

from __future__ import annotations

from alphallm_env.options import SentenceRule
from alphallm_env.types import Problem
from experiments.critic_data import Sample, is_correct, prefix_counts, split_steps

PROBLEM = Problem("p", "How many?", answer="3")


def sample(*steps: str, correct: bool) -> Sample:
    return Sample("p", "How many?", steps, correct)


def test_steps_are_the_lines_and_the_last_may_be_open() -> None:
    assert split_steps("a\n\nb\n#### 3", SentenceRule()) == ("a\n", "\nb\n", "#### 3")
    assert split_steps("a\n", SentenceRule()) == ("a\n",)
    assert split_steps("", SentenceRule()) == ()


def test_prefixes_are_counted_over_all_samples() -> None:
    samples = [
        sample("a\n", "b\n", correct=True),
        sample("a\n", "c\n", correct=False),
        sample("d\n", correct=False),
    ]
    assert prefix_counts(samples) == {
        (): (3, 1),
        ("a\n",): (2, 1),
        ("a\n", "b\n"): (1, 1),
        ("a\n", "c\n"): (1, 0),
        ("d\n",): (1, 0),
    }


def test_an_answer_that_cannot_be_graded_is_neither_right_nor_wrong() -> None:
    assert is_correct("#### 3", PROBLEM) is True
    assert is_correct("#### 4", PROBLEM) is False
    assert is_correct("no answer", PROBLEM) is False
    assert is_correct("#### 9^{9^{9^{9^{9}}}}", PROBLEM) is None
