"""Equivalence: decides what can be decided on the text, and says which pairs are left for computer algebra."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from alphallm_env.grading import notation, units, words
from alphallm_env.grading.comparison import compare
from alphallm_env.grading.plain_numbers import decimal_comma, plain_number
from alphallm_env.grading.structure import Leaf, Node, parse
from alphallm_env.grading.verdict import Verdict

MAX_CHARACTERS = 2_000
MAX_PAIRS = 200
MAX_NESTING = 60

Pair = tuple[str, str]
"""Two pieces of LaTeX: of the gold answer and of the answer."""


@dataclass(frozen=True)
class Question:
    """What algebra has to say about some pairs before two answers are compared."""

    gold: Node
    answer: Node
    pairs: tuple[Pair, ...]

    def verdict(self, equal: Mapping[Pair, bool | None]) -> Verdict:
        """Returns the verdict, given which pairs are equal; None for a pair that cannot be read."""

        def oracle(gold: str, answer: str) -> bool | None:
            known = _leaves_equal(gold, answer)
            return equal.get((gold, answer)) if known is None else known

        return _verdict(compare(self.gold, self.answer, oracle))


def decide(answer: str | None, gold: str) -> Verdict | Question:
    """Returns the verdict where text and exact arithmetic settle it, else the question left for algebra.

    An answer or a gold answer that is longer than `MAX_CHARACTERS` or nested too deep is UNGRADABLE, and so is an
    empty gold answer. No answer is INCORRECT.
    """
    if not gold.strip() or _is_excessive(gold):
        return Verdict.UNGRADABLE
    if answer is None or not answer.strip():
        return Verdict.INCORRECT
    if _is_excessive(answer):
        return Verdict.UNGRADABLE
    gold_text, answer_text = notation.normalise(gold), notation.normalise(answer)
    if not gold_text:
        return Verdict.UNGRADABLE
    if notation.comparison_key(gold_text) == notation.comparison_key(answer_text):
        return Verdict.CORRECT
    if words.are_synonyms(answer_text, gold_text):
        return Verdict.CORRECT
    if not answer_text or not units.marks_agree(answer, gold):
        return Verdict.INCORRECT
    return _compare(gold_text, _as_stated(answer_text, gold_text))


def _is_excessive(text: str) -> bool:
    """Returns whether a text is too long or too deep to be looked at."""
    if len(text) > MAX_CHARACTERS:
        return True
    depth = deepest = 0
    for bracket in re.findall(r"[{}()\[\]]", text):
        depth += 1 if bracket in "{([" else -1
        deepest = max(deepest, depth)
    return deepest > MAX_NESTING


def _as_stated(answer: str, gold: str) -> str:
    """Returns the number that a sentence or a decimal comma states, where the gold answer is a number."""
    value = plain_number(units.measure(gold).value)
    if value is None:
        return answer
    number = answer
    if plain_number(units.measure(answer).value) is None and re.search("[A-Za-z]{2}", answer):
        number = words.stated_number(answer, units.NO_UNITS) or answer
    decimal = decimal_comma(units.measure(number).value)
    return decimal if decimal is not None and value.denominator != 1 else number


def _compare(gold: str, answer: str) -> Verdict | Question:
    """Returns the verdict on two normalised texts, or the question left."""
    try:
        gold_tree, answer_tree = parse(gold), parse(answer)
        pairs: dict[Pair, None] = {}

        def oracle(one: str, other: str) -> bool | None:
            known = _leaves_equal(one, other)
            if known is None:
                pairs[one, other] = None
            return known

        found = compare(gold_tree, answer_tree, oracle)
    except ValueError:  # too many parts, or too deep
        return Verdict.UNGRADABLE
    if found is not None:
        return _verdict(found)
    return Question(gold_tree, answer_tree, tuple(pairs)) if len(pairs) <= MAX_PAIRS else Verdict.UNGRADABLE


def _verdict(found: bool | None) -> Verdict:
    return Verdict.UNGRADABLE if found is None else Verdict.CORRECT if found else Verdict.INCORRECT


def _leaves_equal(gold: str, answer: str) -> bool | None:
    """Returns whether two leaves are equal, None where algebra has to say."""
    if notation.comparison_key(gold) == notation.comparison_key(answer):
        return bool(gold)
    if not gold or not answer:
        return False
    choices = words.choice(gold), words.choice(answer)
    if choices[0] and choices[1]:
        (letter, text), (other_letter, other_text) = choices[0], choices[1]
        return letter == other_letter and (not text or not other_text or text == other_text)
    (gold_value, gold_unit), (value, unit) = units.measure(gold), units.measure(answer)
    numbers = plain_number(gold_value), plain_number(value)
    if numbers[0] is not None and numbers[1] is not None:
        return numbers[0] == numbers[1] and units.compatible(gold_unit, unit)
    if words.is_literal(gold) or words.is_unclear(value, gold):
        return words.literally_equal(answer, gold)
    if not units.compatible(gold_unit, unit):
        return False
    return None
