r"""Extraction: the one final answer that a text commits to, or None.

Four kinds of statement are searched for, in this order: `#### x` lines, `\boxed{x}`, a sentence such as "the answer
is x", and a text that is one sentence, "The sum is $x$." The last statement of a kind counts. Where it is joined to
others ("`\boxed{18}` or `\boxed{20}`"), all of them together are the answer, so that a hedge never passes for one.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

MAX_CHARACTERS = 100_000  # of the end of a text; the rest is not read


class Statement(NamedTuple):
    """A span of a text that states an answer."""

    start: int
    end: int
    content: str


def extract_answer(text: str) -> str | None:
    r"""Returns the final answer as written, without its marker, or None when the text states none.

    >>> extract_answer("3 · 6 = 18\n#### 18")
    '18'
    >>> extract_answer(r"So \boxed{\frac{1}{2}}, no: \boxed{\frac{1}{3}}.")
    '\\frac{1}{3}'
    >>> extract_answer(r"\boxed{18} or \boxed{20}")
    '18 or 20'
    """
    text = text[-MAX_CHARACTERS:]
    for find in (_hash_lines, boxed_statements, _sentences, _only_sentence):
        if answer := _final_answer(text, find(text)):
            return answer
    return None


def boxed_answer(text: str) -> str | None:
    r"""Returns what the last `\boxed{…}` holds (all that are joined to it, where there are several)."""
    return _final_answer(text, boxed_statements(text))


# Text that joins two statements into one, and the most characters of it.
_REACH = 80
_ALTERNATIVES = frozenset(
    {
        "or", "maybe", "perhaps", "possibly", "alternatively", "either", "might", "could",
    }
)  # fmt: skip
_FILLERS = frozenset(
    {
        "a", "also", "an", "and", "answer", "be", "but", "even", "else", "final", "instead", "is", "it",
        "just", "may", "the",
    }
)  # fmt: skip
_DECORATION = re.compile(r"\\(?:q?quad|text|mathrm)|[^\w=]")


def _final_answer(text: str, statements: Sequence[Statement]) -> str:
    """Returns the last statement's content, together with the alternatives joined to it; "" for none."""
    if not statements:
        return ""
    first = len(statements) - 1
    glue = ", "
    while first > 0 and (joint := _joint(text[statements[first - 1].end : statements[first].start])):
        first, glue = first - 1, joint if joint == " or " else glue
    contents = list(dict.fromkeys(statement.content for statement in statements[first:]))
    before = _hedge_before(text[: statements[first].start])
    return before + glue.join(contents) + _hedge_after(text[statements[-1].end :])


def _joint(between: str) -> str:
    """Returns what joins two statements with this text between them: " or ", ", ", or "" for nothing."""
    if len(between) > _REACH:
        return ""
    words = _DECORATION.sub(" ", between).lower().split()
    if len(words) <= 8 and not _ALTERNATIVES.isdisjoint(words):
        return " or "
    one_sentence = len(words) <= 2 and not re.search(r"[.=]", between)
    return ", " if not words or ("and" in words and one_sentence) else ""


def _hedge_after(rest: str) -> str:
    """Returns " or <number>" where another number follows a final statement."""
    follows = re.match(r"\W*((?:[a-z]+\W+){1,8}?)(-?\d[\d.,/]*)", rest[:_REACH], re.IGNORECASE)
    if follows is None:
        return ""
    words = set(re.findall(r"[a-z]+", follows[1].lower()))
    hedged = words & _ALTERNATIVES and words <= _ALTERNATIVES | _FILLERS
    return f" or {follows[2].rstrip('.,')}" if hedged else ""


def _hedge_before(head: str) -> str:
    """Returns "<number> or " where a final statement is only the second half of an alternative."""
    leads = re.search(r"(-?\d[\d.,/]*)\W*\s(?:and/)?or\W*$", head[-_REACH:], re.IGNORECASE)
    return f"{leads[1]} or " if leads else ""


_HASH_LINE = re.compile(r"^[ \t]*####(?!#)[ \t]*(\S.*)$", re.MULTILINE)


def _hash_lines(text: str) -> list[Statement]:
    """Returns the `#### x` lines. One that begins with a word is a heading, unless it ends the text."""
    end_of_text = len(text.rstrip())
    return [
        Statement(line.start(), line.end(), content)
        for line in _HASH_LINE.finditer(text)
        if (content := _clean(line[1])) and (line.end() >= end_of_text or not re.match("[A-Za-z]{2}", content))
    ]


_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")


def boxed_statements(text: str) -> list[Statement]:
    r"""Returns the outermost `\boxed{…}` with balanced braces, in order. Linear in the text's length."""
    closing = _closing_braces(text)
    boxes: list[Statement] = []
    for box in _BOX.finditer(text):
        close = closing.get(box.end() - 1)
        inside_the_last = bool(boxes) and box.start() < boxes[-1].end
        if close is None or inside_the_last:
            continue
        if content := _clean(text[box.end() : close]):
            boxes.append(Statement(box.start(), close + 1, content))
    return boxes


def _closing_braces(text: str) -> dict[int, int]:
    """Returns the position of the closing brace for each opening one that has one."""
    closing: dict[int, int] = {}
    still_open: list[int] = []
    for brace in re.finditer(r"\\.|[{}]", text, re.DOTALL):
        if brace[0] == "{":
            still_open.append(brace.start())
        elif brace[0] == "}" and still_open:
            closing[still_open.pop()] = brace.start()
    return closing


_SENTENCE = re.compile(
    r"(?:\b(?:the|my|our|final|correct)\s+){0,4}\b"
    r"(?:answers?\b[*_]*(?:\s+to\s+(?:the|this|your)\s+\w+)?|(?<=the )solution)"
    r"\s*(?:[:=]|\bis\b|\bare\b|\bwould be\b|(?=\$|\\\())\s{0,9}:?[*_\s]{0,9}(?P<after>[^\n]{1,500})"
    r"|\bfinal answer\b\W{0,9}\n\s{0,9}(?P<below>[^\n]{1,500})"
    r"|(?P<before>\$[^$\n]{1,500}\$|\\\([^\n]{1,200}?\\\)|-?\$?\d[\d,./]{0,40})"
    r"\s{1,9}is\s+(?:the|our|my)\s+(?:final\s+)?(?:answer|solution)\b",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!?](?=[\s*]|$)|,?\s+(?:because|since|which|where|given|if)\b|<\|")


def _sentences(text: str) -> list[Statement]:
    """Returns the sentences that state an answer explicitly."""
    found: list[Statement] = []
    position = 0
    while sentence := _SENTENCE.search(text, position):
        part = sentence.lastgroup or "after"
        stated = _SENTENCE_END.split(sentence[part], maxsplit=1)[0]
        position = sentence.start(part) + len(stated) if part != "before" else sentence.end()
        if content := _clean(_complement(stated)):
            found.append(Statement(sentence.start(), position, content))
        position = max(position, sentence.start() + 1)
    return found


_ONLY_SENTENCE = re.compile(
    r"\s*(?:(?:so|thus|therefore|hence),?\s+)?[A-Za-z][^.!?$\\\d\n]{1,100}\s(?:is|are|equals)\s+"
    r"(?P<stated>\$[^$]{1,500}\$|\\\((?:(?!\\\)).){1,500}\\\)|\\\[(?:(?!\\\]).){1,500}\\\])\s*\.?\s*",
    re.IGNORECASE,
)


def _only_sentence(text: str) -> list[Statement]:
    """Returns the formula of a text that is a single sentence."""
    sentence = _ONLY_SENTENCE.fullmatch(text) if len(text) < 700 else None
    if sentence is None or re.search(r"\b(?:not|or|if)\b", text, re.IGNORECASE):
        return []
    return [Statement(sentence.start(), sentence.end(), _clean(sentence["stated"]))]


def _complement(sentence: str) -> str:
    """Returns what follows the last "is" when the statement is itself a sentence ("The sum is 5")."""
    if re.match(r"[A-Z][a-z]", sentence) and (verb := re.match(r".*\s(?:is|are|equals)\s", sentence)):
        return sentence[verb.end() :]
    return sentence


_DELIMITED = re.compile(r"\$\$([^$]+)\$\$|\$([^$]+)\$|\\\(((?:(?!\\\)).)+)\\\)|\\\[((?:(?!\\\]).)+)\\\]", re.DOTALL)


def _clean(content: str) -> str:
    """Returns the content without emphasis, surrounding math delimiters and a closing full stop."""
    content = content.split("<|", 1)[0].strip().strip("*").rstrip(".,;").strip()
    delimited = _DELIMITED.fullmatch(content)
    return content if delimited is None else delimited[delimited.lastindex or 0].strip()
