"""Words: answers that are prose, a choice's letter, a time or a numeral with a base. Only their letters can match."""

import re
from typing import NamedTuple

_COMMAND = re.compile(r"\\[A-Za-z]+")
_WORD = re.compile(r"(?<![A-Za-z\\])(?:[A-Za-z]*[a-z]{3}[A-Za-z]*|[A-Z][a-z]{2}|[Nn]o)(?![A-Za-z])")
_MATHEMATICAL = frozenset(
    {
        "sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "log",
        "exp", "sqrt", "det", "max", "min", "gcd", "lcm", "mod", "pmatrix", "matrix", "vmatrix", "cases",
        "array", "begin", "end",
    }
)  # fmt: skip
# Clock times, ratios, primes and numerals with a base: the parser would take them for arithmetic.
_NOTED = re.compile(r"\d\s*:\s*\d|[\d)]\s*_|[A-Za-z)]'")
_BASE = re.compile(r"(?<=\w)_\{?\d+\}?$")
_UNCLEAR = re.compile(r"(?<![_^])\d\s+\d|[?@#&]|\.\.|\bor\b|\\lor")
_SYNONYMS = [
    frozenset({"nosolution", "nosolutions", "norealsolution", "norealsolutions", r"\emptyset", r"\varnothing",
               "emptyset", "theemptyset"}),
    frozenset({"allrealnumbers", "allreals", "anyrealnumber", "realnumbers", r"\mathbbr", r"-\infty,\infty",
               "everyrealnumber",
               r"-\infty,+\infty"}),
    frozenset({"undefined", "doesnotexist", "dne"}),
]  # fmt: skip


def words(text: str) -> set[str]:
    """Returns the words of prose in a text, without names of functions, LaTeX commands, variables like `abc`."""
    return {word.lower() for word in _WORD.findall(_COMMAND.sub(" ", text))} - _MATHEMATICAL


def is_literal(gold: str) -> bool:
    """Returns whether only the same letters can match: words, clock times, ratios, numerals with a base."""
    is_prose = bool(words(gold)) and not re.search(r"[\d=+<>^\\]", gold)
    return is_prose or bool(_NOTED.search(gold))


def is_unclear(answer: str, gold: str) -> bool:
    """Returns whether an answer says something that is not mathematics, or numbers side by side."""
    if r"\begin" in answer:
        return bool(words(answer) - words(gold))
    return bool(words(answer) - words(gold) or _NOTED.search(answer) or _UNCLEAR.search(answer))


def literally_equal(answer: str, gold: str) -> bool:
    """Returns whether two answers have the same letters, but for case, spaces, brackets and a base left out."""
    if not _BASE.search(answer):
        gold = _BASE.sub("", gold)  # the problem's question names the base
    times = _minutes(answer), _minutes(gold)
    if None not in times:
        return times[0] == times[1]
    return letters(_ARTICLE.sub("", answer)) == letters(_ARTICLE.sub("", gold)) or are_synonyms(answer, gold)


_ARTICLE = re.compile(r"^\s*(?:an?|the)\s+(?=[a-z]{3})", re.IGNORECASE)
_CLOCK = re.compile(r"(\d{1,2})(?:[:.](\d{2}))?\s*(?:([ap])\.?\s*m\.?)?(?:\s*o'?clock)?", re.IGNORECASE)


def _minutes(text: str) -> tuple[int, bool] | None:
    """Returns the minutes of a time of day since midnight, and whether the half of the day is known; None for no time.

    Hours from 13 on, and 0, need no half.
    """
    found = _CLOCK.fullmatch(text.strip())
    if found is None or not (found[2] or found[3]) or int(found[1]) > 23 or int(found[2] or 0) > 59:
        return None
    hour, half = int(found[1]), (found[3] or "").lower()
    if half and not 1 <= hour <= 12:
        return None
    hour = hour % 12 + 12 * (half == "p") if half else hour
    return 60 * hour + int(found[2] or 0), bool(half) or not 1 <= hour <= 12


def are_synonyms(answer: str, gold: str) -> bool:
    """Returns whether two whole answers are usual names of one thing: the empty set, all real numbers, undefined."""
    return any({letters(answer), letters(gold)} <= group for group in _SYNONYMS)


def letters(text: str) -> str:
    """Returns the key of a literal comparison."""
    text = re.sub(r"(?<=[A-Za-z])-(?=[A-Za-z])", "", re.sub(r"(?<!\d)\s+|\s+(?!\d)", "", text))
    return re.sub(r"[{}()’`*\"]|(?<![A-Za-z)])'", "", text).strip(".!").casefold()


_CHOICE = re.compile(
    r"(?:(?:option|choice|answer)\s*:?\s*)?(?:[(\[]?(?P<marked>[A-J])[).:\]]|(?P<bare>[A-J]))(?:\s+(?P<text>.+))?",
    re.IGNORECASE | re.DOTALL,
)


class Choice(NamedTuple):
    """A multiple choice: its letter as written, whether a bracket, full stop or colon marks it, the text beside it."""

    letter: str
    is_marked: bool
    text: str


def choice(text: str) -> Choice | None:
    """Returns the multiple choice that an answer makes, None for anything else.

    >>> choice("(C) 45"), choice("Option B"), choice("A or B")
    (Choice(letter='C', is_marked=True, text='45'), Choice(letter='B', is_marked=False, text=''), None)
    """
    found = _CHOICE.fullmatch(text.strip())
    if found is None or (found["bare"] and found["text"]):
        return None
    if found["text"] and re.search(r"\b(?:or|and|not)\b|^\W*(?!a\s+[a-z]{2})[A-Ja-j]\b", found["text"]):
        return None  # another letter, which is no article
    return Choice(found["marked"] or found["bare"], bool(found["marked"]), letters(found["text"] or ""))


def same_choice(gold: Choice, answer: Choice) -> bool:
    """Returns whether two choices are one. A lone small letter may be a variable: C may be written c, not c as C."""
    same_text = not gold.text or not answer.text or gold.text == answer.text
    any_case = gold.is_marked or answer.is_marked or gold.letter.isupper()
    same_letter = gold.letter.upper() == answer.letter.upper() if any_case else gold.letter == answer.letter
    return same_letter and same_text
