"""Phrases: what follows a number names what is counted, scales the number, changes it otherwise, or is not known."""

import re
from fractions import Fraction
from typing import NamedTuple

from alphallm_env.grading.quantities.numerals import changes_number, is_ordinal, scale
from alphallm_env.grading.quantities.units import canonical, is_measure, is_plural, is_scaled_by_prefix, power_of


class Measure(NamedTuple):
    """A value, its unit in canonical spelling ("" for none), and what words multiply the value by.

    `is_known` is False where a word may be a unit, or may be one that changes the number.
    """

    value: str
    unit: str
    scale: Fraction = Fraction(1)
    is_known: bool = True


# Closed classes of grammar: what ends a noun phrase, and adverbs behind it. None changes the number before it.
_ENDS = frozenset(
    [
        "in", "on", "at", "of", "for", "from", "with", "after", "before", "during", "into", "inside", "within", "per",
        "a", "an", "the", "left", "remaining", "remain", "remains", "total", "altogether", "overall", "each",
        "apiece", "away", "tall", "long", "wide", "high", "deep", "old", "ago", "later", "earlier", "early", "late",
        "now", "today", "again", "only", "exactly", "more_", "together", "so", "far", "here", "there", "this", "that",
        "his", "her", "their", "its", "my", "our", "your", "has", "have", "had", "will", "would", "are", "is", "was",
        "were", "can", "who", "which", "as",
    ]
)  # fmt: skip
_WORD = r"[A-Za-z]+(?:-[A-Za-z]+)*"
_PLAIN = re.compile(r"[+-]?[\d.,/\s]*\d")
_AT_MOST_ONE = re.compile(r"[+-]?\s*(?:1(?:\.0*)?|0?\.\d+|0|\d+\s*/\s*\d+|\\frac\{\d+\}\{\d+\})")
_MEASURE = re.compile(
    r"(?P<value>.*(?:[\d)}\]]|\\pi))(?P<gap>\s*)"
    rf"(?P<words>{_WORD}(?:(?:\s*/\s*|\s+|\.\s*|\s*\\cdot\s*){_WORD}){{0,7}})(?P<power>\s?\^?\s?\{{?-?[23]\}}?)?\.?",
    re.DOTALL,
)


def measure(text: str) -> Measure:
    r"""Returns the value and the unit of a normalised element; the element itself where no unit follows a value.

    >>> measure("18 red apples"), measure("5cm^2"), measure("3x"), measure("18 doubled")
    (Measure(value='18', unit='red apple', scale=Fraction(1, 1), is_known=True),
     Measure(value='5', unit='centimeter^2', scale=Fraction(1, 1), is_known=True),
     Measure(value='3x', unit='', scale=Fraction(1, 1), is_known=True),
     Measure(value='18 doubled', unit='', scale=Fraction(1, 1), is_known=True))
    """
    found = _MEASURE.fullmatch(text)
    if found is None:
        return Measure(text, "")
    words = re.findall(rf"{_WORD}|/", found["words"])
    is_plain = _PLAIN.fullmatch(found["value"]) is not None
    if not _may_be_words(words[0], is_plain=is_plain, is_apart=bool(found["gap"])):
        return Measure(text, "")
    value = found["value"].strip()
    factor, words = _scaled(words)
    if factor != 1 and not is_plain:
        return Measure(text, "")
    power = (found["power"] or "").strip("^ {}")
    noun = _noun(words)
    kind = names_what_is_counted(words, value)
    if kind is False:
        return Measure(text, "")
    if noun and len(noun) > 1 and power_of(noun[0]):
        power, noun = power_of(noun[0]), noun[1:]
    elif len(noun) > 1 and power_of(noun[-1]) and is_measure(noun[-2]):
        power, noun = power_of(noun[-1]), noun[:-1]
    return Measure(value, canonical(noun, power), factor, kind is True)


def _may_be_words(first: str, *, is_plain: bool, is_apart: bool) -> bool:
    """Returns whether a first word behind a value is a word, and not a variable or a product of some."""
    if len(first) == 1:
        return is_plain and (is_measure(first) or scale(first) is not None)
    return is_measure(first) or is_plain or (is_apart and (len(first) > 2 or first in _ENDS))


def _scaled(words: list[str]) -> tuple[Fraction, list[str]]:
    """Returns the factor that the first words give, and the words after it: `4 crore rupees`, `3 eighths of a mile`."""
    if len(words) > 1 and is_ordinal(words[0]) and is_plural(words[-1]) and not is_plural(words[0]):
        return Fraction(1), words  # 5 eighth notes
    if is_measure(words[0]) or (factor := scale(words[0])) is None:
        return Fraction(1), words
    rest = words[1:]
    while rest and rest[0].lower() in ("of", "a", "an", "the"):
        rest = rest[1:]
    return factor, rest


def _noun(words: list[str]) -> list[str]:
    """Returns the noun phrase that some words begin with; a rate's second unit belongs to it."""
    if words == ["in"]:
        return words  # inches
    for place, word in enumerate(words):
        if word.lower() == "per" or word == "/":
            return words[: place + 2] if place else []
        if word.lower() in _ENDS:
            return words[:place]
    return words


def names_what_is_counted(words: list[str], value: str) -> bool | None:
    """Returns whether words behind a number only name what is counted: True, False, or None where they are not known.

    A phrase is known where its last word is a unit or a noun in the plural; a noun in the singular where the value is
    at most one. Anything else may be a word for a number that is not known here.

    >>> kinds = [names_what_is_counted(words.split(), "4") for words in ("red apples", "mln", "zorbil", "km per hour")]
    >>> kinds, names_what_is_counted(["apple"], "1")
    ([True, False, None, True], True)
    """
    noun = _noun(words)
    if len(words) == 1 and words[0].lower() == "times":
        return True
    for place, word in enumerate(words):
        if is_measure(word) or (word.lower() in _ENDS and place >= len(noun)) or _is_power(words, place):
            continue
        numeral = any(changes_number(part) for part in word.split("-"))
        attributive = place + 1 < len(noun) and ("-" in word or is_ordinal(word)) and is_plural(noun[-1])
        if numeral and not attributive:
            return False
    if any(map(is_scaled_by_prefix, noun)):
        return None
    if not noun or is_measure(noun[-1]) or is_plural(noun[-1]) or _is_power(noun, len(noun) - 1):
        return True
    return True if _AT_MOST_ONE.fullmatch(value.strip()) else None


def _is_power(words: list[str], place: int) -> bool:
    """Returns whether a word is `square` or `cubic` before a unit, or `squared` behind one."""
    neighbours = words[max(0, place - 1) : place] + words[place + 1 : place + 2]
    return bool(power_of(words[place])) and any(map(is_measure, neighbours))


def is_unit(words: str) -> bool:
    """Returns whether words that follow a value can only name what is counted."""
    found = re.findall(rf"{_WORD}|/", words.strip(" ()."))
    return bool(found) and len(found) <= 8 and names_what_is_counted(found, "2") is True


def compound(text: str) -> list[tuple[str, str]] | None:
    """Returns the parts of a measure in several units, None for anything else.

    >>> compound("1 hour and 30 minutes"), compound("5 ft 3 in"), compound("18 apples")
    ([('1', 'hour'), ('30', 'minute')], [('5', 'foot'), ('3', 'inch')], None)
    """
    parts = [part for part in re.split(r"\s*(?:,|\band\b)\s*|(?<=[A-Za-z])\s+(?=\d)", text) if part]
    if not 1 < len(parts) <= 6 or not all(part[0].isdigit() for part in parts):
        return None
    found = [re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)", part) for part in parts]
    if not all(part and is_measure(part[2]) for part in found):
        return None
    return [(part[1], canonical([part[2]], "")) for part in found if part]
