"""Plain numbers: the answers that exact arithmetic can compare without computer algebra."""

import re
from fractions import Fraction

_DECIMAL = r"(?:(?:\d{1,3}(?:,\d{3})+|[1-9]\d{0,2}(?: \d{3})+|\d+)(?:\.\d*)?|\.\d+)"
_SIGNED = rf"\s*[+-]?\s*{_DECIMAL}\s*"
# Three digits at most: 10**999 is cheap, a longer exponent could fill the memory.
_EXPONENT = r"[+-]?\d{1,3}"
_FORMS = re.compile(
    r"(?P<sign>[+-]?)\s*(?:"
    rf"(?P<decimal>{_DECIMAL})"
    rf"(?:[eE](?P<e>{_EXPONENT})|\s*(?:\\times|\\cdot|\*)\s*10\^\{{?(?P<power>{_EXPONENT})\}}?)?"
    rf"|(?P<numerator>{_DECIMAL}|\({_SIGNED}\))\s*/\s*(?P<denominator>{_DECIMAL}|\({_SIGNED}\))"
    rf"|\\frac\s*\{{(?P<over>{_SIGNED})\}}\s*\{{(?P<under>{_SIGNED})\}}"
    r"|(?P<whole>\d+)\s*\\frac\s*\{\s*(?P<top>\d+)\s*\}\s*\{\s*(?P<bottom>\d+)\s*\}"
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


def decimal_comma(text: str) -> str | None:
    """Returns a number with a decimal comma with a decimal point; None for anything else.

    Three digits after a single comma are thousands, so they are no decimals.

    >>> decimal_comma("1000,99"), decimal_comma("1.234,5"), decimal_comma("1,234"), decimal_comma("1, 2")
    ('1000.99', '1234.5', None, None)
    """
    found = re.fullmatch(r"([+-]?)(\d{1,3}(?:\.\d{3})+|\d+),(\d{1,2}|\d{4,})", text)
    return f"{found[1]}{found[2].replace('.', '')}.{found[3]}" if found else None


_RECURRING = re.compile(
    r"(?<![\w.,])(?P<whole>\d{0,30})\.(?P<fixed>\d{0,30})"
    r"(?:\\(?:overline|bar|overbar|dot|widebar)\s*(?:\{\s*(?P<braced>\d{1,30})\s*\}|(?P<single>\d))|\((?P<round>\d{1,30})\))"
    r"(?!\s*(?:\\dot|\d))"
)
_DOTTED = re.compile(r"\\dot\s*\{?\s*(\d)\s*\}?(\d{0,28})\\dot\s*\{?\s*(\d)\s*\}?")


def recurring_decimals(text: str) -> str:
    r"""Returns the text with decimals that repeat as exact fractions.

    >>> recurring_decimals(r"0.\overline{36}"), recurring_decimals("-1.2(3)"), recurring_decimals(r"0.\dot{1}4\dot{2}")
    ('\\frac{4}{11}', '-\\frac{37}{30}', '\\frac{142}{999}')
    """
    return _RECURRING.sub(_as_fraction, _DOTTED.sub(r"\\overline{\1\2\3}", text))


def _as_fraction(found: re.Match[str]) -> str:
    whole, fixed = found["whole"], found["fixed"]
    period = found["braced"] or found["single"] or found["round"]
    shift = 10 ** len(fixed)
    value = Fraction(int(whole + fixed or "0"), shift) + Fraction(int(period), shift * (10 ** len(period) - 1))
    return rf"\frac{{{value.numerator}}}{{{value.denominator}}}"


def _magnitude(number: re.Match[str]) -> Fraction | None:
    """Returns the value without its sign, or None when the denominator is 0."""
    if number["decimal"]:
        exponent = int(number["e"] or number["power"] or 0)
        return _decimal(number["decimal"]) * Fraction(10) ** exponent
    for over, under in (("numerator", "denominator"), ("over", "under")):
        if number[over]:
            return _ratio(_decimal(number[over]), _decimal(number[under]))
    whole = int(number["whole"] or number["units"])
    part = _ratio(_decimal(number["top"] or number["part"]), _decimal(number["bottom"] or number["parts"]))
    return None if part is None else whole + part


def _decimal(digits: str) -> Fraction:
    """Returns the exact value of decimal digits, with or without a sign, brackets and thousands separators."""
    return Fraction(re.sub(r"[,()\s]", "", digits).rstrip("."))


def _ratio(numerator: Fraction, denominator: Fraction) -> Fraction | None:
    """Returns the quotient, or None when the denominator is 0."""
    return numerator / denominator if denominator else None
