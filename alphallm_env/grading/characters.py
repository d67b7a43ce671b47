r"""Characters: an answer in any script as the ASCII and LaTeX that the grader reads, by Unicode's own tables.

½ is \frac{1}{2} and x⁴ is x^{4} by the decompositions of the standard, － and ‐ are minus signs by its categories, α is
\alpha by its name. What has no meaning in mathematics goes: marks of direction, joiners, ticks and pictures.
"""

import re
import unicodedata
from functools import cache

# What the standard's tables do not tell: signs of mathematics, and punctuation without a compatible ASCII letter.
_SIGNS = {
    "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "∙": r"\cdot ", "∗": "*", "÷": "/", "∕": "/", "⁄": "/",
    "±": r"\pm ", "∓": r"\mp ", "√": r"\sqrt ", "∞": r"\infty ", "≤": r"\leq ", "≥": r"\geq ", "≦": r"\leq ",
    "≧": r"\geq ", "⩽": r"\leq ", "⩾": r"\geq ", "≠": r"\neq ", "≈": r"\approx ", "≡": r"\equiv ", "∪": r"\cup ",
    "∩": r"\cap ", "∖": r"\setminus ", "∈": r"\in ", "∉": r"\notin ", "∅": r"\emptyset ", "⌀": r"\emptyset ",
    "⟨": "(", "⟩": ")", "〈": "(", "〉": ")", "⌊": r"\lfloor ", "⌋": r"\rfloor ", "⌈": r"\lceil ", "⌉": r"\rceil ",
    "∣": "|", "‖": r"\|", "∥": r"\parallel ", "⊥": r"\perp ", "∠": r"\angle ", "△": r"\triangle ", "∨": r"\lor ",
    "∧": r"\land ", "¬": r"\neg ", "⊂": r"\subset ", "⊆": r"\subseteq ", "→": r"\to ", "∂": r"\partial ",
    "∫": r"\int ", "∑": r"\sum ", "∏": r"\prod ", "°": r"^\circ ", "º": r"^\circ ", "˚": r"^\circ ",
    "′": "'", "″": "''", "‘": "'", "’": "'", "“": '"', "”": '"', "。": ".", "、": ",", "٫": ".", "٬": ",",
    "\N{CUBE ROOT}": r"\sqrt[3]", "\N{FOURTH ROOT}": r"\sqrt[4]", "\N{MULTIPLICATION X}": r"\times ",
    "万": " wan ", "萬": " wan ", "亿": " yi ", "億": " yi ",
    "\N{INVISIBLE TIMES}": "", "\N{INVISIBLE SEPARATOR}": ",", "\N{INVISIBLE PLUS}": "", "\u00ad": "",
}  # fmt: skip
_GREEK = re.compile(r"GREEK (SMALL|CAPITAL) LETTER (FINAL )?([A-Z]+)")
_LATEX_GREEK = frozenset(
    [
        "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lamda", "mu", "nu",
        "xi", "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega",
    ]
)  # fmt: skip
_LATIN_CAPITALS = dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "ABEZHIKMNOPTYX", strict=True))
_SCRIPTS = {"<super>": "^", "<sub>": "_"}
_REPEATED = {"\u0305": "overline", "\u0307": "dot"}  # combining, over digits that repeat
_REFUSALS = re.compile(r"CROSS MARK|BALLOT X|SALTIRE|NO ENTRY|PROHIBITED|QUESTION|THUMBS DOWN")
_ROOT = re.compile(r"([√∛∜])\s*(\d+(?:\.\d+)?)")
_SCRIPT_RUN = re.compile(r"([\^_])\{([^{}]*)\}(?:\1\{([^{}]*)\})+")


def plain_characters(text: str) -> str:
    r"""Returns the text in ASCII and LaTeX where Unicode says how; what it cannot say stays as it is.

    Spaces that break no line are `~`. A combining line or dot over digits is \overline{…} or \dot{…}.

    >>> plain_characters("2½ ＋ x⁻¹²"), plain_characters("‐７ ✅"), plain_characters("x₁ ≤ 3α")
    ('2\\frac{1}{2} + x^{-12}', '-7 ', 'x_{1} \\leq  3\\alpha ')
    """
    if text.isascii() and text.isprintable():
        return text
    text = _with_marks(unicodedata.normalize("NFC", text))
    plain = _WORD.sub(_without_accents, "".join(map(_plain, _ROOT.sub(r"\1{\2}", text))))
    return _SCRIPT_RUN.sub(lambda run: f"{run[1]}{{{re.sub(r'[{}^_]', '', run[0])}}}", plain)


_WORD = re.compile(r"[^\W\d_]{3,}")


def _without_accents(word: re.Match[str]) -> str:
    """Returns a word of letters with accents in plain letters, where all of it can be written so; else as it is."""
    plain = "".join(c for c in unicodedata.normalize("NFD", word[0]) if not unicodedata.combining(c))
    return plain if plain.isascii() else word[0]


def _with_marks(text: str) -> str:
    """Returns the text with lines and dots that combine with digits as LaTeX."""
    for mark, command in _REPEATED.items():
        text = re.sub(rf"(?:\d{mark})+", lambda run, m=mark, c=command: rf"\{c}{{{run[0].replace(m, '')}}}", text)
    return text


@cache
def _plain(character: str) -> str:
    """Returns one character in ASCII and LaTeX, itself where the standard does not tell."""
    category = unicodedata.category(character)
    if character in _SIGNS:
        return _SIGNS[character]
    if character.isascii():
        return character if character.isprintable() or character in "\n\t" else " "
    name = unicodedata.name(character, "")
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if category == "Pd" or name.endswith("MINUS SIGN"):
        return "-"
    if category in ("Cf", "Cc", "Me") or name.startswith(("VARIATION SELECTOR", "EMOJI MODIFIER")):
        return ""
    if category in ("Zs", "Zl", "Zp"):
        return "~" if unicodedata.decomposition(character) and character != "\u3000" else " "
    if greek := _greek(character, name):
        return greek
    return _decomposed(character, name, category)


def _greek(character: str, name: str) -> str:
    r"""Returns \alpha for α, A for Α, "" for a letter of another alphabet."""
    found = _GREEK.fullmatch(name)
    if found is None or found[3].lower() not in _LATEX_GREEK | {"omicron"}:
        return ""
    if character in _LATIN_CAPITALS or found[3] == "OMICRON":
        return _LATIN_CAPITALS.get(character, "o")
    letter = "lambda" if found[3] == "LAMDA" else found[3].lower()
    return f"\\{letter.capitalize() if found[1] == 'CAPITAL' else 'var' * bool(found[2]) + letter} "


def _decomposed(character: str, name: str, category: str) -> str:
    """Returns what the standard's decomposition of a character says, nothing for a picture."""
    kind, *parts = unicodedata.decomposition(character).split() or [""]
    if kind == "<fraction>":
        value = "".join(chr(int(part, 16)) for part in parts).split("\u2044")
        return rf"\frac{{{value[0]}}}{{{value[1]}}}" if all(value) else value[0] + "/"
    if kind in _SCRIPTS:
        inside = "".join(_plain(chr(int(part, 16))) for part in parts)
        return f"{_SCRIPTS[kind]}{{{inside}}}"
    if name.startswith("DOUBLE-STRUCK CAPITAL") or "MATHEMATICAL DOUBLE-STRUCK CAPITAL" in name:
        return rf"\mathbb{{{unicodedata.normalize('NFKC', character)}}}"
    if kind.startswith("<"):  # wide, narrow, font, circle, square, compat
        return "".join(_plain(chr(int(part, 16))) for part in parts)
    if category == "So":
        return character if _REFUSALS.search(name) else ""
    return character
