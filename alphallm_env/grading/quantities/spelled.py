"""Spelled numbers: "twenty-five", "two thirds", "3 and a half" in digits, by the grammar of English number words."""

import itertools
import re
from collections.abc import Sequence
from fractions import Fraction

from alphallm_env.grading.quantities.numerals import denominator, magnitude

_SMALL = {
    word: value
    for value, word in enumerate(
        [
            "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
            "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
        ]
    )
}  # fmt: skip
_TENS = ["thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_VALUES = _SMALL | {word: 10 * value for value, word in enumerate(_TENS, start=3)}
_TOKEN = re.compile(r"[A-Za-z]+|\d+")
_MATHEMATICAL = re.compile(r"[\\^_=+*/<>{}.]")
MAX_CHARACTERS = 200


_IDIOMS = [
    (re.compile(r"\bhalf an? dozen\b|\ba half[- ]dozen\b", re.IGNORECASE), "6"),
    (re.compile(r"\b(?:a |one )?baker'?s dozen\b", re.IGNORECASE), "13"),
    (re.compile(r"\b(?:an? )?(?:grand )?total of (?=[\d$])", re.IGNORECASE), ""),
]
_N = r"(\d+(?:\.\d+)?)"
# Operations that a whole answer names in words, and the same in symbols.
_OPERATIONS = [
    (re.compile(rf"(?:minus|negative) {_N}", re.IGNORECASE), r"-\1"),
    (re.compile(rf"(?:twice|double) {_N}", re.IGNORECASE), r"2*\1"),
    (re.compile(rf"(?:thrice|triple|three times) {_N}", re.IGNORECASE), r"3*\1"),
    (re.compile(rf"half(?: of)? {_N}", re.IGNORECASE), r"\1/2"),
    (re.compile(rf"{_N} squared", re.IGNORECASE), r"\1^2"),
    (re.compile(rf"{_N} cubed", re.IGNORECASE), r"\1^3"),
    (re.compile(rf"{_N} factorial", re.IGNORECASE), r"\1!"),
    (re.compile(rf"{_N} choose {_N}", re.IGNORECASE), r"\\binom{\1}{\2}"),
    (re.compile(rf"(?:the )?square root of {_N}", re.IGNORECASE), r"\\sqrt{\1}"),
    (re.compile(rf"{_N} (?:plus) {_N}", re.IGNORECASE), r"\1+\2"),
    (re.compile(rf"{_N} (?:minus) {_N}", re.IGNORECASE), r"\1-\2"),
    (re.compile(rf"{_N} (?:times|multiplied by) {_N}", re.IGNORECASE), r"\1*\2"),
    (re.compile(rf"{_N} (?:over|divided by) {_N}", re.IGNORECASE), r"\1/\2"),
    (re.compile(rf"{_N} point (\d+)", re.IGNORECASE), r"\1.\2"),
]


def in_symbols(text: str) -> str:
    r"""Returns an answer that is an operation in words, in symbols; any other text with its numbers in digits.

    >>> in_symbols("minus fourteen"), in_symbols("13 squared"), in_symbols("9 choose 2"), in_symbols("18 doubled")
    ('-14', '13^2', '\\binom{9}{2}', '18 doubled')
    """
    for idiom, number in _IDIOMS:
        text = idiom.sub(number, text)
    text = in_digits(text)
    for words, symbols in _OPERATIONS:
        if found := words.fullmatch(text):
            return found.expand(symbols)
    return text


def in_digits(text: str) -> str:
    """Returns the text with the numbers that it spells out in digits.

    It stays as it is where it has mathematics in it, or two numbers side by side. Beside digits only their own fraction
    is read.

    >>> in_digits("twenty-five apples"), in_digits("minus two thirds"), in_digits("3 and a half"), in_digits("one two")
    ('25 apples', '-2/3', '7/2', 'one two')
    """
    if _MATHEMATICAL.search(text) or len(text) > MAX_CHARACTERS:
        return text
    tokens = list(_TOKEN.finditer(text))
    has_digits = any(token[0].isdigit() for token in tokens)
    pieces, position, place = list[str](), 0, 0
    while place < len(tokens):
        words = _phrase(text, tokens[place:])
        value, length = _number(words)
        if not length or has_digits > words[0].isdigit():
            place += 1
            continue
        if _number(words[length:])[1] or (length < len(words) and words[length].isdigit()):
            return text
        pieces += [text[position : tokens[place].start()], str(value)]
        position = tokens[place + length - 1].end()
        place += length
    return "".join([*pieces, text[position:]])


def _phrase(text: str, tokens: Sequence[re.Match[str]]) -> list[str]:
    """Returns the words up to the first that anything but a space or a hyphen separates, in small letters."""
    words = [tokens[0][0].lower()]
    for one, other in itertools.pairwise(tokens):
        if text[one.end() : other.start()] not in (" ", "-", " -", "- "):
            break
        words.append(other[0].lower())
    return words


def _number(words: Sequence[str]) -> tuple[Fraction, int]:
    """Returns the number that some words begin with, and how many of them it takes; 0 for none."""
    if words and words[0] in ("minus", "negative"):
        value, length = _number(words[1:])
        return (-value, length + 1) if length and words[1] not in ("minus", "negative") else (Fraction(0), 0)
    if list(words[:2]) == ["a", "dozen"]:
        return Fraction(1), 1
    whole, length = _integer(words)
    if not length and words and words[0] in ("half", "a", "an"):
        return _part(words)
    if not length:
        return Fraction(0), 0
    rest = words[length:]
    if rest[:1] == ["and"]:
        part, more = _part(rest[1:])
        if more and part < 1:
            return whole + part, length + 1 + more
    if words[0].isdigit():
        return Fraction(0), 0  # digits alone are no spelled number
    parts = denominator(rest[0]) if rest else None
    if parts is not None and (whole != 1) == rest[0].endswith(("s", "halves")):
        return Fraction(whole, parts), length + 1
    return Fraction(whole), length


def _part(words: Sequence[str]) -> tuple[Fraction, int]:
    """Returns the fraction that some words begin with: "half", "a third", "two thirds"."""
    if words and words[0] == "half":
        return Fraction(1, 2), 1
    count, length = (1, 1) if words and words[0] in ("a", "an") else _integer(words)
    parts = denominator(words[length]) if length and length < len(words) else None
    return (Fraction(count, parts), length + 1) if parts else (Fraction(0), 0)


def _integer(words: Sequence[str]) -> tuple[int, int]:
    """Returns the whole number that some words begin with, and how many of them it takes; 0 for none."""
    if words and words[0].isdigit():
        return int(words[0]), 1
    total = group = 0
    length, least = 0, 10**30
    while length < len(words):
        word = words[length]
        scale = magnitude(word)
        if word == "and" and length and total + group and group % 100 == 0 and _small(words, length + 1):
            length += 1
            continue
        if word in _VALUES and _fits(group, _VALUES[word], is_first=length == 0):
            group += _VALUES[word]
        elif word == "hundred" and 0 < group < 100:
            group *= 100
        elif scale is not None and scale > 100 and group > 0 and scale < least:
            total, group, least = total + group * scale, 0, scale
        elif word == "a" and length == 0 and len(words) > 1 and (magnitude(words[1]) or 0) >= 100:
            group = 1
        else:
            break
        length += 1
    return total + group, length


def _small(words: Sequence[str], place: int) -> bool:
    return place < len(words) and words[place] in _VALUES


def _fits(group: int, value: int, *, is_first: bool) -> bool:
    """Returns whether a number word below 100 may follow what a group of three digits has so far."""
    if value == 0:
        return is_first
    return group % 100 == 0 or (value < 10 and group % 10 == 0 and group % 100 >= 20)
