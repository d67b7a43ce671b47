"""Notation: rewrites an answer into one plain LaTeX form.

Rules here change how an answer is written, never what it says. They get short texts only:
`equivalence` refuses long ones.
"""

import re

from alphallm_env.grading.extraction import boxed_answer
from alphallm_env.grading.units import is_unit

_CHARACTERS = str.maketrans(
    {
        "−": "-", "–": "-", "×": r"\times ", "·": r"\cdot ", "÷": "/", "±": r"\pm ", "√": r"\sqrt ",
        "π": r"\pi ", "∞": r"\infty ", "≤": r"\leq ", "≥": r"\geq ", "≠": r"\neq ", "≈": r"\approx ",
        "\N{UNION}": r"\cup ", "∈": r"\in ", "∅": r"\emptyset ", "\N{DOUBLE-STRUCK CAPITAL R}": r"\mathbb{R}",
        "⟨": "(", "⟩": ")", "°": r"^\circ ", "²": "^2", "³": "^3", "½": r"\frac{1}{2}", "\N{NO-BREAK SPACE}": "~",
        "\N{THIN SPACE}": "~", "\N{NARROW NO-BREAK SPACE}": "~",
        **{chr(code): " " for code in (*range(9), 11, *range(14, 32), 127)},
    }
)  # fmt: skip

_TEXT = r"\\(?:text|textbf|textit|textrm|textsf|mathrm|mathbf|mathit|mbox|operatorname)\*?"
_FUNCTIONS = "arcsin|arccos|arctan|sinh|cosh|tanh|sin|cos|tan|cot|sec|csc|log|ln|exp|sqrt|pi|infty"
_OUTSIDE_MATRICES = [
    (r"\\\\(?=[A-Za-z(\[])", r"\\"),  # backslashes escaped twice
    (r"\\[()\[\]$]|\$", ""),  # math delimiters and dollar signs
    (r"\n|####", ","),
]
_AROUND_MATRICES = [
    (r"^(?:\s|\$|\\\[|\\\()+|(?:\s|\$|\\\]|\\\)|\.)+$", ""),
    (r"\s*\n\s*", " "),
]
_REWRITES = [
    (r"\s*\{,\s*\}\s*|,\\!\s*", ","),  # thousands
    (r"(?<=\d)(?:\\[,;: ]|~)\s*(?=\d{3}(?!\d))", ""),
    (_TEXT + r"\s*\{([^{}]*\b(?:or|and)\b[^{}]*)\}", r" \1 "),
    (r"(?<!\\)\\(?:q?quad|displaystyle|(?:[Bb]igg?[lr]?|left|right)(?![A-Za-z])|[!,;: ])|~", " "),
    (r"\\(?:d|t|c)frac", r"\\frac"),
    (r"\\frac\s*(\d)\s*(?=[\d{])", r"\\frac{\1}"),
    (r"\\frac(\s*\{[^{}]*\})\s*(\d)", r"\\frac\1{\2}"),
    (r"\\lt\b", "<"),
    (r"\\gt\b", ">"),
    (r"<=|\\leq?slant\b|\\le\b", r"\\leq "),
    (r">=|\\geq?slant\b|\\ge\b", r"\\geq "),
    (r"!=|\\ne\b", r"\\neq "),
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


def normalise(text: str) -> str:
    r"""Returns the answer in plain LaTeX: no delimiters, spacing commands, boxes, percent or degree signs.

    >>> normalise(r"$\boxed{\dfrac{3}{4}\text{ cups}}$")
    '\\frac{3}{4} cups'
    """
    text = (boxed_answer(text) or text).translate(_CHARACTERS)
    for pattern, replacement in [*(_AROUND_MATRICES if r"\begin" in text else _OUTSIDE_MATRICES), *_REWRITES]:
        text = re.sub(pattern, replacement, text, flags=re.DOTALL if "pmatrix" in replacement else 0)
    text = text.strip(" *,").rstrip("\\.").rstrip()
    unit = _UNIT_AFTER_LETTER.search(text)
    if unit and is_unit(unit[1]) and not text[: unit.start()].endswith(r"\pi"):
        text = text[: unit.start()]
    text = re.sub(r"\s+", " ", _ANY_TEXT.sub(r" \1 ", text)).strip()
    return _APPROXIMATELY.sub("", text, count=1) if _APPROXIMATELY.match(text) else text


def comparison_key(element: str) -> str:
    """Returns the element without insignificant white space."""
    return re.sub(r"(?<!\d)\s+|\s+(?!\d)", "", element)
