"""Keys of final answers: answers with equal keys count as equal. Cheap: no computer algebra, no gold answer."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

from alphallm_env.grading import extract_answer, notation
from alphallm_env.grading.plain_numbers import plain_number
from alphallm_env.grading.quantities.phrases import measure

AnswerKey = Fraction | str


def answer_key(text: str) -> AnswerKey | None:
    """Returns what equal final answers have in common, None for a text that states no answer.

    A number is compared by its value, anything else as plain LaTeX without white space.

    >>> answer_key("#### $1,200.00") == answer_key("The answer is 1200.")
    True
    """
    answer = extract_answer(text)
    return None if answer is None else _key_of(answer)


@lru_cache(maxsize=4_096)  # a search compares every new answer with all those before it
def _key_of(answer: str) -> AnswerKey:
    normalised = notation.normalise(answer)
    measured = measure(normalised)
    number = plain_number(measured.value)
    return notation.comparison_key(normalised) if number is None else number * measured.scale
