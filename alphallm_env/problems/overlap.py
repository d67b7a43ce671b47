"""Checks that no test problem is a training problem, by their normalised questions."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from alphallm_env.errors import OverlapError
from alphallm_env.types import Problem

_DASHES = re.compile("[\u2010-\u2014\u2212]")
_GROUPED_DIGITS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
# A mark between digits is part of a number; operators and LaTeX are part of the question everywhere.
_MARKS = re.compile(r"['\"\u2018-\u201f`]|(?<!\d)[.,;:!?…]|[.,;:!?…](?!\d)")
_NUM_NAMED = 3


def normalise_question(question: str) -> str:
    """Returns the question without what does not change it: case, white space, prose punctuation.

    >>> normalise_question("How many  of the 1,500 apples\\n(0.5 kg each) are LEFT?")
    'how many of the 1500 apples (0.5 kg each) are left'
    """
    text = unicodedata.normalize("NFKC", question).casefold()
    text = _GROUPED_DIGITS.sub("", _DASHES.sub("-", text))
    return " ".join(_MARKS.sub("", text).split())


def check_overlap(training: Iterable[Problem], testing: Iterable[Problem]) -> None:
    """Raises OverlapError, naming the first few, if a test question is also a training question."""
    trained = {normalise_question(problem.question): problem.id for problem in training}
    shared = [
        f"{problem.id!r} (trains as {trained[key]!r})"
        for problem in testing
        if (key := normalise_question(problem.question)) in trained
    ]
    if shared:
        more = f" and {len(shared) - _NUM_NAMED} more" if len(shared) > _NUM_NAMED else ""
        named = ", ".join(shared[:_NUM_NAMED])
        raise OverlapError(f"expected test questions that do not train, got {len(shared)} shared: {named}{more}")
