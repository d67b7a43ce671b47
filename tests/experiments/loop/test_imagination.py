"""Imagined questions: what is kept, what never comes up."""

from __future__ import annotations

import pytest

from alphallm_env.loading import load_policy
from alphallm_env.problems import gsm_symbolic, normalise_question
from experiments.loop.imagination import QuestionFilter, imagine


@pytest.mark.parametrize(
    ("question", "admitted"),
    [
        ("A kid has 13 books. His sister has 10 fewer books than he has. How many do they have?", True),
        ("A kid has 13 books and wants some more of them, how many books does he", False),  # cut short
        (
            "A kid has some books and his sister has more. How many do they have together?",
            False,
        ),  # no numbers
        ("How many are 3 and 4?", False),  # too short
        (
            "and a kid has 13 books. His sister has 10 fewer. How many do they have together?",
            False,
        ),  # no start
        ("", False),
    ],
)
def test_the_filter_wants_whole_questions_with_numbers(question: str, admitted: bool) -> None:
    assert QuestionFilter().admits(question) is admitted


def test_imagined_problems_are_new_different_and_have_no_answer() -> None:
    policy = load_policy("tiny", device="cpu")
    known = gsm_symbolic.problems("train", 20)
    first = imagine(policy, known, 12, seed=1, forbidden=())
    questions = [normalise_question(problem.question) for problem in first.problems]
    assert len(set(questions)) == 12
    assert not set(questions) & {normalise_question(problem.question) for problem in known}
    assert all(problem.answer is None and problem.solution is None for problem in first.problems)
    again = imagine(policy, known, 12, seed=1, forbidden=questions)
    assert not set(questions) & {normalise_question(problem.question) for problem in again.problems}
