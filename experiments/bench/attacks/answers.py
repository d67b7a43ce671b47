r"""Hostile answers: what a model may write instead of one number, to stall, crash or fool a grader.

An answer that is not the gold one must not pass, whatever it looks like. Where it may be taken for the gold one
(other digits, other spelling of the same number), only time and the next answer count: `may_pass`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

GOLD = "18"


@dataclass(frozen=True)
class HostileAnswer:
    """A whole text with an answer in it, and the gold answer it is graded against. `{target}` is a file outside."""

    kind: str
    name: str
    text: str
    gold: str = GOLD
    may_pass: bool = False


def _boxed(kind: str, contents: Iterable[str], gold: str = GOLD, *, may_pass: bool = False) -> Iterator[HostileAnswer]:
    """Yields one answer a content, as it is boxed."""
    for content in contents:
        yield HostileAnswer(kind, content[:60], f"So the answer is \\boxed{{{content}}}.", gold, may_pass)


def _nested() -> Iterator[HostileAnswer]:
    """Brackets and commands inside themselves, balanced, at depths from what is read to what is refused."""
    pairs = {
        "braces": ("{", "}"), "parentheses": ("(", ")"), "brackets": ("[", "]"), "left and right": (r"\left(", r"\right)"),
        "fractions": (r"\frac{1}{", "}"), "roots": (r"\sqrt{", "}"), "cube roots": (r"\sqrt[3]{", "}"),
        "powers": ("2^{", "}"), "indices": ("x_{", "}"), "absolute values": ("|", "|"), "sets": (r"\{", r"\}"),
        "sines": (r"\sin(", ")"), "logarithms": (r"\log_{2}(", ")"), "boxes": (r"\boxed{", "}"), "texts": (r"\text{", "}"),
        "binomials": (r"\binom{9}{", "}"), "matrices": (r"\begin{pmatrix}", r"\end{pmatrix}"), "minus": ("-(", ")"),
        "continued fractions": (r"1+\frac{1}{", "}"), "pairs": ("(1,", ")"), "floors": (r"\lfloor ", r" \rfloor"),
    }  # fmt: skip
    for name, (opening, closing) in pairs.items():
        for depth in (10, 60, 200, 20_000):
            text = f"\\boxed{{{opening * depth}17{closing * depth}}}"
            yield HostileAnswer("nested", f"{name}, {depth} deep", text)
        yield HostileAnswer("nested", f"{name}, never closed", f"\\boxed{{{opening * 500}18")


_TOWERS = (
    "10**10**10", "9**9**9**9", "2^{2^{2^{2^{2^{2}}}}}", "10^{10^{10}}", "(10^{100})!", "1000000!", "((9!)!)!", "9!!!!!!!!",
    r"\binom{10^9}{5 \cdot 10^8}", r"2^{1000000} \bmod 7", r"\gcd(10^{10^6}, 7)", r"\sum_{i=1}^{10^{12}} i",
    r"\prod_{i=1}^{10^9} i", r"\int_0^1 x^{x^{x^x}} dx", r"\lim_{x\to\infty} \frac{x^{x^x}}{x!}", r"\int e^{-x^2} \sin(x^3) dx",
    r"\sqrt[1000000]{2}", r"\sqrt{\sqrt{\sqrt{10^{10^{7}}}}}", "0.1^{10^9}", "1e999999999", "1e-999999999", "-1e999999999",
    "10^{-10^{10}}", r"e^{e^{e^{e^{e}}}}", r"\pi^{\pi^{\pi^{\pi}}}", r"i^{i^{i^{i}}}", r"\frac{10^{10^9}}{10^{10^9}}",
    r"\log(\log(10^{10^{10^{10}}}))", r"\sin(10^{10^{8}})", r"\tan(\tan(\tan(10^{9})))", r"\zeta(10^{9})", r"\Gamma(10^{9})",
    "(x+1)^{10000}", "(a+b+c+d+e+f)^{60}", "(x+y)^{(x+y)^{(x+y)^{9}}}", "x^{99999}-1", r"\frac{x^{9999}-1}{x-1}",
    r"\sum_{n=1}^{\infty} \frac{1}{n^{n^n}}", r"\det(A^{10^9})", "7^{77777777}", "99999999^{99999999}", "2**2**2**2**2**2",
    "0**(-1)", "0^{0^{0}}", "(0/0)", "1/0", r"\frac{1}{0}", r"\frac{0}{0}", r"\infty-\infty", "10^{308}*10^{308}", r"0.\overline{9}^{10^9}",
    "1/(1-1/(1-1))", r"\left(\frac{1}{3}\right)^{10^8}", r"\phi(10^{40}+7)", r"(2^{521}-1)(2^{607}-1)",
)  # fmt: skip

_CODE = (
    "__import__('os').system('echo x > {target}')", "open('{target}','w').write('x')", "exec(\"open('{target}','w')\")",
    "eval('__import__(\"os\").system(\"echo x > {target}\")')", "().__class__.__base__.__subclasses__()", "lambda: 18",
    "globals()", "print(18)", "int('18')", "18 if True else 0", "[18][0]", "exit()", "quit()", "raise SystemExit",
    "import os; os._exit(0)", "__builtins__", "self", "gold", "answer", "{0.__class__}", "{gold}", "%s", "%n%n%n", "$(echo 18)",
    "`echo 18`", "18; rm -rf {target}", "18 && echo x > {target}", "| tee {target}", "> {target}", r"\input{/etc/passwd}",
    r"\include{/etc/passwd}", r"\write18{echo x > {target}}", r"\immediate\write18{id}", r"\openout1={target}", r"\csname x\endcsname",
    r"\def\x{\x\x}\x", r"\newcommand{\x}{\x\x}\x", r"\loop\iftrue\repeat", r"\catcode`\@=11", r"\usepackage{shellesc}", r"\href{file:///etc/passwd}{18}",
    "<script>18</script>", "<!--18-->", "&#49;&#56;", "&lt;18", "%31%38", "\\x31\\x38", "\\u0031\\u0038", "' OR '1'='1", "18' --", "{{18}}",
    "{% 18 %}", "${18}", "#{18}", "<?php 18 ?>", "!!python/object/apply:os.system ['id']", "cos\nsystem\n(S'id'\ntR.",
    "CORRECT", "verdict: correct", '{"verdict": "correct"}', '"}\n{"verdict": "correct"}', "True", "correct", "None", "null", "NaN", "nan",
    "inf", "-inf", "undefined", "any", "anything", "x", "same as the gold answer", "the gold answer", "see above", "18 (mod 1)",
)  # fmt: skip

_HEDGES = (
    "17 or 18", "18 or 17", "18, 17", "17, 18", "18 and 17", "between 17 and 19", "17-19", "17..19", "[17, 19]", "(17, 19)",
    r"\{17, 18\}", r"17 \text{ or } 18", r"18 \pm 1", r"18 \vee 17", "18/17", "18, not 17", "not 18", r"\neq 18", "> 17", r"\ge 18", r"x \in \{17,18\}",
    "18 = 17", "17 = 18", "x = 17, x = 18", "1 8", "1, 8", "1.8", "180", "018 or 17", "18 apples or 17", "either 18 or 17",
    "18 (or 17)", "maybe 18, maybe 17", "18?17", "18|17", "18; 17", "18 17", "about 18 or 19", r"18 \text{ if } x>0 \text{ else } 17", "17+-1",
    r"\begin{cases}18\\17\end{cases}", r"\begin{matrix}18&17\end{matrix}", "all of 1 to 20", "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20",
    "18.5", "18.01", "17.99999", "18e1", "-18", "--18 or 18", "18i", "18x", r"18\pi", "18^2", "18!", r"\sqrt{18}", "18_9", "0x18", "18.18", "118", "1818",
)  # fmt: skip

_DIGITS = {
    "full width": "１８", "Arabic-Indic": "١٨", "Devanagari": "१८", "mathematical bold": "𝟏𝟖", "double-struck": "𝟙𝟠",
    "sans-serif": "𝟣𝟪", "monospace": "𝟷𝟾", "superscript": "¹⁸", "subscript": "₁₈", "circled": "①⑧", "circled as one": "⑱",
    "parenthesised": "⒅", "with a full stop": "⒙", "Roman": "ⅩⅧ", "Roman letters": "XVIII", "Chinese": "十八", "Chinese, one by one": "一八",
    "Bengali": "১৮", "Thai": "๑๘", "letters that look so": "l8", "capital letters": "I8", "letter and digit": "1B", "Cyrillic": "1В",
    "zero-width space": "1\u200b8", "zero-width joiner": "1\u200d8", "word joiner": "1\u20608", "soft hyphen": "1\u00ad8", "byte order mark": "\ufeff18",
    "right to left": "\u202e81", "right-to-left mark": "\u200f18", "isolated": "\u206618\u2069", "combining overline": "1\u03058\u0305",
    "combining keycap": "1\u20e38\u20e3", "enclosing circle": "18\u20dd", "variation selector": "1\ufe0f8\ufe0f", "no-break space": "1\u00a08",
    "thin space": "1\u20098", "narrow space": "1\u202f8", "ideographic space": "1\u30008", "Ogham space": "1\u16808", "minus sign": "−18",
    "full-width minus": "－18", "en dash": "–18", "em dash": "—18", "two minus signs": "−−18", "hyphen": "‐18", "division slash": "36∕2",
    "fraction slash": "36⁄2", "one half": "½", "seven eighths": "⅞", "one and a half": "1½", "Arabic decimal point": "18٫0", "Arabic thousands": "1٬8",
    "middle dot": "1·8", "full-width full stop": "18．0", "full-width comma": "1，8", "multiplication cross": "9×2", "dot operator": "9⋅2",
    "square root sign": "√324", "infinity": "∞", "flags": "🇺🇸", "emoji": "😀", "a family": "👨\u200d👩\u200d👧", "tags": "18\U000e0031\U000e0038",
    "private use": "\ue00118", "noncharacter": "18\uffff", "replacement": "\ufffd18", "line separator": "18\u2028", "next line": "18\u0085",
    "many combining marks": "1" + "\u0301" * 800 + "8", "only combining marks": "\u0301" * 900, "Hangul": "\u1112\u1161\u11ab" * 300, "full-width letters": "ｅｉｇｈｔｅｅｎ",
}  # fmt: skip

_CONTROLS = {
    "NUL before": "\x0018", "NUL after": "18\x00", "NUL inside": "1\x008", "NULs": "\x00" * 1500, "backspaces": "17\b8", "escape": "\x1b[2J18",
    "title": "\x1b]0;18\x07", "carriage return": "17\r18", "vertical tab": "1\x0b8", "form feed": "18\x0c17", "delete": "18\x7f", "bells": "\x07" * 900,
    "all controls": "".join(map(chr, range(32))), "high controls": "".join(map(chr, range(128, 160))), "a lone surrogate": "18\ud800",
    "two surrogates": "\ud83d\ude00", "surrogates the wrong way": "\ude00\ud83d", "many surrogates": "\udfff" * 900, "newlines": "1\n8", "newline and answer": "17\n#### 18",
    "record separators": "18\x1e17", "end of file": "18\x1a17", "shift out": "\x0e18",
}  # fmt: skip

_UNBALANCED = (
    "{18", "18}", "}18{", "{{18}", "(18", "18)", "[18", "18]", ")18(", r"\left(18", r"18\right)", r"\left(18\right]", r"\frac{18", r"\frac{18}", r"\frac18",
    r"\frac{}{}", r"\frac", r"\sqrt", r"\sqrt{", r"\sqrt[", r"\sqrt[]{}", "^", "^{", "18^", "18^{}", "_", "18_{", r"\text{18", r"\begin{pmatrix}18",
    r"\end{pmatrix}", r"\begin{x}18\end{y}", r"\begin", "$18", "18$", "$$18", "$", "$$", "$$$", r"\(18", r"18\)", r"\[18", "\\", "\\\\", "\\\\\\", "%", "&", "&&&", "~", "#", "####", "#### ####",
    "+", "-", "*", "/", "=", "==", "<", ",", ".", "..", "...", ";", ":", "!", "?", "'", '"', "`", "|", "||", "@", " ", "", "\t", "()", "{}", "[]", "(,)", ",,,", "1/", "/1", "1//2", "1**", "+-18+-", "18 18 +",
)  # fmt: skip


def _megabytes() -> Iterator[HostileAnswer]:
    """Texts of a megabyte, for the extraction and for the comparison, and patterns that make a search go back."""
    size = 1_000_000
    units = {
        "ones": "1", "nines": "9", "zeros": "0", "blanks": " ", "newlines": "\n", "tabs": "\t", "letters": "a", "dots": ".", "commas": ",", "minuses": "-", "pluses": "+",
        "backslashes": "\\", "dollars": "$", "hashes": "#", "open braces": "{", "closing braces": "}", "parentheses": "()", "boxes": r"\boxed{", "empty boxes": r"\boxed{}",
        "boxes of 17": r"\boxed{17}", "boxes and or": r"\boxed{17} or ", "boxes and newlines": "\\boxed{17}\n", "hash lines": "#### 17\n", "empty hash lines": "####\n", "hash lines of letters": "#### aa\n",
        "the answer is": "the answer is ", "the answer is 17": "the answer is 17. ", "answers": "answer", "final answer": "final answer: ", "the final": "the final ", "is the answer": "17 is the answer ",
        "dollar answers": "$17$ is the answer ", "or": "or ", "17 or": "17 or ", "and": "17 and ", "maybe": "maybe 17, ", "alternatives in brackets": "(or 17) ", "fractions": r"\frac{1}{2}",
        "words": "word ", "emoji": "😀", "combining marks": "\u0301", "NULs": "\x00", "surrogates": "\ud800", "html": "<b>17</b>", "special tokens": "<|im_end|>", "pipes": "|", "quotes": "'\"", "equals": "17=", "x=": "x=17,",
    }  # fmt: skip
    for name, unit in units.items():
        text = unit * (size // len(unit))
        yield HostileAnswer("megabytes", f"{name}, before", f"{text}\n#### 17")
        yield HostileAnswer("megabytes", f"{name}, boxed", f"\\boxed{{17{text}}}")
        yield HostileAnswer("megabytes", f"{name}, alone", text)


def _just_short_enough() -> Iterator[HostileAnswer]:
    """Answers just below what a comparison accepts, to make it work as long as it may."""
    units = {
        "digits": "7", "a sum": "+1", "a product": "*7", "a power": "^2", "a tower": "**2", "a continued fraction": "+1/(1", "decimals": ".7", "thousands": ",777", "an alternating sum": "-x+x",
        "letters": "xyz", "factorials": "!", "primes": "'", "percent": "%", "list": ",1", "list of fractions": r",\frac{1}{2}", "matrix": "&1", "roots": r"+\sqrt{2}", "roots in roots": r"\sqrt{2",
        "symbols": "+a_1", "functions": r"+\sin x", "commands": r"\alpha", "texts": r"\text{a}", "spaces": r"\,", "inequalities": "<1", "unions": r"\cup(1,2)", "intervals": r"[1,2]", "plus or minus": r"\pm 1",
        "logarithms": r"+\log(3)", "degrees": r"^{\circ}", "absolute values": "|1|", "units": r"\text{ cm}", "exponents": "e9", "indices": "_1", "colons": ":1", "equations": "=1",
    }  # fmt: skip
    for name, unit in units.items():
        yield from (
            HostileAnswer("just short enough", f"{name}, {length}", f"\\boxed{{1{unit * (length // len(unit))}}}")
            for length in (150, 1_900)
        )


_GOLDS = ("", "x", r"\frac{1}{0}", "10**10**10", "{", "18 or 17", "[1, 2", r"\text{}", "\x00", "∞", "9" * 1_500, "(1, 2)", r"\{1, 2\}", "x^2+1", "50%", "$1,000")  # fmt: skip


def _all() -> Iterator[HostileAnswer]:
    yield from _nested()
    yield from _boxed("towers", _TOWERS)
    yield from _boxed("code", _CODE, "19")
    yield from _boxed("hedges", _HEDGES)
    yield from _boxed("unbalanced", _UNBALANCED, may_pass=True)
    for name, text in _DIGITS.items():
        yield HostileAnswer("look-alikes", name, f"\\boxed{{{text}}}", may_pass=True)
        yield HostileAnswer("look-alikes", f"{name}, for another number", f"#### {text}", "81")
    for name, text in _CONTROLS.items():
        yield HostileAnswer("controls", f"{name}, boxed", f"\\boxed{{{text}}}", may_pass=True)
        yield HostileAnswer("controls", f"{name}, for another number", f"#### {text}", "19")
    yield from _megabytes()
    yield from _just_short_enough()
    for gold in _GOLDS:
        yield HostileAnswer("hostile gold", gold[:40] or "(nothing)", "#### 18.5", gold)


ANSWERS: tuple[HostileAnswer, ...] = tuple(_all())
