"""Equivalence: decides what can be decided on the text, and says what is left for computer algebra."""

import re
from collections import Counter
from typing import NamedTuple

from alphallm_env.grading import notation
from alphallm_env.grading.plain_numbers import plain_number
from alphallm_env.grading.verdict import Verdict

MAX_CHARACTERS = 2_000
MAX_SIDES = 8  # of an equation like 2 · 3 · 3 = 6 · 3 = 18


class Question(NamedTuple):
    """An equivalence to decide: as many answers as gold answers, to be matched one to one."""

    answers: tuple[str, ...]
    golds: tuple[str, ...]
    in_order: bool = False


def decide(answer: str | None, gold: str) -> Verdict | Question:
    """Returns the verdict where text and exact arithmetic settle it, else the question left for algebra.

    An answer longer than `MAX_CHARACTERS` is INCORRECT, a gold answer that long, or empty, is UNGRADABLE.
    """
    if not gold.strip() or len(gold) > MAX_CHARACTERS:
        return Verdict.UNGRADABLE
    if answer is None or not answer.strip() or len(answer) > MAX_CHARACTERS:
        return Verdict.INCORRECT
    golds = notation.elements(notation.normalise(gold))
    if not golds:
        return Verdict.UNGRADABLE
    answers = notation.elements(notation.normalise(answer))
    if Counter(map(notation.comparison_key, answers)) == Counter(map(notation.comparison_key, golds)):
        return Verdict.CORRECT
    if len(answers) != len(golds):
        return Verdict.INCORRECT  # a hedge, or part of the answer
    return _settle(_without_lone_names(answers, golds))


def _without_lone_names(answers: tuple[str, ...], golds: tuple[str, ...]) -> Question:
    """Returns the question without the "x =" and "x in" that only one side has."""
    answers = tuple(map(notation.without_membership, answers))
    golds = tuple(map(notation.without_membership, golds))
    if not any("=" in answer for answer in answers):
        names = {gold.split("=")[0].strip() for gold in golds}
        several = len(names) > 1 and all("=" in gold for gold in golds)  # x = 1, y = 2 is not y = 1, x = 2
        return Question(answers, tuple(map(notation.without_name, golds)), in_order=several)
    if any("=" in gold for gold in golds):
        return Question(answers, golds)
    if len(answers) == 1 and answers[0].count("=") < MAX_SIDES:
        answers = notation.sides(answers[0])
        return Question(answers, golds * len(answers))  # every side must equal the gold answer
    return Question(tuple(map(notation.without_name, answers)), golds)


def _settle(question: Question) -> Verdict | Question:
    """Returns the verdict when the question needs no algebra, else the question."""
    answers, golds, _ = question
    gold_values = [plain_number(notation.without_unit(gold, short_units=False)) for gold in golds]
    short_units = None not in gold_values
    values = [plain_number(notation.without_unit(answer, short_units=short_units)) for answer in answers]
    if None not in values and None not in gold_values:
        is_equal = values == gold_values if question.in_order else Counter(values) == Counter(gold_values)
        return _verdict(is_equal)
    known_words = set[str]().union(*map(_words, golds))
    if any(map(_is_literal, golds)) or any(_is_unclear(answer, known_words) for answer in answers):
        if not any(map(_BASE.search, answers)):
            golds = tuple(_BASE.sub("", gold) for gold in golds)  # the question has named the base
        return _verdict(Counter(map(_literal, answers)) == Counter(map(_literal, golds)))
    return question


def _verdict(is_correct: bool) -> Verdict:
    """Returns CORRECT or INCORRECT."""
    return Verdict.CORRECT if is_correct else Verdict.INCORRECT


_WORD = re.compile(r"(?<![A-Za-z\\])[A-Za-z]*[a-z]{3}[A-Za-z]*")
_KNOWN_WORDS = frozenset(
    {
        "sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "log",
        "exp", "sqrt", "det", "max", "min", "gcd", "lcm", "mod", "pmatrix", "matrix", "vmatrix", "cases",
        "array", "begin", "end",
    }
)  # fmt: skip
# Clock times, ratios and numerals with a base: arithmetic on their parts means nothing.
_NOTED = re.compile(r"\d\s*:\s*\d|\d_\{?\d")
_BASE = re.compile(r"(?<=\w)_\{?\d+\}?$")


def _words(element: str) -> set[str]:
    """Returns the words of prose in an element, without names of functions and LaTeX commands."""
    return {word.lower() for word in _WORD.findall(re.sub(r"\\[A-Za-z]+", " ", element))} - _KNOWN_WORDS


def _is_literal(gold: str) -> bool:
    """Returns whether only the same letters can match: words, clock times, numerals with a base."""
    is_prose = bool(_words(gold)) and not re.search(r"[\d=+<>^\\]", gold)
    return is_prose or bool(_NOTED.search(gold))


def _is_unclear(answer: str, known_words: set[str]) -> bool:
    """Returns whether an answer says something that is not mathematics, or numbers side by side."""
    return bool(_words(answer) - known_words or _NOTED.search(answer) or re.search(r"\d\s+\d|\?|\bor\b", answer))


def _literal(element: str) -> str:
    """Returns the letters that a literal comparison looks at."""
    return re.sub(r"[{}()'’]", "", notation.comparison_key(element)).casefold()
