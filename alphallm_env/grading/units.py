"""Units: what follows a number and names what is counted or measured. A unit is never converted into another."""

import re
from typing import NamedTuple


class Measure(NamedTuple):
    """A value and its unit in canonical spelling, "" for none."""

    value: str
    unit: str


def _aliases(table: dict[str, str]) -> dict[str, str]:
    return {alias: name for name, aliases in table.items() for alias in (name, *aliases.split())}


# The spellings of units that have several. Others are compared as written, without a plural s.
_NAMES = _aliases(
    {
        "meter": "m metre", "centimeter": "cm centimetre", "millimeter": "mm millimetre", "decimeter": "dm decimetre",
        "kilometer": "km kilometre", "inch": "in inches", "foot": "ft feet", "yard": "yd", "mile": "mi",
        "gram": "g gm", "kilogram": "kg kilo", "milligram": "mg", "pound": "lb", "ounce": "oz",
        "liter": "l litre", "milliliter": "ml millilitre", "gallon": "gal",
        "second": "s sec", "minute": "min", "hour": "h hr", "day": "", "week": "wk", "month": "", "year": "yr",
        "kmh": "kph km/h km/hr kilometer/hour", "mph": "mi/h mi/hr mile/hour",
        "percent": "pct percentage", "degree": "deg", "radian": "rad", "dollar": "usd", "cent": "", "person": "people",
        "woman": "women", "man": "men", "child": "children", "unit": "",
    }
)  # fmt: skip
_SHORT = frozenset(name for name in _NAMES if len(name) <= 2)
_LETTERS = frozenset("mglsh")  # may be variables: units only after a plain number
# Words after a number that change its value: never a unit.
NO_UNITS = frozenset(
    {
        "or", "and", "not", "no", "but", "maybe", "perhaps", "possibly", "about", "either", "wrong", "nor",
        "incorrect", "to", "over", "plus", "minus", "times", "divided", "by", "dozen", "dozens", "hundred",
        "hundreds", "thousand", "thousands", "million", "millions", "billion", "billions", "trillion", "half",
        "halves", "third", "thirds", "quarter", "quarters", "fifths", "tenths", "squared", "cubed", "factorial", "root",
        "roots", "pi", "less", "more", "than", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
        "ten", "eleven", "twelve", "twenty", "thirty", "forty", "fifty", "hundredth", "is", "are", "if", "sin", "cos",
        "tan", "log", "ln", "exp", "max", "mod", "modulo", "base", "below", "above", "remainder", "twice",
        "double", "triple", "pair", "pairs", "score", "gross", "except", "without", "nearly", "almost", "around",
        "roughly", "approximately", "at", "least", "most", "up", "between", "from", "greater", "fewer", "larger",
        "smaller", "unless", "until", "instead", "power", "square", "cube", "of", "all", "none", "never", "neither",
        "any", "some", "infinity", "negative", "positive", "when", "where", "for", "with", "divides", "multiple",
        "guess", "think", "unsure", "uncertain", "likely", "probably", "estimate", "estimated", "false", "cannot",
        "too", "fails", "ignore", "impossible", "exclude", "excludes", "excluding", "tens", "hundredths", "thousandths",
        "mil", "mill", "bil", "choose", "digit", "digits", "tenth", "percentile", "unlike", "rather", "was", "were",
    }
)  # fmt: skip
_POWERS = {"square": "2", "sq": "2", "cubic": "3", "cu": "3", "squared": "2", "cubed": "3", "^2": "2", "^3": "3"}
_PLAIN = re.compile(r"[+-]?[\d.,/\s]*\d")
_MEASURE = re.compile(
    r"(?P<value>.*(?:[\d)}\]]|\\pi))(?P<gap>\s*)"
    r"(?P<unit>[A-Za-z]+(?:(?:\s*/\s*|\s+|\.\s*)[A-Za-z]+){0,4}(?:\s?\^?\s?\{?[23]\}?)?)\.?",
    re.DOTALL,
)


def measure(text: str) -> Measure:
    r"""Returns the value and the unit of a normalised element; the element itself where no unit follows a value.

    >>> measure("18 red apples"), measure("5cm^2"), measure("3x"), measure("18 dozen")
    (Measure(value='18', unit='red apple'), Measure(value='5', unit='centimeter^2'), Measure(value='3x', unit=''),
     Measure(value='18 dozen', unit=''))
    """
    found = _MEASURE.fullmatch(text)
    if found is None:
        return Measure(text, "")
    is_plain = _PLAIN.fullmatch(found["value"]) is not None
    unit = _canonical(found["unit"], is_plain=is_plain, is_apart=bool(found["gap"]))
    return Measure(found["value"].strip(), unit) if unit else Measure(text, "")


def is_unit(words: str) -> bool:
    """Returns whether words that follow a value can only name what is counted."""
    return bool(_canonical(words.strip(" ()."), is_plain=True, is_apart=True))


def _canonical(words: str, *, is_plain: bool, is_apart: bool) -> str:
    """Returns the canonical spelling of a unit, "" where the words are none."""
    tokens = re.findall(r"[A-Za-z]+|/|\^?\s?\{?[23]", words)
    names = [token.lower() for token in tokens if token[0].isalpha()]
    if not 0 < len(names) <= 5 or (tokens[0] in ("M", "G", "S", "H")):
        return ""  # 18 M are millions
    first, power = names[0], ""
    if first in _POWERS and len(names) > 1:
        power, names = _POWERS[first], names[1:]
    elif names[-1] in _POWERS and len(names) > 1 and names[-2] in _NAMES:
        power, names = _POWERS[names[-1]], names[:-1]
    elif not tokens[-1][0].isalpha():
        power = tokens[-1].strip("^ {}")
    if not NO_UNITS.isdisjoint(names) or not _is_name(names[0], is_plain=is_plain, is_apart=is_apart):
        return ""
    joined = " ".join(_singular(name) for name in names).replace(" per ", "/")
    if "/" in tokens:
        joined = "/".join(_singular(name) for name in names)
    joined = _NAMES.get(joined, joined)
    return f"{joined}^{power}" if power else joined


def _is_name(name: str, *, is_plain: bool, is_apart: bool) -> bool:
    """Returns whether a first word is a unit rather than a variable or a product of some."""
    if name in _LETTERS:
        return is_plain
    if name in _SHORT:
        return True
    return len(name) > 2 and (is_plain or is_apart or name in _NAMES or _singular(name) in _NAMES)


def _singular(name: str) -> str:
    """Returns the canonical spelling of a unit's name."""
    if name in _NAMES:
        return _NAMES[name]
    stem = name[:-1] if name.endswith("s") else name
    return _NAMES.get(stem, stem if len(name) > 3 else name)


def compatible(one: str, other: str) -> bool:
    """Returns whether two units may name the same: one is absent, both are equal, or their nouns are."""
    if not one or not other or one == other:
        return True
    known = set(_NAMES.values()) - {"unit"}
    nouns = [set(re.split(r"[ /^]", unit)) for unit in (one, other)]
    if "unit" in (one, other):
        return True
    if any(noun & known for noun in nouns) or "^" in one + other or "/" in one + other:
        return False
    return one.split()[-1] == other.split()[-1]


_MARKS = [
    ("percent", re.compile(r"%|\bpercent|\bpct\b")),
    ("degree", re.compile(r"°|\\circ\b|\bdegrees?\b|\\degree")),
    ("dollar", re.compile(r"\\\$|\bdollars?\b|\bUSD\b")),
    ("cent", re.compile(r"¢|\bcents?\b")),
    ("euro", re.compile(r"€|\beuros?\b|\bEUR\b")),
    ("pound", re.compile("£|\bGBP\b")),
    ("yen", re.compile(r"¥|\byen\b")),
    ("rupee", re.compile(r"₹|\brupees?\b")),
]


def marks_agree(answer: str, gold: str) -> bool:
    """Returns whether the currency, percent and degree signs of two raw texts do not contradict each other."""
    one, other = ({name for name, sign in _MARKS if sign.search(text)} for text in (answer, gold))
    return not one or not other or bool(one & other)
