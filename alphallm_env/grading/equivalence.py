"""Equivalence: decides what text and exact arithmetic can, and collects the pairs that need computer algebra."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from alphallm_env.grading import notation, words
from alphallm_env.grading.arithmetic import arithmetic
from alphallm_env.grading.characters import plain_characters
from alphallm_env.grading.comparison import compare
from alphallm_env.grading.plain_numbers import decimal_comma, plain_number
from alphallm_env.grading.quantities.phrases import Measure, compound, measure
from alphallm_env.grading.quantities.sentences import stated_number
from alphallm_env.grading.quantities.spelled import in_symbols
from alphallm_env.grading.quantities.units import compatible, marks_agree
from alphallm_env.grading.structure import Node, parse
from alphallm_env.grading.verdict import Verdict

MAX_CHARACTERS = 2_000
MAX_PAIRS = 200
MAX_NESTING = 60

Pair = tuple[str, str]
"""Two pieces of LaTeX: of the gold answer and of the answer."""


@dataclass(frozen=True)
class OpenComparison:
    """A comparison of two answers that waits for algebra to compare some pairs.

    `known` holds the results so far: whether a pair is equal, None for one that cannot be read.
    """

    gold: Node
    answer: Node
    pairs: tuple[Pair, ...]
    known: Mapping[Pair, bool | None]

    def answered(self, replies: Sequence[bool | None]) -> "Verdict | OpenComparison":
        """Returns the verdict, given which of `pairs` are equal, or the comparison that is still open."""
        known = {**self.known, **dict(zip(self.pairs, replies, strict=True))}
        return _compare(self.gold, self.answer, known)


def decide(answer: str | None, gold: str) -> Verdict | OpenComparison:
    """Returns the verdict where text and exact arithmetic decide, else the comparison that is open for algebra.

    An answer or a gold answer that is longer than `MAX_CHARACTERS` or nested too deep is UNGRADABLE, and so is an
    empty gold answer. No answer is INCORRECT.
    """
    if not gold.strip() or _is_excessive(gold) or _is_excessive(answer or ""):
        return Verdict.UNGRADABLE
    if answer is None or not answer.strip():
        return Verdict.INCORRECT
    gold, answer = plain_characters(gold), plain_characters(answer)
    gold_text, answer_text = in_symbols(notation.normalise(gold)), in_symbols(notation.normalise(answer))
    if not gold_text:
        return Verdict.UNGRADABLE
    if not answer_text or not marks_agree(answer, gold):
        return Verdict.INCORRECT
    is_same = notation.comparison_key(gold_text) == notation.comparison_key(answer_text)
    if is_same or words.are_synonyms(answer_text, gold_text):
        return Verdict.CORRECT
    if (parts := compound(gold_text)) and (others := compound(answer_text)):
        return Verdict.CORRECT if parts == others else Verdict.INCORRECT
    try:
        return _compare(parse(gold_text), parse(_as_stated(answer_text, gold_text)), {})
    except ValueError:  # nested too deep
        return Verdict.UNGRADABLE


def _is_excessive(text: str) -> bool:
    """Returns whether a text is too long or too deeply nested to be graded."""
    if len(text) > MAX_CHARACTERS:
        return True
    depth = deepest = 0
    for bracket in re.findall(r"[{}()\[\]]", text):
        depth += 1 if bracket in "{([" else -1
        deepest = max(deepest, depth)
    return deepest > MAX_NESTING


# Digits in groups as in India (12,34,567), in program texts (12_500), or with two points or more (1.250.000).
_GROUPED = re.compile(r"[+-]?(?:\d{1,2}(?:,\d{2})+,\d{3}|\d{1,3}(?:_\d{3})+|\d{1,3}(?:\.\d{3}){2,})")


def _as_stated(answer: str, gold: str) -> str:
    """Returns the number that a sentence or a decimal comma states, where the gold answer is a number."""
    value = _value(measure(gold))
    if value is None:
        return answer
    number = (
        _GROUPED.sub(lambda found: re.sub(r"[,._]", "", found[0]), answer) if _GROUPED.fullmatch(answer) else answer
    )
    if _value(measure(answer)) is None and re.search("[A-Za-z]{2}", answer):
        number = stated_number(answer) or answer
    decimal = decimal_comma(measure(number).value)
    return decimal if decimal is not None and value.denominator != 1 else number


def _compare(gold: Node, answer: Node, known: Mapping[Pair, bool | None]) -> Verdict | OpenComparison:
    """Returns the verdict on two trees, or what is open given the results so far."""
    pairs: dict[Pair, None] = {}

    def oracle(one: str, other: str) -> bool | None:
        found = _leaves_equal(one, other)
        if found is None or isinstance(found, bool):
            return found
        if found not in known:
            pairs[found] = None
        return known.get(found)

    try:
        is_equal = compare(gold, answer, oracle)
    except ValueError:  # too many parts
        return Verdict.UNGRADABLE
    if is_equal is not None:
        return Verdict.CORRECT if is_equal else Verdict.INCORRECT
    if not pairs or len(pairs) > MAX_PAIRS:
        return Verdict.UNGRADABLE
    return OpenComparison(gold, answer, tuple(pairs), known)


def _leaves_equal(gold: str, answer: str) -> bool | Pair | None:
    """Returns whether two leaves are equal, the pair that algebra has to compare, None where a word is not known."""
    if notation.comparison_key(gold) == notation.comparison_key(answer):
        return bool(gold)
    if not gold or not answer:
        return False
    chosen, choice = words.choice(gold), words.choice(answer)
    if chosen and choice:
        return words.same_choice(chosen, choice)
    one, other = measure(gold), measure(answer)
    numbers = _value(one), _value(other)
    if numbers[0] is not None and numbers[1] is not None:
        if numbers[0] != numbers[1] or not compatible(one.unit, other.unit):
            return False
        is_known = (one.is_known and other.is_known) or (one.unit == other.unit and one.scale == other.scale)
        return True if is_known else None
    if words.is_literal(gold) or words.is_unclear(other.value, gold):
        return words.literally_equal(answer, gold)
    if not compatible(one.unit, other.unit) or one.scale != other.scale:
        return False
    is_same = notation.comparison_key(one.value) == notation.comparison_key(other.value)
    if not one.is_known or not other.is_known:
        return None
    return is_same or (one.value, other.value)


def _value(measured: Measure) -> Fraction | None:
    """Returns the exact value of a measured number, times what words multiply it by; None for anything else."""
    value = _number(measured.value)
    return None if value is None else value * measured.scale


def _number(text: str) -> Fraction | None:
    """Returns the exact value of a number or of arithmetic on numbers, None for anything else."""
    value = plain_number(text)
    return arithmetic(text) if value is None else value
