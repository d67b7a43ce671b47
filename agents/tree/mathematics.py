"""What a step says in mathematics, in canonical form: its equations, the numbers beside them, words where they count.

Texts are read by rules and never evaluated. What cannot be read is kept as it is written: it equals only itself.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple


class Content(NamedTuple):
    """What two texts must have in common to mean the same."""

    equations: frozenset[str]  # with a relation or an operator; sums and products in sorted order
    mentions: tuple[str, ...]  # numbers and variables outside equations, in their order
    is_negated: bool
    words: tuple[str, ...]  # all of them where the equations do not say everything; else none


@lru_cache(maxsize=8_192)  # a search compares every new text with all siblings
def mathematical_content(text: str) -> Content:
    r"""Returns the mathematical content of a step. Equal contents are necessary for two texts to mean the same.

    Where a calculation says all there is, with no number beside it, the words around it do not count. A sum or a
    product may be written in any order, a unit may follow a number, and a GSM8K mark `<<3*4=12>>` repeats its text.

    >>> mathematical_content("She has 3 x 4 = 12 eggs.") == mathematical_content("That is 4*3=12 in all.")
    True
    >>> mathematical_content("5 - 3 = 2") == mathematical_content("3 - 5 = 2")
    False
    >>> mathematical_content("He sells 3 more.") == mathematical_content("He sells 3 fewer.")
    False
    """
    plain = _plain(text)
    prose = _MARK.sub("", plain)
    words = [word.lower() for word in _WORDS.findall(prose)]
    equations: set[str] = set()
    mentions: list[str] = []
    is_complete = False
    if len(text) <= _LONGEST:
        for part in (prose, *_MARK.findall(plain)):
            for run in _runs(_UNIT.sub(_without_unit, part)):
                if len(run) > 1 and not _SIGNS.isdisjoint(run):
                    equations.add("".join(_sides(run)))
                    is_complete |= _says_all(run)
                elif part is prose:
                    mentions += run
    is_negated = sum(word in _NEGATIONS or word.endswith("n't") for word in words) % 2 == 1
    counts_words = mentions or not is_complete
    return Content(frozenset(equations), tuple(mentions), is_negated, tuple(words) if counts_words else ())


_LONGEST = 20_000  # characters of a text that is read as mathematics; a longer one equals only the same words
_DEEPEST = 40  # brackets within brackets
_MARK = re.compile(r"<<(.*?)>>")  # GSM8K's calculator marks: 3 * 4 = <<3*4=12>>12
_NUMBER = r"\d{1,3}(?:,\d{3})+(?![\d,])(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+"
_WORD = r"[^\W\d_]{2,30}(?:['’][^\W\d_]+)?"
_WORDS = re.compile(rf"{_WORD}|[^\W\d_]|\d+")
_RELATIONS = frozenset({"=", "<", ">", "<=", ">=", "!=", "~"})
_SIGNS = _RELATIONS | frozenset("+-*/^")
_NO_END = _SIGNS | frozenset("_(")
_NO_START = (_SIGNS | frozenset("_)%!")) - {"-"}
_NEGATIONS = frozenset({"not", "no", "never", "nor", "neither", "cannot", "without"})
# The names of operators and numbers in English.
_OPERATORS = {"times": "*", "plus": "+", "minus": "-", "equals": "=", "percent": "%"}
_UP_TO_NINETEEN = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS = "ten twenty thirty forty fifty sixty seventy eighty ninety"
_NUMBERS = {name: str(value) for value, name in enumerate(_UP_TO_NINETEEN.split())} | {
    name: str(10 * value) for value, name in enumerate(_TENS.split(), 1)
}
_QUANTITIES = frozenset(
    {"half", "third", "thirds", "quarter", "quarters", "once", "twice", "thrice", "double", "triple", "dozen"}
    | {"hundred", "thousand", "million", "billion", "trillion"}
)
_FRACTION = "\\frac"
_COMMANDS = {
    "times": "*", "cdot": "*", "ast": "*", "div": "/", "le": "<=", "leq": "<=", "leqslant": "<=", "ge": ">=",
    "geq": ">=", "geqslant": ">=", "lt": "<", "gt": ">", "ne": "!=", "neq": "!=", "approx": "~", "%": "%",
    "left": "", "right": "", ",": "", ";": "", ":": "", "!": "", " ": "", "quad": "", "qquad": "", "$": "",
    "(": "", ")": "", "[": "", "]": "", "displaystyle": "", "boxed": "", "dfrac": _FRACTION, "tfrac": _FRACTION,
    "cfrac": _FRACTION, "nicefrac": _FRACTION, "sfrac": _FRACTION,
}  # fmt: skip
_CHARACTERS = str.maketrans(
    {"×": "*", "·": "*", "∗": "*", "✕": "*", "⋅": "*", "÷": "/", "\u2044": "/", "\u2215": "/",
     "−": "-", "–": "-", "—": "-", "≤": "<=", "≥": ">=", "≠": "!=", "≈": "~", "{": "(", "}": ")", "’": "'", "$": "",
     "£": "", "€": "", "¥": ""}
)  # fmt: skip
_TOKEN = re.compile(
    rf"(?P<number>{_NUMBER})|(?P<sign>[<>!]=|[-+*/^=<>~])|(?P<bracket>[()%!_√∞°])|\\(?P<command>[A-Za-z]+|.)"
    rf"|(?P<word>{_WORD})|(?P<letter>[^\W\d_])|(?P<end>\S)"
)
# A unit after a number, before the rest of a calculation: "76 pages * 1/2", "4 boys/girl = 24 boys".
_UNIT = re.compile(rf"(?<=[\d)%])\s*(?:/\s?|per\s)?({_WORD}(?:[\s/]{_WORD}){{0,2}})(?=\s*[-+*/=<>)]|\s*[xX]\s*[\d(.])")
_NO_UNIT = _NEGATIONS | _QUANTITIES | _OPERATORS.keys() | _NUMBERS.keys()
_REWRITES = (
    (re.compile(r"\\(?:text|mathrm|mbox|textbf|mathbf|operatorname)\s*\{([^{}]*)\}"), r" \1 "),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"\\[dtc]?frac\s*(\d)\s*(\d)"), r"\\frac{\1}{\2}"),
)
_SPOKEN = ((re.compile(r"\b(?:divided by|over)\b"), "/"), (re.compile(r"\bmultiplied by\b"), "*"),
           (re.compile(r"\bis equal to\b"), "="))  # fmt: skip
_BULLET = re.compile(r"^\s*[-*•]\s+", re.MULTILINE)


def _plain(text: str) -> str:
    """Returns a text whose signs, fractions and exponents are written in ASCII, with brackets for LaTeX's groups."""
    if not text.isascii():
        text = "".join(map(_decomposed, text))
    text = _BULLET.sub("", text)
    if "\\" in text:
        for pattern, replacement in _REWRITES:
            text = pattern.sub(replacement, text)
    text = text.translate(_CHARACTERS)
    for pattern, replacement in _SPOKEN:
        text = pattern.sub(replacement, text)
    return text


def _without_unit(match: re.Match[str]) -> str:
    return match[0] if _NO_UNIT & set(match[1].lower().split()) else ""


def _decomposed(character: str) -> str:
    """Returns a character by Unicode's compatible decomposition: ½ as (1/2), x² as x^2, a full-width 3 as 3."""
    if character.isascii():
        return character
    kind = unicodedata.decomposition(character).partition(" ")[0]
    plain = unicodedata.normalize("NFKC", character)
    return {"<super>": f"^{plain}", "<sub>": f"_{plain}", "<fraction>": f" ({plain}) "}.get(kind, plain)


def _runs(text: str) -> Iterator[list[str]]:
    """Yields the tokens of mathematics that stand together, without a word or a punctuation mark between them."""
    run: list[str] = []
    for match in _TOKEN.finditer(text):
        token = _token(match, text, run)
        if token is None:
            if run := _trimmed(run):
                yield run
            run = []
        elif token:
            if run and _is_number(run[-1]) and _is_number(token):
                yield _trimmed(run)
                run = []
            run.append(token)
    if run := _trimmed(run):
        yield run


def _token(match: re.Match[str], text: str, run: list[str]) -> str | None:
    """Returns a token of mathematics, "" for one without meaning, None for what ends a run."""
    found = match[0]
    match match.lastgroup:
        case "number":
            return _number(found)
        case "sign" | "bracket":
            return found
        case "command":
            return _COMMANDS.get(match["command"], found)
        case "word":
            word = found.lower()
            named = _NUMBERS.get(word) or _OPERATORS.get(word) or (word if word in _QUANTITIES else None)
            return named or (found if text[match.end() : match.end() + 1] == "(" else None)
        case "letter":
            return _letter(match, text, run)
        case _:
            return None


def _letter(match: re.Match[str], text: str, run: list[str]) -> str | None:
    """Returns a variable, the sign of multiplication for an x between numbers, None for a word of one letter."""
    letter, before, after = match[0], text[: match.start()], text[match.end() :].lstrip()[:1]
    if letter in "xX" and run and (_is_number(run[-1]) or run[-1] in ")%") and (after.isdigit() or after in ("(", ".")):
        return "*"
    if letter in "aAI" and not (
        before[-1:].isdigit() or (after and after in "=<>+*/^_~") or (run and run[-1] in _SIGNS)
    ):
        return None
    return letter


def _number(text: str) -> str:
    plain = text.replace(",", "")
    whole, point, decimals = plain.partition(".")
    decimals = decimals.rstrip("0")
    return (whole.lstrip("0") or "0") + (point + decimals if decimals else "")


def _is_number(token: str) -> bool:
    return token[0].isdigit()


def _trimmed(run: list[str]) -> list[str]:
    """Returns a run without signs at its ends and brackets without a partner, which belong to the text around it."""
    while run and run[-1] in _NO_END:
        run = run[:-1]
    while run and run[0] in _NO_START:
        run = run[1:]
    surplus = run.count("(") - run.count(")")
    while surplus > 0 and run and run[0] == "(":
        run, surplus = run[1:], surplus - 1
    while surplus < 0 and run and run[-1] == ")":
        run, surplus = run[:-1], surplus + 1
    return run


def _says_all(run: list[str]) -> bool:
    """Returns whether a run is an equation whose left side is more than a number, which may be part of a name."""
    index = next((index for index, token in enumerate(run) if token in _RELATIONS), 0)
    left = run[:index]
    return index > 0 and (any(token in _SIGNS for token in left[1:]) or any(token[-1].isalpha() for token in left))


def _sides(run: list[str]) -> Iterator[str]:
    """Yields the sides of a run in canonical form, and the relations between them."""
    side: list[str] = []
    for token in [*run, ""]:
        if token and token not in _RELATIONS:
            side.append(token)
            continue
        try:
            yield _Parser(side).parsed()
        except _UnreadableError:
            yield f"?{' '.join(side)}?"
        yield token
        side = []


class _UnreadableError(Exception):
    """The tokens are no expression."""


class _Parser:
    """Reads an expression by recursive descent. Sums and products are sorted; juxtaposed factors keep their order."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._next = 0
        self._depth = 0

    def parsed(self) -> str:
        expression = self._sum()
        if self._next < len(self._tokens):
            raise _UnreadableError
        return expression

    def _peek(self) -> str:
        return self._tokens[self._next] if self._next < len(self._tokens) else ""

    def _take(self, *tokens: str) -> str:
        """Returns the next token, which is consumed, if it is one of `tokens`; else ""."""
        if (token := self._peek()) in tokens and token:
            self._next += 1
            return token
        return ""

    def _sum(self) -> str:
        terms = [("-" if self._take("+", "-") == "-" else "") + self._product()]
        while sign := self._take("+", "-"):
            terms.append(("-" if sign == "-" else "") + self._product())
        return terms[0] if len(terms) == 1 else f"({' + '.join(sorted(terms))})"

    def _product(self) -> str:
        factors = self._factors("*")
        while sign := self._take("*", "/"):
            factors += self._factors(sign)
        return factors[0] if len(factors) == 1 else f"({' * '.join(sorted(factors))})"

    def _factors(self, sign: str) -> list[str]:
        """Returns the next factor, or numerator and denominator of a fraction, divisors behind a slash."""
        if self._peek() != _FRACTION:
            return [("/" if sign == "/" else "") + self._juxtaposed()]
        self._next += 1
        above, below = self._atom(), self._atom()
        if (token := self._peek()) and token not in _SIGNS and token != ")":
            raise _UnreadableError
        return [f"/{above}", below] if sign == "/" else [above, f"/{below}"]

    def _juxtaposed(self) -> str:
        factors = [self._power()]
        while (token := self._peek()) and token not in _SIGNS and token not in (")", "%", "!", "_", "°"):
            factors.append(self._power())
        return " ".join(factors)

    def _power(self) -> str:
        base = self._atom()
        while mark := self._take("^", "_"):
            sign = self._take("-")
            base = f"({base}{mark}{sign}{self._atom()})"
        return base

    def _atom(self) -> str:
        if self._take("("):
            self._depth += 1
            if self._depth > _DEEPEST:
                raise _UnreadableError
            inner = self._sum()
            self._depth -= 1
            if not self._take(")"):
                raise _UnreadableError
        else:
            inner = self._peek()
            if not inner or inner in _SIGNS or inner in (")", "%", "!", "_", "°"):
                raise _UnreadableError
            self._next += 1
        while mark := self._take("%", "!", "°"):
            inner += mark
        return inner
