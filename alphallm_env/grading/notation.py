"""Notation: rewrites an answer into one plain LaTeX form and splits lists into their elements.

Rules here change how an answer is written, never what it says. They see short texts only:
`equivalence` turns long ones away.
"""

import re

from alphallm_env.grading.extraction import boxed_answer

_CHARACTERS = str.maketrans(
    {
        "−": "-", "–": "-", "×": r"\times ", "·": r"\cdot ", "÷": "/", "±": r"\pm ", "√": r"\sqrt ",
        "π": r"\pi ", "∞": r"\infty ", "≤": r"\leq ", "≥": r"\geq ", "≠": r"\neq ", "\N{UNION}": r"\cup ",
        "∈": r"\in ", "°": "", "²": "^2", "³": "^3", "½": r"\frac{1}{2}", "\N{NO-BREAK SPACE}": " ",
        **{chr(code): " " for code in (*range(9), 11, *range(14, 32), 127)},
    }
)  # fmt: skip

_OUTSIDE_MATRICES = [
    (r"\\\\(?=[A-Za-z(\[])", r"\\"),  # backslashes escaped twice
    (r"\\[()\[\]$]|\$", ""),  # math delimiters and dollar signs
    (r"\n|####", ","),
]
_REWRITES = [
    (r",\\!\s*|\{,\}", ","),  # thousands
    (r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox)\s*\{([^{}]*\b(?:or|and)\b[^{}]*)\}", r" \1 "),
    (r"(?<!\\)\\(?:q?quad|displaystyle|(?:left|right|big|Big)(?![A-Za-z])|[!,;: ])|~", " "),
    (r"\\(?:d|t|c)frac", r"\\frac"),
    (r"\\frac\s*(\d)\s*(\d)", r"\\frac{\1}{\2}"),
    (r"\\lt\b", "<"),
    (r"\\gt\b", ">"),
    (r"<=|\\le\b", r"\\leq "),
    (r">=|\\ge\b", r"\\geq "),
    (r"\^\s*\{?\s*\\(?:circ|degree)\s*\}?|\\degree", ""),
    (r"\\?%", ""),
    (r"\*\*", "^"),
    (r"\^\(([^()]*)\)", r"^{\1}"),
    (r"(?<![\\A-Za-z])(pi|infty)(?![A-Za-z])", r"\\\1 "),
    (r"\{bmatrix\}", "{pmatrix}"),
]
_TRAILING_TEXT = re.compile(r"(?<=[\w})])\s*\\(?:text|textbf|textit|textrm|mathrm|mbox)\s*\{([^{}\d]*)\}$")
_ANY_TEXT = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox)\s*\{([^{}]*)\}")
# Words after a number that change its value: never a unit.
_NO_UNITS = frozenset(
    {
        "or", "and", "not", "no", "but", "maybe", "perhaps", "possibly", "about", "either", "wrong",
        "incorrect", "to", "over", "plus", "minus", "times", "divided", "by", "dozen", "hundred", "hundreds",
        "thousand", "thousands", "million", "millions", "billion", "trillion", "half", "third", "quarter",
        "squared", "cubed", "factorial", "root", "pi", "less", "more", "than", "one", "two", "three", "four",
        "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "twenty", "thirty", "forty",
        "fifty", "is", "are", "if", "sin", "cos", "tan", "log", "ln", "exp", "max", "min", "mod",
    }
)  # fmt: skip
_SHORT_UNITS = frozenset(
    {
        "mm", "cm", "dm", "km", "kg", "mg", "ml", "in", "ft", "yd", "mi", "lb", "oz", "hr", "us", "h", "s",
        "g", "m", "l",
    }
)  # fmt: skip


def normalise(text: str) -> str:
    r"""Returns the answer in plain LaTeX: no delimiters, spacing commands, boxes, percent or degree signs.

    >>> normalise(r"$\boxed{\dfrac{3}{4}\text{ cups}}$")
    '\\frac{3}{4}'
    """
    text = (boxed_answer(text) or text).translate(_CHARACTERS)
    has_rows = r"\begin" in text
    for pattern, replacement in [*([] if has_rows else _OUTSIDE_MATRICES), *_REWRITES]:
        text = re.sub(pattern, replacement, text)
    text = text.strip(" *").rstrip("\\.").rstrip()
    unit = _TRAILING_TEXT.search(text)
    if unit and _is_unit(unit[1]):
        text = text[: unit.start()]
    return re.sub(r"\s+", " ", _ANY_TEXT.sub(r" \1 ", text)).strip()


def elements(normalised: str) -> tuple[str, ...]:
    r"""Returns the elements of a list or a finite set, in the given order; one element for anything else.

    >>> elements("18 or 20"), elements(r"\{1, 2\}"), elements("(1, 2)"), elements(r"1 \pm x")
    (('18', '20'), ('1', '2'), ('(1, 2)',), ('1 + x', '1 - x'))
    """
    inside = re.fullmatch(r"\\\{(.*)\\\}|\{(.*)\}", normalised, re.DOTALL)
    if inside and (body := inside[1] or inside[2]) and _is_balanced(body):
        normalised = body
    whole = r"\begin" in normalised or re.match(r"or\b|.*\bor$", normalised)
    parts = [normalised] if whole else _split(normalised)
    signed = [branch for part in parts for branch in _branches(part)]
    found = [element for part in signed if (element := re.sub(r"^\s+|[\s.]+$", "", part))]
    # A tuple is one solution: written twice it is still one. A number repeated may be two roots.
    first = {comparison_key(element): element for element in reversed(found)}
    return tuple(element for element in found if element[0] != "(" or first[comparison_key(element)] is element)


_SEPARATOR = re.compile(r"[,;]|\b(?:or|and)\b|\\[{}]|[()\[\]{}]|\\[A-Za-z]+")


def _split(text: str) -> list[str]:
    """Returns the parts between the commas, semicolons, "or" and "and" that no bracket encloses."""
    parts, depth, start = [""], 0, 0
    masked = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "_", text)  # a thousands comma separates nothing
    for token in _SEPARATOR.finditer(masked):
        if token[0][-1] in "([{":
            depth += 1
        elif token[0][-1] in ")]}":
            depth -= 1
        elif depth == 0 and not token[0].startswith("\\"):
            parts[-1] = text[start : token.start()]
            parts, start = [*parts, ""], token.end()
    return [*parts[:-1], text[start:]]


def _is_balanced(body: str) -> bool:
    """Returns whether the braces that were taken off belonged together."""
    depth = 0
    for brace in re.findall(r"[{}]", body):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            return False
    return depth == 0


def _branches(part: str) -> list[str]:
    r"""Returns both readings of an element that holds `\pm`, or the element alone."""
    if r"\pm" not in part:
        return [part]
    return [re.sub(r"\\pm\s*", sign, part) for sign in ("+ ", "- ")]


def comparison_key(element: str) -> str:
    """Returns the element without the white space that carries no meaning."""
    return re.sub(r"(?<!\d)\s+|\s+(?!\d)", "", element)


_NAME = re.compile(r"[A-Za-z\\{}|:(),\s']*(?:_\{?\w+\}?[A-Za-z\\{}|:(),\s']*)*")


def without_name(element: str) -> str:
    r"""Returns the right side of `x = …`, `f(x) = …`, `(p, q) = …`; any other element as it is."""
    right = sides(element)
    return right[0] if element.count("=") == len(right) == 1 else element


def sides(element: str) -> tuple[str, ...]:
    r"""Returns all that an equation says the answer is: both sides of `2 · 9 = 18`, the last of `x = 18`."""
    named, *rest = element.split("=")
    is_named = bool(rest) and bool(named.strip()) and bool(_NAME.fullmatch(named))
    return tuple(side.strip() for side in (rest if is_named else [named, *rest]))


def without_membership(element: str) -> str:
    r"""Returns the set of `x \in S`, or the element itself."""
    return re.sub(r"^\w\s*\\in(?![A-Za-z])\s*", "", element)


def without_unit(element: str, *, short_units: bool) -> str:
    """Returns the number of "18 apples"; the element itself where no unit follows a number.

    Units of one or two letters, which may be variables, are taken off only with `short_units`.
    """
    measured = re.fullmatch(r"([+-]?[\d.,/\s]*\d)\s*([A-Za-z](?:[A-Za-z ./-]*[A-Za-z])?\s?(?:\^?\s?[23])?)", element)
    if measured is None:
        return element
    is_long = all(len(word) > 2 for word in re.findall("[A-Za-z]+", measured[2])[:1])
    return measured[1].strip() if (is_long or short_units) and _is_unit(measured[2]) else element


def _is_unit(words: str) -> bool:
    """Returns whether the words can only name what is counted."""
    names = re.findall("[A-Za-z]+", words.lower())
    known = all(len(name) > 2 or name in _SHORT_UNITS or position for position, name in enumerate(names))
    return 0 < len(names) <= 5 and known and _NO_UNITS.isdisjoint(names)
