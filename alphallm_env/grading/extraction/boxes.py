r"""Boxes: `\boxed{x}` and `\fbox{x}` in a text, over several lines too, and `\boxed 7` without braces."""

# ruff: noqa: E501  (patterns)
from __future__ import annotations

import re
from typing import NamedTuple

_BRACE = re.compile(r"(?<!\\)\\++(?:boxed|fbox)\s*\{|\\.|[{}]", re.DOTALL)
# What a macro without braces boxes: a number after a space, one letter in a formula, or a fraction or root.
_BARE = re.compile(
    r"\\(?:boxed|fbox)(?:\s+(?P<number>[+-]?\d[\d,]*(?:\.\d+)?)(?![\w{])|\s+(?P<letter>[A-Za-z])(?=\s*(?:\$|\\[)\]]))"
    r"|\s*(?P<macro>\\[dtc]?frac\s*(?:\{[^{}]{0,200}\}|\d)\s*(?:\{[^{}]{0,200}\}|\d)|\\sqrt\s*\{[^{}]{0,200}\}))"
)
_SPACING = re.compile(
    r"\\(?:[,;:! ]|q?quad|[hl]?space|(?:text|math)[a-z]*|boxed|fbox|[lc]?dots|dots[a-z]|square|Box|phantom|_|hphantom)"
    r"(?![A-Za-z])|[\s{}~$.?_\u2026]"
)
_INSTRUCTION = frozenset(
    [
        "a", "an", "answer", "choice", "final", "here", "in", "insert", "letter", "my", "number", "numerical",
        "result", "the", "value", "your",
    ]
)  # fmt: skip
_LONGEST_BLANK = 120  # characters; what is longer is taken to say something


class Box(NamedTuple):
    """A box in a text. `inside` is where its content begins, `end` where the text after it does."""

    start: int
    inside: int
    end: int
    content: str = ""


def closed_boxes(text: str) -> list[Box]:
    r"""Returns every `\boxed{…}` with balanced braces in the order in which they close. Contents are not cut out.

    Whether a box is closed depends on the text up to its end only. Linear in the text's length.
    """
    if "boxed" not in text and "fbox" not in text:
        return []
    still_open: list[tuple[int, int]] = []  # where a group begins and where its content does; a box begins at its macro
    boxes: list[Box] = []
    for brace in _BRACE.finditer(text):
        last = brace[0][-1]
        if last == "{" and brace[0] != r"\{":
            still_open.append((brace.start(), brace.end()))
        elif brace[0] == "}" and still_open:
            start, inside = still_open.pop()
            if text[start] == "\\":
                boxes.append(Box(start, inside, brace.end()))
    return boxes


def boxes(text: str) -> list[Box]:
    """Returns the outermost boxes that hold something, with or without braces, in order. Linear in the text's length."""
    outermost: list[Box] = []
    for box in closed_boxes(text):
        while outermost and outermost[-1].start > box.start:
            outermost.pop()
        outermost.append(box)
    found = [box._replace(content=text[box.inside : box.end - 1]) for box in outermost]
    if bare := bare_boxes(text):
        inside = [(box.start, box.end) for box in found]
        bare = [box for box in bare if not any(start < box.start < end for start, end in inside[:200])]
    return sorted(box for box in [*found, *bare] if not is_blank(box.content))


def bare_boxes(text: str) -> list[Box]:
    """Returns the boxes without braces, in order."""
    return [
        Box(box.start(), box.start(box.lastgroup or 0), box.end(), box[box.lastgroup or 0])
        for box in _BARE.finditer(text)
    ]


def is_blank(content: str) -> bool:
    r"""Returns whether a box holds nothing yet: spaces, dots, or the words of an instruction.

    >>> [is_blank(content) for content in ("", r"\;", "...", r"\text{your answer}", "0", r"\{\}", "?")]
    [True, True, True, True, False, False, True]
    """
    if len(content) > _LONGEST_BLANK:
        return False
    words = re.findall(r"[A-Za-z]+", _SPACING.sub(" ", content))
    rest = _SPACING.sub("", content)
    return not rest or (
        rest.isalpha() and "answer" in map(str.lower, words) and _INSTRUCTION.issuperset(map(str.lower, words))
    )
