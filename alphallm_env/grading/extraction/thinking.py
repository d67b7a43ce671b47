"""Thinking parts: what a model writes for itself before it answers, between marks such as `<think>` and `</think>`.

A mark is known by its form, not by a list of models: a word for thinking as a tag (`<think>`, `<reasoning>`,
`<seed:think>`, `◁think▷`, `<|thinking|>`; in square brackets in capitals, `[THINK]`), or as a token that says which
end it is (`<|begin_of_thought|>`, `<|thought_end|>`), or an analysis channel (`<|channel|>analysis<|message|>`).
A part ends at the closing mark of its own form and word. A closing mark that no opening one precedes ends a
part that the prompt opened: all the text before it is thinking. A part that is not closed reaches to the end.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_WORD = r"think(?:ing)?|thoughts?|reason(?:ing)?|reflection|scratch_?pad|inner_?monologue|cot|chain_of_thought"
_MARK = re.compile(
    rf"(?P<bracket><[|\uff5c]?|\u25c1)(?P<slash>/?)(?:[a-z]\w*:)?(?P<tag>{_WORD})\s*(?:[|\uff5c]?>|\u25b7)"
    rf"|\[(?P<square>/?)(?-i:(?P<capitals>{_WORD.upper()}))\]"
    rf"|<\|(?P<side>begin|start|end)_(?:of_)?(?P<token>{_WORD})\|>"
    rf"|<\|(?P<named>{_WORD})_(?P<end>begin|start|end)\|>"
    r"|<\|channel\|>(?P<channel>\w+)(?:<\|message\|>)?|(?P<message_end><\|end\|>)",
    re.IGNORECASE,
)
_SPOKEN_CHANNELS = ("final",)
HIDDEN = "\ue000"  # stands for a character of a thinking part; a private-use code point


class Mark(NamedTuple):
    """A mark in a text: its place, what must be equal in the two ends of a part, and whether it opens one."""

    start: int
    end: int
    form: str
    opens: bool


class Part(NamedTuple):
    """A thinking part with its marks. `opening` is its opening mark, "" where the prompt has that."""

    start: int
    end: int
    opening: str
    is_closed: bool


def _marks(text: str) -> list[Mark]:
    """Returns the marks of a text, first to last."""
    found: list[Mark] = []
    for match in _MARK.finditer(text):
        group = match.groupdict()
        if group["tag"]:
            form, opens = group["bracket"] + group["tag"].lower(), not group["slash"]
        elif group["capitals"]:
            form, opens = "[" + group["capitals"], not group["square"]
        elif group["channel"]:
            form, opens = "channel", group["channel"].lower() not in _SPOKEN_CHANNELS
        elif group["message_end"]:
            form, opens = "channel", False
        else:
            form = (group["token"] or group["named"]).lower()
            opens = (group["side"] or group["end"]).lower() != "end"
        found.append(Mark(match.start(), match.end(), form, opens))
    return found


def mark_places(text: str) -> list[int]:
    """Returns where the marks begin that open or close a thinking part of a text."""
    parts = thinking_parts(text)
    starts, ends = {part.start for part in parts if part.opening}, {part.end for part in parts if part.is_closed}
    return [mark.start for mark in _marks(text) if mark.start in starts or mark.end in ends] if parts else []


_CLOSING = [  # an opening mark, and what closes a part of its form
    (re.compile(r"<\|channel\|>\w+(?:<\|message\|>)?"), "<|end|><|start|>assistant<|channel|>final<|message|>"),
    (re.compile(r"<\|(?:begin|start)_(.*)"), r"<|end_\1"),
    (re.compile(r"(<\|\w+)_(?:begin|start)\|>"), r"\1_end|>"),
    (re.compile(r"(<[|\uff5c]?|\u25c1|\[)([^/|].*)"), r"\1/\2"),
]


def closing_mark(opening: str) -> str:
    """Returns the mark that closes the thinking part which a mark opens.

    >>> closing_mark("<think>"), closing_mark("[THINK]"), closing_mark("<|begin_of_thought|>")
    ('</think>', '[/THINK]', '<|end_of_thought|>')
    """
    for form, closing in _CLOSING:
        if found := form.fullmatch(opening):
            return found.expand(closing)
    raise ValueError(f"expected an opening mark of a thinking part, got {opening!r}")


def thinking_parts(text: str) -> list[Part]:
    """Returns the thinking parts of a text, in order. Linear in its length.

    >>> [
    ...     text[part.start : part.end]
    ...     for text in ["<think>3?</think> 4", "3?</think> 4"]
    ...     for part in thinking_parts(text)
    ... ]
    ['<think>3?</think>', '3?</think>']
    """
    if "<" not in text and "[" not in text and "\u25c1" not in text:
        return []
    parts: list[Part] = []
    opening: Mark | None = None
    for mark in _marks(text):
        if opening is None and mark.opens:
            opening = mark
        elif opening is None and not parts and mark.form != "channel":
            parts.append(Part(0, mark.end, "", is_closed=True))
        elif opening is not None and not mark.opens and mark.form == opening.form:
            parts.append(Part(opening.start, mark.end, text[opening.start : opening.end], is_closed=True))
            opening = None
    if opening is not None:
        parts.append(Part(opening.start, len(text), text[opening.start : opening.end], is_closed=False))
    return parts


def open_mark(text: str) -> str:
    """Returns the mark of the thinking part that a text ends in, "" where it ends in none.

    >>> open_mark("<think>2 + 2"), open_mark("<think>2 + 2</think>")
    ('<think>', '')
    """
    parts = thinking_parts(text)
    return "" if not parts or parts[-1].is_closed else parts[-1].opening


def opening_at_end(prompt: str) -> str:
    r"""Returns the opening mark, with the white space after it, that a prompt ends with; "" where it ends otherwise.

    >>> opening_at_end("<|assistant|><think>\n")
    '<think>\n'
    """
    tail = prompt[-80:]
    ends = [mark for mark in _marks(tail) if mark.opens and not tail[mark.end :].strip()]
    return tail[ends[-1].start :] if ends else ""


def outside_thinking(text: str) -> str | None:
    """Returns a text without its thinking parts, None while one is open.

    >>> outside_thinking("<think>2 + 2</think>It is 4."), outside_thinking("<think>2 + 2")
    ('It is 4.', None)
    """
    parts = thinking_parts(text)
    if not parts:
        return text
    if not parts[-1].is_closed:
        return None
    starts, ends = [0, *(part.end for part in parts)], [*(part.start for part in parts), len(text)]
    return "".join(text[start:end] for start, end in zip(starts, ends, strict=True))


def hidden(text: str) -> str:
    """Returns a text of the same length in which `HIDDEN` stands for each character of a thinking part."""
    pieces: list[str] = []
    position = 0
    for part in thinking_parts(text):
        pieces += [text[position : part.start], HIDDEN * (part.end - part.start)]
        position = part.end
    return "".join(pieces) + text[position:]
