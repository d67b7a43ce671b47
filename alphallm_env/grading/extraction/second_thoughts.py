"""Second thoughts: what the text after a statement makes of it. It may take it back, replace it, or confirm it.

The text is read clause by clause. A doubt ("wait", "hmm") or a retraction ("no", "that's wrong", "scratch that") opens
the question again; a confirmation ("yes", the same value) closes it; a value that a clause then settles on ("it's 20",
"no, 20") replaces the statement. Without a doubt or a retraction, later numbers change nothing.
"""

# ruff: noqa: E501  (patterns)
from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from typing import NamedTuple


class Standing(enum.Enum):
    """How a statement stands after the text behind it."""

    STANDS = "stands"
    CORRECTED = "corrected"  # a remark such as "actually" may replace it, and does not take it back
    DOUBTED = "doubted"
    TAKEN_BACK = "taken back"


class Outcome(NamedTuple):
    """The value that a text settles on ("" for the statement's own), where it says so, and how that stands."""

    value: str
    start: int
    end: int
    standing: Standing


class _Clause(NamedTuple):
    start: int
    end: int
    text: str
    asks: bool


_NUMBER = r"[-+\u2212]?\s?[$\u20ac\u00a3]?\d[\d,]*(?:\.\d+)?(?:\s*/\s*\d+)?(?:\s?%)?"
_VALUE = rf"(?P<value>(?:{_NUMBER}|\$[^$\n]{{1,200}}\$|\\\([^\n]{{1,200}}?\\\)|\\d?frac\{{[^{{}}]*\}}\{{[^{{}}]*\}}|(?-i:\(?[A-J]\)?)(?=\s*$))"
_UNITS = r"(?:\s[a-z\u00b0%/]+){0,3})\s*"
_FILLER = r"(?:(?:oh|ah|um+|uh|erm?|well|but|and|or|so|ok(?:ay)?|then|thus|hence|therefore|now|no|wait|rather|actually|instead|i\s+mean|i\s+meant|make\s+(?:that|it)|sorry|correction)\s+)*"
_ADVERBS = r"(?:\s+(?:actually|really|instead|then|therefore|now|again|rather|just|indeed|still|only|in fact))*"
_BARE = re.compile(rf"{_FILLER}{_VALUE}{_UNITS}$", re.IGNORECASE)
_PREDICATED = re.compile(
    rf"{_FILLER}(?:it|that|this|(?:the|my)\s+(?:(?:correct|right|real|actual|new|final|true|revised)\s+)*(?:answer|result|total|value|solution))"
    r"(?:'s|\u2019s|\s+is|\s+equals|\s+becomes|\s+(?:should|must|would|will|has to|ought to)\s+(?:actually\s+|really\s+)?(?:be|have been)"
    rf"|\s+comes\s+(?:out\s+)?to){_ADVERBS}\s+{_VALUE}{_UNITS}$",
    re.IGNORECASE,
)
_RESULT = re.compile(
    rf".*(?:=|\b(?:get|gets|got|gives?|have|obtain|makes?)\b)\s*{_VALUE}{_UNITS}$", re.IGNORECASE | re.DOTALL
)
_LEAD = r"(?:(?:oh|ah|um+|uh|erm?|well|but|and|so|ok(?:ay)?|hmm+|yes|sorry|actually|wait)\s+)*"
_DOUBT = re.compile(
    rf"{_LEAD}(?:no\s+)?(?:wait(?!\s+(?:times?|for|until|\d))|hold on|hang on|hm+(?![a-z])|one moment|on second thoughts?|not so fast|are you sure"
    r"|i(?:'m| am) not (?:so )?(?:sure|certain)|let(?:'s|\u2019s| me| us)\s+(?:\w+\s+)?(?:re-?\w+|think|redo|correct)\b)",
    re.IGNORECASE,
)
_CHECK = re.compile(
    r".*\blet(?:'s|\u2019s| me| us)\s+(?:\w+[\s-]+)*?(?:double[\s-]?)?(?:check|verify|confirm|test)\b", re.IGNORECASE
)
_WRONG = r"(?:wrong|incorrect|mistaken|false|impossible|a mistake|an error|not (?:right|correct|quite|true|it|possible)|(?:a |an )?(?:typo|slip)|off by)"
_RETRACTION = re.compile(
    rf"{_LEAD}(?:no(?:pe)?(?:$|\s+(?:wait|sorry|actually|that|it|this|the answer|not|i)\b)|no\s+{_NUMBER}\s*\w*$"
    r"|(?:scratch|strike|forget|ignore|disregard)\s+(?:that|this|it|the|my)|never\s*mind|correction\b|oops|whoops|my (?:bad|mistake)"
    rf"|i (?:was|am|think i(?:'m| am|was)) (?:wrong|mistaken)|i(?:'ve| have)? (?:made|see|miscalc\w+|mis-?\w+)"
    r"|i(?:'ve)? (?:forgot|missed|overlooked|neglected)\b(?! to (?:mention|say|note|state))|i take (?:that|it) back|i (?:hereby )?(?:retract|withdraw)\b"
    r"|(?:it|this|that|which) fails\b|(?:\S+\s+){0,4}contradicts?\b|(?:\S+\s+){0,4}(?:is|leads to|gives) a contradiction"
    r"|(?:it|this|that|which|(?:the|my) (?:answer|result)) (?:does not|doesn't|doesn\u2019t|can't|cannot|won't|didn't) (?:\w+ly )?"
    r"(?:add up|make (?:any )?sense|work|fit|match|hold|check out|satisfy|agree|look right|seem right)\b(?!\s+(?:for|to|that|if|when)\b)"
    rf"|(?:(?:\S+\s+){{0,6}})?(?:is|was|'s|\u2019s|be|are|seems|looks)(?:\s+\w+ly|\s+also|\s+still)?\s+{_WRONG}"
    r"|(?:\S+\s+){0,4}(?:isn't|isn\u2019t|wasn't|can't be|cannot be|is not|was not)\s+(?:right|correct|true|it|possible|the (?:right |correct |final )?answer)"
    r"|(?:\S+\s+){0,4}(?:made|have made|is|was) (?:a|an) (?:\w+ )?(?:mistake|error|slip)"
    rf"|that(?:'s|\u2019s) {_WRONG})",
    re.IGNORECASE,
)
_REMARK = re.compile(
    r"(?:oh\s+|well\s+|but\s+)*(?:actually|er+m?|uh+|um+|(?:just |only )?kidding|sorry|apologies|my apologies|or rather|rather|i mean|i meant|make (?:that|it)|more precisely|instead|in fact|to be exact|edit|update)\b",
    re.IGNORECASE,
)
_CONFIRMATION = re.compile(
    rf"{_LEAD}(?:(?:yes|yep|yeah|yup|right|correct|confirmed|verified|good|great|fine|indeed|okay|ok|all good)(?:$|\s+(?:it|that|this|the|indeed)\b)"
    r"|(?:it|this|that|everything|all|which|the answer|the result|my answer)?\s*(?:also\s+|still\s+|indeed\s+|all\s+)*(?:checks? out|match(?:es)?|works(?: out)?|holds|stands|agrees?|remains)\b"
    r"|(?:it|this|that|which|everything|all|the answer|the result|my answer|[-\d.$]+)(?:'s|\u2019s| is| was| are)\s+(?:\w+ly\s+|still\s+|indeed\s+|all\s+)*(?:right|correct|fine|consistent|true|good|confirmed|the same|ok)\b"
    r"|no (?:mistakes?|errors?|problems?|issues?)|i was right|same (?:answer|result)|\u2713|\u2714|\u2705)",
    re.IGNORECASE,
)
_CLAUSE_END = re.compile(
    r"[.!?]+(?=[\s\"'*)\]\u2705]|$)|,(?=\s|$)|[;:](?=\s|$)|\s[-\u2013\u2014]+\s|\u2014|[()\n]+|\s\.\.\.|\u2026|\.{2,}|,?\s+\bbut\b(?=\s)"
)


def second_thoughts(text: str, start: int, value: str, standing: Standing = Standing.STANDS) -> Outcome:
    """Returns how a statement of `value` stands after `text[start:]`. Linear in the length of that."""
    if not text[start:].strip():
        return Outcome("", start, start, standing)
    thoughts = _Thoughts(value, start, standing)
    for clause in _clauses(text, start):
        if thoughts.standing is not Standing.STANDS or not _was_settled(text[:start], clause.text, value):
            thoughts.read(clause)
    return thoughts.outcome()


class _Thoughts:
    """What has become of a statement, clause by clause."""

    def __init__(self, value: str, start: int, standing: Standing) -> None:
        self.value = value
        self.settled = ""  # the value that the text settled on, "" for the statement's own
        self.place = (start, start)
        self.standing = standing
        self.is_settling = False  # a value was settled on since the last doubt
        self.is_checking = False  # a check was announced and has not come to its end
        self.asked = ""  # another value that the clause before asks for

    @property
    def current(self) -> str:
        """The value that is stated as far as the text was read."""
        return self.settled or self.value

    def read(self, clause: _Clause) -> None:
        """Takes in what the next clause says of the value."""
        said, asked = clause.text, self.asked
        self.asked = _asked_for(clause, self.current)
        if self.asked or (asked and _REFUSAL.fullmatch(said)):
            return  # "Is it 20? No." leaves 18 as it is
        at_ease = self.standing is Standing.STANDS and not self.is_settling
        announces_check = _CHECK.match(said) is not None
        retracts = _RETRACTION.match(said) is not None
        if _denies(said, self.current) or (retracts and not clause.asks):
            self._retract(clause)
        elif _DOUBT.match(said) or (announces_check and at_ease) or (clause.asks and retracts):
            self._doubt(clause, announces_check=announces_check)
        elif not at_ease or _REMARK.match(said):
            if at_ease:
                self.standing = Standing.CORRECTED
            self._go_on(clause)

    def _retract(self, clause: _Clause) -> None:
        if not (self.is_settling and _same(self.settled, self.value)):
            self.standing, self.is_settling = Standing.TAKEN_BACK, False
        found = _settled_on(clause, results=False)
        if found and not _same(found, self.current):
            self._settle(found, clause)

    def _doubt(self, clause: _Clause, *, announces_check: bool) -> None:
        self.is_checking = self.is_checking or announces_check
        if self.standing is not Standing.TAKEN_BACK:
            self.standing = Standing.DOUBTED
        self.is_settling = False
        if found := _settled_on(clause, results=not self.is_checking):
            self._settle(found, clause)

    def _go_on(self, clause: _Clause) -> None:
        """Reads a clause behind a doubt, a retraction or a remark: it may confirm, settle on a value, or do neither."""
        takes_results = not self.is_checking and self.standing is not Standing.CORRECTED
        if _CONFIRMATION.match(clause.text) and not clause.asks:
            self.standing, self.is_checking = Standing.STANDS, False
        elif found := _settled_on(clause, results=takes_results):
            if _same(found, self.current):
                self.standing, self.is_settling = Standing.STANDS, True
            else:
                self._settle(found, clause)
        elif self.standing is Standing.DOUBTED and self.is_checking:
            self.standing = Standing.STANDS  # the check that was announced is there, and nothing in it speaks against

    def _settle(self, value: str, clause: _Clause) -> None:
        self.settled, self.place = value, (clause.start, clause.end)
        self.standing, self.is_settling = Standing.STANDS, True

    def outcome(self) -> Outcome:
        """Returns how the statement stands at the end of the text."""
        standing = Standing.STANDS if self.standing is Standing.CORRECTED else self.standing
        if self.asked and standing is Standing.STANDS:
            standing = Standing.DOUBTED
        return Outcome("" if _same(self.settled, self.value) else self.settled, *self.place, standing)


def _was_settled(head: str, said: str, value: str) -> bool:
    """Returns whether a retraction in these words came after the same value before, and the text stated it again."""
    if _RETRACTION.match(said) is None:
        return False
    place = head.find(said)
    return place >= 0 and value in head[:place] and value in head[place:]


def _clauses(text: str, start: int) -> Iterator[_Clause]:
    """Yields the clauses of `text[start:]`, without emphasis."""
    position = start
    for end in _CLAUSE_END.finditer(text, start):
        yield from _clause(text, position, end.start(), "?" in end[0])
        position = end.end()
    yield from _clause(text, position, len(text), asks=False)


def _clause(text: str, start: int, end: int, asks: bool) -> Iterator[_Clause]:
    said = text[start : min(end, start + 600)].strip(
        " \t*_\"'>}#~\u201c\u201d$" if "$" not in text[start:end].strip(" $") else " \t*_\"'>}#~"
    )
    if said:
        yield _Clause(start, end, re.sub(r"\s+", " ", said.replace("**", "")), asks)


_REFUSAL = re.compile(r"(?:no(?:pe)?|not (?:really|quite|at all))", re.IGNORECASE)
_ASKS = re.compile(
    rf"(?:(?:so|but|and|or|hmm+|wait)\s+)*(?:is|could|can|might|should)\s+(?:it|that|this|the answer)\s+(?:be\s+)?{_VALUE}{_UNITS}$",
    re.IGNORECASE,
)


def _asked_for(clause: _Clause, current: str) -> str:
    """Returns the other value that a question asks for ("Is it 20?"), "" for another clause."""
    found = _ASKS.match(clause.text) if clause.asks else None
    return found["value"] if found and not _same(found["value"], current) else ""


def _settled_on(clause: _Clause, *, results: bool) -> str:
    """Returns the value that a clause settles on, with its unit, or ""."""
    if clause.asks:
        return ""
    said = clause.text
    found = _BARE.match(said) or _PREDICATED.match(said) or (_RESULT.match(said) if results else None)
    return found["value"].strip() if found else ""


def _denies(said: str, value: str) -> bool:
    """Returns whether a clause says "not 18" of the value 18."""
    denied = re.search(rf"\b(?:not|isn't|isn\u2019t)\s+(?:equal to\s+)?{_VALUE}{_UNITS}", said, re.IGNORECASE)
    return denied is not None and _same(denied["value"], value)


def _same(first: str, second: str) -> bool:
    """Returns whether two values are written alike, but for units, delimiters and separators."""
    one, other = _key(first), _key(second)
    return bool(one) and one == other


def _key(value: str) -> str:
    plain = re.sub(r"[\s,$*{}]|\\[,;!()\[\]]", "", value.replace("\u2212", "-")).rstrip(".")
    number = re.match(r"-?\d+(?:\.\d+)?(?:/\d+)?", plain)
    return re.sub(r"(\.\d*?)0+$", r"\1", number[0]).rstrip(".") if number else plain.lower()
