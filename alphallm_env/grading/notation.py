"""Notation: rewrites an answer into one plain LaTeX form.

Rules here change how an answer is written, never what it says. They get short texts only:
`equivalence` refuses long ones.
"""

import re
from collections.abc import Callable

from alphallm_env.grading.characters import plain_characters
from alphallm_env.grading.extraction import boxed_answer
from alphallm_env.grading.plain_numbers import recurring_decimals
from alphallm_env.grading.quantities.phrases import is_unit

_TEXT = r"\\(?:text(?:bf|it|rm|sf|tt|sc|sl|md|up|normal)?|math(?:rm|bf|it|sf|tt|normal)|[hm]box|emph|operatorname)\*?"
# Commands that change how their last argument looks: `\textcolor{red}{27}` is 27.
_STYLED = re.compile(
    r"\\(?:(?:textcolor|colorbox|fcolorbox\{[^{}]*\}|raisebox|scalebox)\s*(?:\[[^\]]*\])?\{[^{}]*\}|boldsymbol|bm|pmb|"
    r"math(?:bf|it|sf|tt|normal|op|ord|bin|rel)|under(?:line|bar)|uline|ensuremath|fbox|framebox|boxed)\s*(?=\{)"
)
_INVISIBLE = re.compile(
    r"\\(?:color|[hv]?phantom|[hv]space\*?|label|tag\*?|vskip|hskip|kern)\s*(?:\[[^\]]*\])?\{[^{}]*\}"
    r"|\\(?:tiny|scriptsize|footnotesize|small|normalsize|large|Large|LARGE|huge|Huge|(?:display|text|script|"
    r"scriptscript)style|bf|rm|it|sf|tt|bfseries|itshape|mathstrut|strut|nolimits|limits|hfill|enspace|thinspace|"
    r"medspace|thickspace|negthinspace|nonumber|notag|noindent|centering|checkmark|blacksquare|qed|hline|null|relax|"
    r"middle|math(?:open|close|punct))(?![A-Za-z])"
)
_FUNCTIONS = "arcsin|arccos|arctan|sinh|cosh|tanh|sin|cos|tan|cot|sec|csc|log|ln|exp|sqrt|pi|infty"
_ROWS = [  # of matrices and cases
    (r"\\cr(?![A-Za-z])|\\newline(?![A-Za-z])|\\tabularnewline", r"\\\\"),
    (r"\\\\\*?\s*(?:\[\s*-?[\d.]+\s*[a-z]{2}\s*\])?", r"\\\\"),
    (r"\\(?:d|small)?cases\b", r"\\cases"),
]
_OUTSIDE_MATRICES = [
    (r"\\\\(?=[A-Za-z(\[])", r"\\"),  # backslashes escaped twice
    (r"\\[()\[\]$]|\$", ""),  # math delimiters and dollar signs
    (r"\n|####", ","),
]
_AROUND_MATRICES = [
    (r"^(?:\s|\$|\\\[|\\\()+|(?:\s|\$|\\\]|\\\)|\.)+$", ""),
    (r"\s*\n\s*", " "),
]
_TEMPERATURE = (
    r"\s{0,3}\^?\s{0,3}\{?\s{0,3}(?:\\circ|\\degree|\\deg|\bdegrees?\b)\s{0,3}\}?\s{0,3}(?:\\[,;: !]|~){0,3}\s{0,3}"
    r"(?:\\(?:text\w*|math\w+|mbox)\s{0,3})?\{?\s{0,3}([CFK])(?:elsius|ahrenheit|elvin)?\s{0,3}\}?(?![A-Za-z])"
)


def _without_ending(ordinal: re.Match[str]) -> str:
    return ordinal[1][:-2]


def _scale_of(temperature: re.Match[str]) -> str:
    return {"C": " celsius", "F": " fahrenheit", "K": " kelvin"}[temperature[1]]


_REWRITES: list[tuple[str, str | Callable[[re.Match[str]], str]]] = [
    (r"\s*\{,\s*\}\s*|,\\!\s*", ","),  # thousands
    (r"(?<=\d)(?:\\[,;: ]|~)\s*(?=\d{3}(?!\d))", ""),
    (_TEXT + r"\s*\{([^{}]*\b(?:or|and)\b[^{}]*)\}", r" \1 "),
    (r"(?<!\\)\\(?:q?quad|displaystyle|(?:[Bb]igg?[lr]?|left|right)(?![A-Za-z])|[!,;: ])|~", " "),
    (r"\\colon(?![A-Za-z])", ":"),
    (r"\bper\s+cent\b", "percent"),
    (r"(?<=\d)\s*secs?\.?\s*$", " seconds"),
    (r"^\s*([+-]?)\s*infinity\s*$", r"\1\\infty"),
    (r"\s+after all\s*$", ""),
    (r"(?<=\d)\s{0,3}\^\s{0,3}\{\s{0,3}(st|nd|rd|th)\s{0,3}\}", r"\1"),
    (r"(?<=\d)\s*[xX]\s*(?=10\s*(?:\^|\*\*))", r"\\times "),
    (r"\\(?:d|t|c|x|nice|s|flat)frac(?:\[[lcr]\])?", r"\\frac"),
    (r"\\[dt]binom", r"\\binom"),
    (r"\{([^{}]+)\\over(?![A-Za-z])([^{}]+)\}", r"\\frac{\1}{\2}"),
    (r"\{([^{}]+)\\choose(?![A-Za-z])([^{}]+)\}", r"\\binom{\1}{\2}"),
    (r"^([^{}]+)\\over(?![A-Za-z])([^{}]+)$", r"\\frac{\1}{\2}"),
    (r"\\frac\s*(\d)\s*(?=[\d{])", r"\\frac{\1}"),
    (r"\\frac(\s*\{[^{}]*\})\s*(\d)", r"\\frac\1{\2}"),
    (r"\\lt\b", "<"),
    (r"\\gt\b", ">"),
    (r"<=|\\leq?slant\b|\\le\b", r"\\leq "),
    (r">=|\\geq?slant\b|\\ge\b", r"\\geq "),
    (r"!=|\\ne\b|\\not\s*=", r"\\neq "),
    (r"\\(?:backslash|smallsetminus)(?![A-Za-z])", r"\\setminus "),
    (r"\\(?:varnothing|O)(?![A-Za-z])|\\\{\s*\\\}|^\{\s*\}$", r"\\emptyset "),
    (r"(?<=\d)\s{0,3}\^?\s{0,3}\{?\s{0,3}\\(?:text\w*|mathrm)\s{0,3}\{\s{0,3}(st|nd|rd|th)\s{0,3}\}\s{0,3}\}?", r"\1"),
    (r"(?<![\d.,/])(\d*(?:1[123]th|(?<!1)1st|(?<!1)2nd|(?<!1)3rd|[04-9]th))(?![A-Za-z])", _without_ending),
    (_TEMPERATURE, _scale_of),
    (r"(?<=[\d\s}{])([kMGm]?)\\Omega\s{0,3}(?=\}?\s{0,3}$)", r" \1ohm "),
    (r"\\l?brace(?![A-Za-z])", r"\\{"),
    (r"\\rbrace\b", r"\\}"),
    (r"\\langle\b", "("),
    (r"\\rangle\b", ")"),
    (r"\^\s*\{?\s*\\(?:circ|degree)\s*\}?|\\degree", ""),
    (r"\\?%|[€£¥₹¢]", ""),
    (r"^\*\*(.*)\*\*$", r"\1"),  # emphasis
    (r"\*\*", "^"),
    (r"\^\(([^()]*)\)", r"^{\1}"),
    (r"([_^])\{(\w)\}", r"\1\2"),
    (rf"(?<![\\A-Za-z])({_FUNCTIONS})(?![A-Za-z])", r"\\\1 "),
    (r"\\sqrt\s*\(([^()]*)\)", r"\\sqrt{\1}"),
    (r"\\begin\{array\}\{[lcr|\s]*\}(.*?)\\end\{array\}", r"\\begin{pmatrix}\1\\end{pmatrix}"),
    (r"\{(?:bmatrix|Bmatrix|smallmatrix)\}", "{pmatrix}"),
    (r"[(\[]\s*(\\begin\{pmatrix\}(?:(?!\\end).)*\\end\{pmatrix\})\s*[)\]]$", r"\1"),
]
_UNIT_AFTER_LETTER = re.compile(rf"(?<=[A-Za-z])\s*{_TEXT}\s*\{{([^{{}}\d]*)\}}$")
_ANY_TEXT = re.compile(_TEXT + r"\s*\{([^{}]*)\}")
_APPROXIMATELY = re.compile(r"(?:[A-Za-z]\s*)?\\approx\s*(?=[-+\d.])")


_QUOTED = re.compile(r"^\s*(`{1,3}|_{1,2})([^`_]+)\1\s*$")
_OR_BETWEEN_INTERVALS = re.compile(r"(?<=[)\]])\s*(?:\\text\{\s*or\s*\}|\bor\b)\s*(?=[(\[])")


def normalise(text: str) -> str:
    r"""Returns the answer in plain LaTeX: no delimiters, spacing commands, boxes, percent or degree signs.

    >>> normalise(r"$\boxed{\dfrac{3}{4}\text{ cups}}$")
    '\\frac{3}{4} cups'
    """
    text = _unstyled(plain_characters(boxed_answer(text) or text))
    text = re.sub(r"\b(?:US|AU|CA|NZ|HK)\s?(?=\\?\$\s*[\d.])", "", text)
    text = _QUOTED.sub(r"\2", re.sub(r"\{\s*\n\s*|\s*\n\s*\}", lambda found: found[0].strip(), text))
    if r"\pm" not in text:
        text = text.replace(r"\mp", r"\pm")
    if r"\infty" in text:
        text = _OR_BETWEEN_INTERVALS.sub(r" \\cup ", text)
    around = [*_ROWS, *_AROUND_MATRICES] if r"\begin" in text else _OUTSIDE_MATRICES
    for pattern, replacement in [*around, *_REWRITES]:
        dots = isinstance(replacement, str) and "pmatrix" in replacement
        text = re.sub(pattern, replacement, text, flags=re.DOTALL if dots else 0)
    text = recurring_decimals(text)
    text = _unbraced(text.strip(" *,;").rstrip("\\.").rstrip())
    unit = _UNIT_AFTER_LETTER.search(text)
    if unit and is_unit(unit[1]) and not text[: unit.start()].endswith(r"\pi"):
        text = text[: unit.start()]
    text = re.sub(r"\s+", " ", _ANY_TEXT.sub(r" \1 ", text)).strip()
    return _APPROXIMATELY.sub("", text, count=1) if _APPROXIMATELY.match(text) else text


def _unstyled(text: str) -> str:
    """Returns the text without commands that change only how it looks."""
    while styled := _STYLED.search(text):
        start = styled.end()
        end = _closing(text, start)
        if end is None:
            break
        text = f"{text[: styled.start()]} {text[start + 1 : end]} {text[end + 1 :]}"
    return _INVISIBLE.sub(" ", text)


def _closing(text: str, start: int) -> int | None:
    """Returns the place of the brace that closes the one at `start`, None where none does."""
    depth = 0
    for brace in re.finditer(r"\\.|[{}]", text[start:], re.DOTALL):
        depth += {"{": 1, "}": -1}.get(brace[0], 0)
        if depth == 0:
            return start + brace.start()
    return None


def _unbraced(text: str) -> str:
    """Returns the text without braces that only group: those around all of it or around braces. `{1, 2}` is a set."""
    while text[:1] == "{" and _closing(text, 0) == len(text) - 1 and not re.search("[,;]", text):
        text = text[1:-1].strip()
    return re.sub(r"\{\{([^{}]*)\}\}", r"{\1}", text)


def comparison_key(element: str) -> str:
    """Returns the element without insignificant white space."""
    return re.sub(r"(?<!\d)\s+|\s+(?!\d)", "", element)
