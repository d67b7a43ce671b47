"""Units: what follows a number and names what is counted or measured. A unit is never converted into another."""

import re


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
        "percent": "pct percentage", "degree": "deg", "radian": "rad", "celsius": "", "fahrenheit": "", "kelvin": "",
        "dollar": "usd buck", "cent": "c penny pennies pence", "euro": "eur", "rupee": "inr rs", "yen": "jpy",
        "yuan": "cny rmb",
        "won": "krw", "franc": "chf", "person": "people", "woman": "women", "man": "men", "child": "children kid",
        "unit": "", "time": "", "ohm": "", "ton": "tonne", "acre": "", "hectare": "ha", "pint": "pt", "quart": "qt",
        "tablespoon": "tbsp", "teaspoon": "tsp", "cup": "", "hz": "hertz", "joule": "", "newton": "", "watt": "",
        "volt": "", "ampere": "amp", "pascal": "", "calorie": "cal", "kilocalorie": "kcal", "byte": "", "bit": "",
        "mole": "mol", "knot": "", "furlong": "", "decade": "", "century": "centuries", "fortnight": "",
    }
)  # fmt: skip
_SHORT = frozenset(name for name in _NAMES if len(name) <= 2)
_LETTERS = frozenset("mglsh")  # may be variables: units only after a plain number
_POWERS = {"square": "2", "sq": "2", "cubic": "3", "cu": "3", "squared": "2", "cubed": "3", "^2": "2", "^3": "3"}
# A prefix and a symbol of the International System, with the letters' case: kWh, GB, mL, kPa.
_SYMBOL = re.compile(
    r"(?:[YZEPTGMkhdcmunpf]|da)?(?:m|g|s|A|mol|cd|Hz|N|Pa|J|W|C|V|F|S|Wb|T|lm|lx|Bq|Gy|Sv|L|l|eV|B|b|bit|byte|cal|Wh|Hz|bps|ohm)"
)
_SINGLE = frozenset("NJWVAL")  # symbols that are one capital and no usual abbreviation of a number
_IRREGULAR = frozenset(
    [
        "people", "men", "women", "children", "feet", "teeth", "geese", "mice", "lice", "oxen", "dice", "fish",
        "sheep", "deer", "cattle",
    ]
)  # fmt: skip
_SINGULAR_S = re.compile(r".*(?:ss|us|is)")


_PREFIX = re.compile(
    r"(?:yotta|zetta|exa|peta|tera|giga|mega|kilo|hecto|deca|deci|centi|milli|micro|nano|pico)-?(?P<base>[a-z]+)"
)
_PREFIXED = frozenset(
    [
        "meter", "gram", "liter", "second", "joule", "newton", "watt", "volt", "ampere", "pascal", "calorie", "byte",
        "bit", "hz", "ohm", "mole", "ton",
    ]
)  # fmt: skip


def is_scaled_by_prefix(word: str) -> bool:
    """Returns whether a prefix of the International System scales something that is no unit of it: `kilodollars`."""
    found = _PREFIX.fullmatch(word.lower())
    return found is not None and not is_measure(word)


def is_measure(word: str) -> bool:
    """Returns whether a word is a unit of measurement or money, as written: `cm`, `hours`, `kWh`, `USD`."""
    if len(word) == 1:
        return word in _SINGLE or word in _LETTERS or word == "c"
    known = word.lower() in _NAMES or singular(word.lower()) in _NAMES.values()
    prefixed = _PREFIX.fullmatch(word.lower())
    return known or _SYMBOL.fullmatch(word) is not None or bool(prefixed and singular(prefixed["base"]) in _PREFIXED)


def is_plural(word: str) -> bool:
    """Returns whether a noun is in the plural, by its ending."""
    word = word.lower()
    return word in _IRREGULAR or (len(word) > 3 and word.endswith("s") and not _SINGULAR_S.fullmatch(word))


def singular(name: str) -> str:
    """Returns the canonical spelling of a unit's or a noun's name, in small letters."""
    if name in _NAMES:
        return _NAMES[name]
    stem = name[:-1] if name.endswith("s") else name
    return _NAMES.get(stem, stem if len(name) > 3 else name)


_PREFIXES = {
    "T": "tera", "G": "giga", "M": "mega", "k": "kilo", "h": "hecto", "d": "deci", "c": "centi", "m": "milli",
    "n": "nano", "p": "pico",
}  # fmt: skip
_BASES = {
    "m": "meter", "g": "gram", "L": "liter", "l": "liter", "s": "second", "J": "joule", "N": "newton", "W": "watt",
    "V": "volt", "A": "ampere", "Pa": "pascal", "cal": "calorie", "B": "byte", "Hz": "hz", "ohm": "ohm", "mol": "mole",
}  # fmt: skip
_PREFIXED_SYMBOL = re.compile(rf"(?P<prefix>[{''.join(_PREFIXES)}]?)(?P<base>{'|'.join(_BASES)})")


def _of_symbol(word: str) -> str:
    """Returns the name of a symbol, whose case tells its prefix: mPa is no MPa. "" for other words."""
    found = _PREFIXED_SYMBOL.fullmatch(word)
    if (
        found is None
        or (word.lower() in _NAMES and not word.startswith("M"))
        or (len(word) == 1 and word not in _SINGLE)
    ):
        return ""
    return _PREFIXES.get(found["prefix"], "") + _BASES[found["base"]]


def canonical(words: list[str], power: str) -> str:
    """Returns the canonical spelling of a unit of some words, `/` among them, and a power, "" for none."""
    names = [_of_symbol(word) or singular(word.lower()) for word in words]
    joined = re.sub(r"\s*/\s*", "/", " ".join(names).replace(" per ", "/"))
    joined = _NAMES.get(joined, joined)
    return f"{joined}^{power}" if power else joined


def power_of(word: str) -> str:
    """Returns 2 for `square` and 3 for `cubic`, "" for another word."""
    return _POWERS.get(word.lower(), "")


def compatible(one: str, other: str) -> bool:
    """Returns whether two units may name the same: one is absent, both are equal, or their nouns are."""
    if not one or not other or one == other:
        return True
    known = set(_NAMES.values()) - {"unit"}
    nouns = [set(re.split(r"[ /^]", unit)) for unit in (one, other)]
    if "unit" in (one, other) or {one, other} in ({"degree", "celsius"}, {"degree", "fahrenheit"}):
        return True
    if any(noun & known for noun in nouns) or "^" in one + other or "/" in one + other:
        return False
    return one.split()[-1] == other.split()[-1]


_MARKS = [
    ("percent", re.compile(r"%|\bper\s?cent|\bpct\b")),
    ("degree", re.compile(r"°|\\circ\b|\bdegrees?\b|\\degree")),
    ("dollar", re.compile(r"\\\$|\bdollars?\b|\bUSD\b")),
    ("cent", re.compile(r"¢|\bcents?\b")),
    ("euro", re.compile(r"€|\beuros?\b|\bEUR\b")),
    ("pound", re.compile("£|\bGBP\b")),
    ("yen", re.compile(r"¥|\byen\b")),
    ("rupee", re.compile(r"₹|\brupees?\b")),
]


_BARE_DOLLAR = re.compile(r"(?<!\\)\$\s*\d")


def _marks_of(text: str) -> set[str]:
    names = {name for name, sign in _MARKS if sign.search(text)}
    if text.count("$") % 2 and _BARE_DOLLAR.search(text):
        names.add("dollar")  # a pair of dollar signs delimits a formula
    return names


def marks_agree(answer: str, gold: str) -> bool:
    """Returns whether the currency, percent and degree signs of two raw texts do not contradict each other."""
    one, other = _marks_of(answer), _marks_of(gold)
    return not one or not other or bool(one & other)
