r"""Calculations that a solution states, such as 200 - 50 = 150, each checked.

A model that writes a wrong result builds on it. Calculations are found by rules and computed exactly, in fractions of
bounded size; no text is evaluated. Ambiguous text, such as algebra, is skipped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from alphallm_env.grading.arithmetic import arithmetic

_LONGEST = 20_000  # characters of a solution that are searched
_NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?![\d,])|\d+)(?:\.\d+)?|\.\d+"
_REPLACED: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), by)
    for pattern, by in (
        (r"\\(?:text|mathrm|mbox)\s*\{([^{}]*)\}", r" \1 "),
        (r"\{,\}", ","),
        (r"\\[()\[\]]|\\?[$€£]|\\[,;!]|\\left|\\right", ""),
        (r"(?<=\d)\s{0,3}\\d?t?frac", "_"),  # a mixed number or a product
        (r"\\d?t?frac\s*\{([^{}]{1,40})\}\s*\{([^{}]{1,40})\}", r"((\1)/(\2))"),
        (r"[×·✕]|\\times|\\cdot|(?<=\d)\s{0,3}[xX]\s{0,3}(?=[\d(.])", "*"),
        (r"÷|\\div", "/"),
        (r"[−–—]", "-"),
        (r"≈|\\approx", "="),
        (rf"(?<!\d)({_NUMBER})\s?\\?%", r"(\1/100)"),
        (r"(?<=/100\))\s{0,3}of\s{1,3}(?=[\d(])|(?<=\d/\d)\s{0,3}of\s{1,3}(?=[\d(])", "*"),
        # a unit: words after a number, before the rest of the calculation
        (r"(?<=[\d)])\s{0,3}(?:/\s?|per\s)?[A-Za-z]{2,20}(?:[\s/][A-Za-z]{2,20}){0,2}(?=\s{0,3}[-+*/=)])", ""),
    )
)
_TOKEN = re.compile(
    rf"(?P<part>{_NUMBER}|[-+*/()=])|(?P<word>[A-Za-z]{{2,}}|[aAI](?![A-Za-z]))|(?P<letter>[A-Za-z^_!√])|\S"
)
_FIRST_NUMBER = re.compile(rf"[-+]?(?:{_NUMBER})")
_BARE = re.compile(r"[-+]?\(?[\d,]*(?:\.(?P<decimals>\d+))?(?P<percent>/100\))?\)?")


@dataclass(frozen=True)
class Calculation:
    """Two sides that a solution states to be equal."""

    left: str
    right: str
    is_right: bool


def calculations(text: str) -> list[Calculation]:
    """Returns the calculations that a text states, in their order.

    A result may be rounded to the digits that it shows, be the first number of a right side that continues
    ("5 * 3 = 15 + 2 = 17"), and be given as a share or in percent.

    >>> [(c.left, c.right, c.is_right) for c in calculations("She has 3 * $12 = $36, and 36 pens + 5 = 42.")]
    [('3*12', '36', True), ('36+5', '42', False)]
    >>> calculations("2x + 3 = 11, so x = 4")
    []
    """
    found: list[Calculation] = []
    for line in text[:_LONGEST].splitlines():
        for sides in _equations(line):
            for left, right in pairwise(sides):
                is_right = _holds(left, right)
                if is_right is not None:
                    found.append(Calculation(left, right, is_right))
    return found


def _equations(line: str) -> Iterator[list[str]]:
    """Yields the sides of each run of numbers, signs and brackets with an equals sign and without variables.

    The side before the first equals sign must have an operator: a lone number may be part of a name there.
    """
    for pattern, by in _REPLACED:
        line = pattern.sub(by, line)
    run: list[str] = []
    is_algebra = False
    for token in [*_TOKEN.finditer(line), None]:
        if token is not None and token["part"]:
            adjacent = bool(run) and run[-1][-1].isdigit() and token["part"][0].isdigit()
            run.append(f" {token['part']}" if adjacent else token["part"])
        elif token is not None and token["letter"]:
            is_algebra = True
        else:
            if "=" in run and not is_algebra:
                sides = [_trimmed(side) for side in "".join(run).split("=")]
                yield sides if _calculates(sides[0]) else sides[1:]
            run, is_algebra = [], False


def _trimmed(side: str) -> str:
    """Returns a side without signs and brackets at its ends that belong to the text around it."""
    side = side.rstrip("-+*/(").lstrip("*/)")
    surplus = side.count("(") - side.count(")")
    while surplus > 0 and side.startswith("("):
        side, surplus = side[1:], surplus - 1
    while surplus < 0 and side.endswith(")"):
        side, surplus = side[:-1], surplus + 1
    return side


def _calculates(side: str) -> bool:
    return any(sign in side[1:] for sign in "+-*/")


def _holds(left: str, right: str) -> bool | None:
    """Returns whether two sides are equal, None where neither has an operator or one cannot be read."""
    if not _calculates(left) and not _calculates(right):
        return None
    lefts, rights = _readings(left), _readings(right)
    if not lefts or not rights:
        return None
    if first := _FIRST_NUMBER.match(right):
        rights += _readings(first[0])
    factors = (1, 100, Fraction(1, 100)) if "/100)" in left + right else (1,)
    return any(
        abs(value * factor - other) <= max(tolerance * factor, other_tolerance)
        for value, tolerance in lefts
        for other, other_tolerance in rights
        for factor in factors
    )


def _readings(side: str) -> list[tuple[Fraction, Fraction]]:
    """Returns the possible values of a side, each with half a unit of the last digit where it is a bare number.

    A sign in front may be its own, or the dash of a list.
    """
    texts = [side, side[1:]] if side[:1] in ("+", "-") else [side]
    return [(value, _half_unit(text)) for text in texts if (value := arithmetic(text)) is not None]


def _half_unit(side: str) -> Fraction:
    bare = _BARE.fullmatch(side)
    if bare is None:
        return Fraction(0)
    return Fraction(1, 2 * 10 ** len(bare["decimals"] or "") * (100 if bare["percent"] else 1))
