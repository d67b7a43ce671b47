"""Numerals: words that are numbers, or that change one. They are recognised by how languages build them."""

import re
from fractions import Fraction

_UNITS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_STEMS = ["twen", "thir", "four", "for", "fif", "six", "seven", "eigh", "nine", "nin"]
_LATIN = [
    "m", "b", "tr", "quadr", "quint", "sext", "sept", "oct", "non", "dec", "undec", "duodec", "tredec", "quattuordec",
    "quindec", "sexdec", "septendec", "octodec", "novemdec", "vigint", "cent", "z", "g", "baz", "jill", "gaj",
]  # fmt: skip
_CARDINAL = re.compile(rf"(?:{'|'.join(_UNITS)}|zero|(?:{'|'.join(_STEMS)})(?:teen|ty))")
_SCALE = re.compile(
    rf"(?:hundred|thousand|(?:{'|'.join(_LATIN)})ill(?:ion|iard)|lakh|lac|crore|arab|kharab|myriad|grand|dozen|gross|score|"
    r"googol|googolplex|wan|yi|oku|cho|milli?ard|billiard|triard|tens)s?"
)
# Of thousand, million and their like, as accounts abbreviate them: their consonants.
_ABBREVIATION = re.compile(r"[kmbt]|(?:th|thou|mi?ll?n?|mio|mrd|bi?ll?n?|bio|tr?i?ll?n|trn|tri|qn|cr|mm|ths|k)s?")
_ORDINAL = re.compile(
    rf"(?:first|second|third|(?:{'|'.join([*_UNITS, *_STEMS])}|fif|twelf|eigh|nin|[a-z]*ill?ion|hundred|thousand|"
    rf"(?:{'|'.join(_STEMS)})(?:teen|tie)|n|k|m|i|j|\d+)(?:th|st|nd|rd))"
)
_DENOMINATOR = re.compile(rf"(?:half|halves|third|quarter|{_ORDINAL.pattern})s?|[a-z]+[^aeiou]ths")
_MULTIPLE = re.compile(
    r"(?:half|twice|thrice|(?:double|triple|treble|quadruple|quintuple|sextuple|septuple|octuple|nonuple|decuple)"
    r"(?:s|d)?|doubl|tripl|halv(?:e|ed|ing)|squar(?:e|ed|ing)|cub(?:e|ed|ing)|quarter(?:ed)|[a-z]*fold|n?tupled?|"
    r"(?:doubl|tripl|trebl|quadrupl|squar|cub)ing|times|over|multipl(?:e|es|ied)|divided|reciprocal|inverse|negated|"
    r"root(?:s|ed)?|factorial|factorials|percentile|percentiles|decile|permille|permil|promille|ppm|ppb)"
)
# Closed classes of grammar that compare, deny, doubt, join or compute.
_PARTICLES = frozenset(
    [
        "or", "and", "not", "no", "but", "nor", "either", "neither", "never", "none", "cannot", "plus", "minus", "by",
        "to", "up", "less", "more", "than", "fewer", "greater", "larger", "smaller", "above", "below", "between",
        "at", "least", "most", "about", "around", "nearly", "almost", "roughly", "approximately", "some", "any", "if",
        "unless", "until", "except", "without", "instead", "rather", "too", "maybe", "perhaps", "possibly",
        "probably", "likely", "think", "guess", "unsure", "uncertain", "estimate", "estimated", "wrong", "false",
        "incorrect", "impossible", "negative", "positive", "infinity", "mod", "modulo", "base", "remainder", "unlike",
        "from", "where", "when", "with", "for", "is", "are", "was", "were", "of", "all", "both", "pi", "sin", "cos",
        "tan", "log", "ln", "exp", "max", "min", "power", "choose", "multiple", "divides", "digit", "digits", "pair",
        "pairs", "exclude", "excludes", "excluding", "ignore", "fails", "couple", "trio", "duo", "quartet", "bakers",
        "circa", "ca", "exceeds",
        "exceed", "exceeding", "under", "beyond", "might", "may", "could", "would", "should", "must", "best", "worst",
        "shy", "short", "upwards", "minimum", "maximum", "ish", "give", "take", "seems", "appears", "said",
    ]
)  # fmt: skip
_VALUES = {
    "hundred": 100, "thousand": 1_000, "million": 10**6, "billion": 10**9, "trillion": 10**12, "lakh": 10**5,
    "lac": 10**5, "crore": 10**7,
    "dozen": 12, "mln": 10**6, "mn": 10**6, "bn": 10**9, "tn": 10**12, "k": 1_000, "mil": 10**6,
    "grand": 1_000, "score": 20, "wan": 10**4, "yi": 10**8, "myriad": 10**4, "gross": 144,
    "quadrillion": 10**15, "quintillion": 10**18, "m": 10**6, "b": 10**9,
}  # fmt: skip


def changes_number(word: str) -> bool:
    """Returns whether a word beside a number is a number itself, or may change its value.

    >>> [changes_number(word) for word in ("eighths", "mln", "crore", "doubled", "septillion", "apples", "notes")]
    [True, True, True, True, True, False, False]
    """
    word = word.lower()
    return (
        word in _PARTICLES
        or _foreign(word) is not None
        or any(kind.fullmatch(word) for kind in (_CARDINAL, _SCALE, _ABBREVIATION, _DENOMINATOR, _MULTIPLE))
    )


def is_ordinal(word: str) -> bool:
    """Returns whether a word is an ordinal in the singular, which may stand before a noun: 5 eighth notes."""
    return _ORDINAL.fullmatch(word.lower()) is not None


def scale(word: str) -> Fraction | None:
    """Returns what a word multiplies a number by, None for a word that does not.

    >>> scale("dozen"), scale("lakhs"), scale("K"), scale("eighths"), scale("eggs")
    (Fraction(12, 1), Fraction(100000, 1), Fraction(1000, 1), Fraction(1, 8), None)
    """
    small = word.lower()
    if len(word) == 1:
        return Fraction(_VALUES[small]) if word in ("M", "B", "K", "k") else None
    factor = _VALUES.get(small) or _VALUES.get(small.removesuffix("s")) or _foreign(small)
    if factor:
        return Fraction(factor)
    parts = denominator(small)
    return Fraction(1, parts) if parts else None


# Thousand, million and milliard in other languages of Europe and in Malay.
_FOREIGN = [
    (re.compile(r"tausende?|mille|mila|duizend|tusen|tusind|tysiac[ae]?|ribu"), 1_000),
    (re.compile(r"mi(?:l|ll|lh|lj|lij|ly)(?:i?on|io|oen|ioen|un|ao|oes|on)(?:e|i|y|u|en|er|es|s|ow|a)?|juta"), 10**6),
    (re.compile(r"mi(?:l|ll|lj|lij|ly)i?ard(?:e|i|en|er|s|o|os|y|ow|a)?"), 10**9),
]


def _foreign(word: str) -> int | None:
    """Returns the value of a word for thousand, million or milliard in another language than English."""
    return next((value for words, value in _FOREIGN if words.fullmatch(word)), None)


def magnitude(word: str) -> int | None:
    """Returns the value of a word such as `hundred` or `million`, which a number word counts; None for another word."""
    return _VALUES.get(word) if len(word) > 3 and word != "dozen" else None


def denominator(word: str) -> int | None:
    """Returns how many parts a whole has of those that a word names, in the singular or plural: `third`, `halves`."""
    return _PARTS.get(word.removesuffix("s")) or _PARTS.get(word)


_PARTS = {
    "half": 2, "halve": 2, "halves": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7,
    "eighth": 8, "ninth": 9, "tenth": 10, "eleventh": 11, "twelfth": 12, "fifteenth": 15, "sixteenth": 16,
    "twentieth": 20, "hundredth": 100, "thousandth": 1_000, "millionth": 10**6,
}  # fmt: skip
