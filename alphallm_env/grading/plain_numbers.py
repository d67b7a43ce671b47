"""Plain numbers: the answers that exact arithmetic can compare without computer algebra."""

import re
from fractions import Fraction

_DECIMAL = r"(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?|\.\d+)"
# Three digits at most: 10**999 is cheap, a longer exponent could fill the memory.
_EXPONENT = r"[+-]?\d{1,3}"
_FORMS = re.compile(
    r"(?P<sign>[+-]?)\s*(?:"
    rf"(?P<decimal>{_DECIMAL})"
    rf"(?:[eE](?P<e>{_EXPONENT})|\s*(?:\\times|\\cdot|\*)\s*10\^\{{?(?P<power>{_EXPONENT})\}}?)?"
    rf"|(?P<numerator>{_DECIMAL})\s*/\s*(?P<denominator>{_DECIMAL})"
    r"|(?P<whole>\d+)?\s*\\frac\s*\{(?P<over>\d+)\}\s*\{(?P<under>\d+)\}"
    r"|(?P<units>\d+)\s+(?P<part>\d+)/(?P<parts>\d+)"
    r")"
)
_MONEY = r"(?:\\?\$|€|£|¥|₹)"
_TRIM = re.compile(rf"(?P<sign>[+-]?)\s*{_MONEY}?\s*(?P<number>[^$€£¥₹%]*?)\s*{_MONEY}?\s*(?:\\?%)?\s*\.?")


def plain_number(text: str) -> Fraction | None:
    r"""Returns the exact value of a plain number, or None when the text is anything else.

    Plain: an integer, a decimal, a fraction, a mixed number, scientific notation; with thousands commas, a
    currency sign, a percent sign (a unit here: 50% is 50) and a full stop.

    >>> plain_number("$1,234.50"), plain_number(r"2\frac{1}{3}"), plain_number("18 or 20")
    (Fraction(2469, 2), Fraction(7, 3), None)
    """
    trimmed = _TRIM.fullmatch(text.strip())
    if trimmed is None:
        return None
    number = _FORMS.fullmatch(trimmed["sign"] + trimmed["number"])
    if number is None:
        return None
    magnitude = _magnitude(number)
    return -magnitude if magnitude is not None and number["sign"] == "-" else magnitude


def _magnitude(number: re.Match[str]) -> Fraction | None:
    """Returns the value without its sign, or None when the denominator is 0."""
    if number["decimal"]:
        exponent = int(number["e"] or number["power"] or 0)
        return _decimal(number["decimal"]) * Fraction(10) ** exponent
    if number["numerator"]:
        return _ratio(_decimal(number["numerator"]), _decimal(number["denominator"]))
    whole = int(number["whole"] or number["units"] or 0)
    part = _ratio(_decimal(number["over"] or number["part"]), _decimal(number["under"] or number["parts"]))
    return None if part is None else whole + part


def _decimal(digits: str) -> Fraction:
    """Returns the exact value of unsigned decimal digits, with or without thousands commas."""
    return Fraction(digits.replace(",", "").rstrip("."))


def _ratio(numerator: Fraction, denominator: Fraction) -> Fraction | None:
    """Returns the quotient, or None when the denominator is 0."""
    return numerator / denominator if denominator else None
