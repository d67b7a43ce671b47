"""Formulas without a mark: "The sum is $x$." as a text's last sentence, read by a policy."""

from __future__ import annotations

import enum
import re

from alphallm_env.grading.extraction.statements import Kind, Statement, clean


class FormulaPolicy(enum.StrEnum):
    """Which formulas state an answer though nothing marks them."""

    STRICT = "strict"  # of a text that is one sentence
    LENIENT = "lenient"  # of the last sentence of any text


_REACH = 1_000  # characters of the end of a text
_FORMULA = r"(?P<stated>\$[^$]{1,500}\$|\\\((?:(?!\\\)).){1,500}\\\)|\\\[(?:(?!\\\]).){1,500}\\\])"
_SENTENCE = re.compile(
    rf"\s*(?:(?:so|thus|therefore|hence),?\s+)?[A-Za-z][^.!?$\\\d\n]{{1,100}}\s(?:is|are|equals)\s+{_FORMULA}\s*\.?\s*",
    re.IGNORECASE,
)
_LAST_SENTENCE = re.compile(
    rf"(?:(?:^|[.!?\n]\s*|[.!?]\$+\s+)(?:[A-Za-z](?:[^.!?\n$]|\.(?=\d)|\$[^$\n]{{1,200}}\$){{0,300}}\s(?:is|are|equals|be|get|have|obtain)"
    rf":?\s+)?){_FORMULA}\s*[.]?\s*$",
    re.IGNORECASE,
)
_OPEN = re.compile(r"\b(?:not|or|if|whether|suppose|assume|let)\b", re.IGNORECASE)


def formula_statement(text: str, policy: FormulaPolicy) -> Statement | None:
    """Returns the formula that a text without any other statement answers with under a policy."""
    if policy is FormulaPolicy.STRICT:
        found = _SENTENCE.fullmatch(text) if len(text) < 700 else None
    else:
        start = max(0, len(text) - _REACH)
        found = _LAST_SENTENCE.search(text[start:])
    if found is None or _OPEN.search(found[0][: found.start("stated") - found.start()]):
        return None
    offset = 0 if policy is FormulaPolicy.STRICT else max(0, len(text) - _REACH)
    content = clean(found["stated"])
    return Statement(offset + found.start(), offset + found.end("stated"), content, Kind.FORMULA) if content else None
