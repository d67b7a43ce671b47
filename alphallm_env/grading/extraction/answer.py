r"""Answers: what a text answers in the end, where it says so, and whether that closes the solution.

The last statement that the text asserts counts, whatever its kind; a sentence after a mark only where it states a value.
Where statements are joined ("`\boxed{18}` or `\boxed{20}`"), all of them together are the answer, so that a hedge never
passes for one. What the text takes back is no answer (`second_thoughts`), what stands in a thinking part is not read.
"""

# ruff: noqa: E501  (patterns)
from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from alphallm_env.grading.extraction import boxes
from alphallm_env.grading.extraction.formulas import FormulaPolicy, formula_statement
from alphallm_env.grading.extraction.second_thoughts import Standing, second_thoughts
from alphallm_env.grading.extraction.statements import (
    Kind,
    Mood,
    Statement,
    clean,
    has_answer_word,
    has_mark,
    hash_lines,
    is_title,
    is_value,
    marks,
    sentences,
    tag_statements,
    without_overlaps,
)
from alphallm_env.grading.extraction.thinking import HIDDEN, hidden

MAX_CHARACTERS = 100_000  # of the end of a text; the rest is not read
FORMULAS = FormulaPolicy.STRICT


class StatedAnswer(NamedTuple):
    """What a text states last as its answer, and what it makes of that.

    `start` and `end` are the statement's place in the text. `closed_at` is where the solution ends: after the line that
    completes its first mark (`closed_at`), None while no such line is complete.
    """

    content: str
    kind: Kind
    start: int
    end: int
    is_taken_back: bool
    closed_at: int | None

    @property
    def closes(self) -> bool:
        """Whether the solution ends here: a finished line states an answer, and the text does not take it back."""
        return self.closed_at is not None and not self.is_taken_back

    @property
    def answer(self) -> str | None:
        """What the text answers, None where it takes that back."""
        return None if self.is_taken_back else self.content


def stated_answer(text: str, formulas: FormulaPolicy = FORMULAS) -> StatedAnswer | None:
    r"""Returns what a text states last as its answer, None where it states nothing. Linear in the text's length.

    >>> found = stated_answer("So \\boxed{18}.\n")
    >>> found.answer, found.kind.value, found.closes
    ('18', 'box', True)
    >>> stated_answer("The answer is 18. No wait, that's wrong.").is_taken_back
    True
    """
    if not _may_state(text):
        return None
    if (plain := _plain(text)) is not None:
        return plain
    return _read_again(text, formulas) if len(text) <= _REMEMBERED else _read(text, formulas)


_REMEMBERED = 4_000  # characters of a text that is read once: a search asks for the answer of one text several times


def _read(text: str, formulas: FormulaPolicy) -> StatedAnswer | None:
    shown = struck(hidden(text))
    skipped = max(0, len(shown) - MAX_CHARACTERS)
    found = _last(shown[skipped:], formulas)
    if found is None:
        return None
    statement, taken_back = found
    start, end = statement.start + skipped, statement.end + skipped
    return StatedAnswer(statement.content, statement.kind, start, end, taken_back, _closed_at(shown))


_read_again = lru_cache(1_024)(_read)
_PLAIN_END = re.compile(r"^####[ \t]*(?P<number>-?\d[\d,]*(?:\.\d+)?)$(?P<newline>\n?)\s*\Z", re.MULTILINE)


def _plain(text: str) -> StatedAnswer | None:
    """Returns what a text states that ends in `#### 42` and says nothing else of an answer; None for another text.

    That is how most solutions end. It is what the rules below make of such a text, without asking them.
    """
    start = text.find("####")
    found = _PLAIN_END.match(text, start) if start >= 0 else None
    if found is None or _has_special(text) or has_answer_word(text):
        return None
    if _hedge_before(text[max(0, start - _REACH) : start]):
        return None
    end, newline = found.end("number"), found["newline"]
    content = found["number"].rstrip(",")
    return StatedAnswer(content, Kind.HASH_LINE, start, end, False, end + 1 if newline else None)


def _has_special(text: str) -> bool:
    """Returns False only for a text without boxes, thinking parts and what strikes words through."""
    if "<" in text or "[" in text or "\u25c1" in text or "~~" in text or ("\\" in text and "\\s" in text):
        return True
    return "box" in text and ("boxed" in text or "fbox" in text)


def _may_state(text: str) -> bool:
    """Returns False only for a text that holds nothing by which an answer can be stated; most options are such."""
    return has_mark(text) or has_answer_word(text) or "$" in text or "\\(" in text or "\\[" in text


def extract_answer(text: str, formulas: FormulaPolicy = FORMULAS) -> str | None:
    r"""Returns the final answer as written, without its marker, or None when the text states none.

    >>> extract_answer("3 · 6 = 18\n#### 18")
    '18'
    >>> extract_answer(r"So \boxed{\frac{1}{2}}, no: \boxed{\frac{1}{3}}.")
    '\\frac{1}{3}'
    >>> extract_answer(r"\boxed{18} or \boxed{20}")
    '18 or 20'
    """
    found = stated_answer(text, formulas)
    return None if found is None else found.answer


def boxed_answer(text: str) -> str | None:
    r"""Returns what the last `\boxed{…}` holds (all that are joined to it, where there are several)."""
    if "boxed" not in text and "fbox" not in text:
        return None
    found = [Statement(box.start, box.end, clean(box.content), Kind.BOX) for box in boxes.boxes(text)]
    found = [statement for statement in found if statement.content]
    return _joined(text, found).content if found else None


def closed_at(text: str) -> int | None:
    r"""Returns where the solution in a text ends, None while it goes on.

    It ends after the first line that completes a mark (a box that holds something, `#### x`, an `<answer>` tag) and does
    not put it in doubt. That depends on the text up to there only, so it is the same however the text arrives.

    >>> closed_at("So \\boxed{\n5\n}.\nDone"), closed_at("#### 1. Count\n"), closed_at("\\boxed{}\n")
    (16, None, None)
    """
    return _closed_at(struck(hidden(text))) if has_mark(text) else None


def _closed_at(shown: str) -> int | None:
    """Returns where the solution ends in a text of which all that it does not say is blanked out."""
    if not has_mark(shown):
        return None
    ends = [
        (box.end, shown[box.inside : min(box.end - 1, box.inside + _MOST_OF_A_BOX)])
        for box in boxes.closed_boxes(shown)
        if box.end - box.inside > _MOST_OF_A_BOX or not boxes.is_blank(shown[box.inside : box.end - 1])
    ]
    ends += [(found.end, found.content) for found in hash_lines(shown + "\n.") if not is_title(found.content)]
    ends += [(found.end, found.content) for found in tag_statements(shown)]
    ends += [(box.end, box.content) for box in boxes.bare_boxes(shown)]
    for end, content in sorted(ends):
        newline = shown.find("\n", end)
        if newline < 0:
            return None
        if not _doubted(shown[end:newline], clean(content)):
            return newline + 1
    return None


_MOST_OF_A_BOX = 100  # characters that are enough to see whether it is blank, or written again later


def _doubted(rest: str, content: str) -> bool:
    """Returns whether the rest of a line puts the statement of `content` before it in doubt."""
    standing = Standing.DOUBTED if _QUESTION_MARK.match(rest) else Standing.STANDS
    return second_thoughts(rest, 0, content, standing).standing in (Standing.DOUBTED, Standing.TAKEN_BACK)


_QUESTION_MARK = re.compile(r"[\s$*_.)\\\]}]*\?")


_STRUCK = re.compile(
    r"~~[^~\n]{1,300}~~|<(s|del|strike)>[^<\n]{1,300}</\1>|\\(?:sout|st)\{[^{}\n]{1,300}\}", re.IGNORECASE
)


def struck(text: str) -> str:
    """Returns a text of the same length in which spaces stand for what it strikes through.

    >>> struck("~~18~~ 20").strip()
    '20'
    """
    if "~~" not in text and "<" not in text and "\\s" not in text:
        return text
    return _STRUCK.sub(lambda match: " " * len(match[0]), text)


def _last(text: str, formulas: FormulaPolicy) -> tuple[Statement, bool] | None:
    """Returns the statement that the text settles on, or its last one, and whether it is taken back."""
    explicit = marks(text)
    worded = without_overlaps(sentences(text), explicit)
    first_mark = explicit[0].start if explicit else len(text)
    worded = [found for found in worded if found.start < first_mark or is_value(found.content)]
    ordered = sorted([*explicit, *worded], key=lambda found: found.start)
    if not ordered:
        formula = formula_statement(text, formulas)
        return None if formula is None else (formula, False)
    asserted = [number for number, found in enumerate(ordered) if found.mood is Mood.ASSERTED]
    last = asserted[-1] if asserted else None
    current, taken_back = (
        (None, True) if last is None else _settle(text, ordered[: last + 1], _next(ordered, last, text))
    )
    for number, found in enumerate(ordered[0 if last is None else last + 1 :], start=0 if last is None else last + 1):
        end = ordered[number + 1].start if number + 1 < len(ordered) else len(text)
        current, taken_back = _reconsider(text[:end], found, current, taken_back)
    return (current or ordered[-1], taken_back)


def _next(ordered: Sequence[Statement], number: int, text: str) -> int:
    return ordered[number + 1].start if number + 1 < len(ordered) else len(text)


def _settle(text: str, statements: Sequence[Statement], end: int) -> tuple[Statement, bool]:
    """Returns the last statement, or what the text up to `end` puts in its place, and whether it is taken back."""
    last = statements[-1]
    asked = last.kind is not Kind.SENTENCE and _QUESTION_MARK.match(text, last.end) is not None
    outcome = second_thoughts(text[:end], last.end, last.content, Standing.DOUBTED if asked else Standing.STANDS)
    if outcome.value:
        last = Statement(outcome.start, outcome.end, clean(outcome.value), Kind.SENTENCE)
        return last, outcome.standing in (Standing.DOUBTED, Standing.TAKEN_BACK)
    return _joined(text, statements), outcome.standing in (Standing.DOUBTED, Standing.TAKEN_BACK)


def _reconsider(
    text: str, found: Statement, current: Statement | None, taken_back: bool
) -> tuple[Statement | None, bool]:
    """Returns the statement and its standing after one that asks or denies, with the text behind it."""
    asked = found.mood is Mood.ASKED
    outcome = second_thoughts(text, found.end, found.content, Standing.DOUBTED if asked else Standing.TAKEN_BACK)
    if outcome.value:
        return Statement(outcome.start, outcome.end, clean(outcome.value), Kind.SENTENCE), False
    if asked and outcome.standing is Standing.STANDS:
        return found._replace(mood=Mood.ASSERTED), False
    if current is None:
        return found, True
    about_the_same = second_thoughts(f"not {found.content}", 0, current.content).standing is Standing.TAKEN_BACK
    return current, taken_back or about_the_same


# Text that joins two statements into one, and the most characters of it.
_REACH = 80
_ALTERNATIVES = frozenset(["or", "maybe", "perhaps", "possibly", "alternatively", "either", "might", "could"])
_FILLERS = frozenset(
    [
        "a", "also", "although", "an", "and", "answer", "as", "be", "but", "even", "else", "final", "guess", "i",
        "instead", "is", "it", "just", "may", "suppose", "that", "the", "then", "think", "though", "well", "yet",
    ]
)  # fmt: skip
_DECORATION = re.compile(r"\\(?:q?quad|text|mathrm)|[^\w=]")


def _joined(text: str, statements: Sequence[Statement]) -> Statement:
    """Returns the last statement, with the alternatives of its kind joined to it."""
    last = statements[-1]
    first = len(statements) - 1
    glue = ", "
    while first > 0 and statements[first - 1].kind is last.kind and statements[first - 1].mood is Mood.ASSERTED:
        joint = _joint(text[statements[first - 1].end : statements[first].start])
        if not joint:
            break
        first, glue = first - 1, joint if joint == " or " else glue
    contents = list(dict.fromkeys(statement.content for statement in statements[first:]))
    before = _hedge_before(text[max(0, statements[first].start - _REACH) : statements[first].start])
    content = before + glue.join(contents) + _hedge_after(text[last.end : last.end + _REACH])
    return last._replace(content=content, start=statements[first].start)


def _joint(between: str) -> str:
    """Returns what joins two statements with this text between them: " or ", ", ", or "" for nothing."""
    if len(between) > _REACH or HIDDEN in between:
        return ""
    words = _DECORATION.sub(" ", between).lower().split()
    if len(words) <= 8 and not _ALTERNATIVES.isdisjoint(words) and "not" not in words:
        return " or "
    one_sentence = len(words) <= 2 and not re.search(r"[.=]", between)
    return ", " if not words or ("and" in words and one_sentence) else ""


def _hedge_after(rest: str) -> str:
    """Returns " or <number>" where another number follows a final statement."""
    follows = re.match(r"\W*((?:[a-z]+\W+){1,8}?)(-?\d[\d.,/]*)", rest, re.IGNORECASE)
    if follows is None:
        return ""
    words = set(re.findall(r"[a-z]+", follows[1].lower()))
    if re.match(r"\W*(?:could|might|may|can) it be\b[^.!\n]*\?", rest, re.IGNORECASE):
        return ""  # a question, of which second thoughts say what becomes
    hedged = words & _ALTERNATIVES and words <= _ALTERNATIVES | _FILLERS
    return f" or {follows[2].rstrip('.,')}" if hedged else ""


def _hedge_before(head: str) -> str:
    """Returns "<number> or " where a final statement is only the second half of an alternative."""
    if "or" not in head.casefold():
        return ""
    leads = re.search(r"(-?\d[\d.,/]*)\W*\s(?:and/)?or\W*$", head, re.IGNORECASE)
    return f"{leads[1]} or " if leads else ""
