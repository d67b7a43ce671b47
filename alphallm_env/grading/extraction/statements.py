r"""Statements: the places of a text that state an answer, whatever the text makes of them later.

Marks are explicit: a line `#### x`, a box, a tag `<answer>x</answer>`. A sentence says so in words: "The answer is x".
"""

# ruff: noqa: E501  (patterns)
from __future__ import annotations

import enum
import re
from typing import NamedTuple

from alphallm_env.grading.extraction import boxes
from alphallm_env.grading.extraction.thinking import HIDDEN


class Kind(enum.Enum):
    """How a text states its answer."""

    HASH_LINE = "hash_line"  # #### x
    BOX = "box"  # \boxed{x}
    TAG = "tag"  # <answer>x</answer>
    SENTENCE = "sentence"  # the answer is x
    FORMULA = "formula"  # the last sentence ends in "is $x$."


class Mood(enum.Enum):
    """How a sentence presents the answer in it."""

    ASSERTED = "asserted"
    ASKED = "asked"  # is the answer 18?
    DENIED = "denied"  # the answer is not 18


class Statement(NamedTuple):
    """A span of a text that states an answer. The text from `end` on may say more about it."""

    start: int
    end: int
    content: str
    kind: Kind
    mood: Mood = Mood.ASSERTED


_HASH_LINE = re.compile(r"^[ \t\ue000]*####(?!#)[ \t]*(\S[^\n]*)$", re.MULTILINE)
# A title: words, or what numbers a section before words. "27 apples" and "$3/4$ of it" are values.
_ENUMERATOR = r"(?:\(?(?:\d{1,2}(?:\.\d{1,2})*|[A-Za-z]|[ivxIVX]{1,5})\)|\d{1,2}(?:\.\d{1,2})*[.:]|\d{1,2}(?:\.\d{1,2})+\s|[A-Z][.:])"
_TITLE = re.compile(
    rf"[*_]*(?:[A-Za-z]{{2}}|[A-Za-z]\s+[A-Za-z]{{2}}|{_ENUMERATOR}[*_\s]*[A-Za-z\\$]|\d{{1,2}}\s*[-\u2013\u2014:]\s*[A-Za-z]"
    r"|\d{1,2}(?:st|nd|rd|th)\b|\$[^$]+\$\s*-?\s*[a-z]{3,}(?<!degrees)\s*[*_:]*$|[^\w\s$\\(\[{+\-.*_\u2212]+\s*[A-Za-z]{2})"
)
_LABEL = re.compile(r"[*_]*[A-Za-z]+\s+(?:\d{1,3}|[ivxIVX]{1,4})\b\s*(?:$|[.:*_])")  # Step 2


def has_mark(text: str) -> bool:
    """Returns False only for a text without any mark: a `####` line, a box, an `<answer>` tag."""
    return "####" in text or "boxed" in text or "fbox" in text or ("<" in text and has_answer_word(text))


def has_answer_word(text: str) -> bool:
    """Returns False only for a text in which no sentence can state an answer."""
    folded = text.casefold()
    return "answer" in folded or "solut" in folded or "correct option" in folded or "correct choice" in folded


def hash_lines(text: str) -> list[Statement]:
    """Returns the lines `#### x` whose x is a value, and a title that ends the text where it is the only title."""
    found: list[Statement] = []
    if "####" not in text:
        return found
    end_of_text = len(text.rstrip())
    num_titles = 0
    for line in _HASH_LINE.finditer(text):
        content = clean(line[1])
        if boxes.is_blank(content):
            continue
        if not is_title(line[1]):
            found.append(Statement(line.start(), line.end(), content, Kind.HASH_LINE))
            continue
        num_titles += 1
        names_a_section = bool(_LABEL.match(content)) or content.endswith(":")
        if line.end() >= end_of_text and num_titles == 1 and not names_a_section and not _numbered(line[1]):
            found.append(Statement(line.start(), line.end(), content, Kind.HASH_LINE))
    return found


def is_title(content: str) -> bool:
    """Returns whether the content of a `####` line is a heading by its form, and no value.

    >>> [is_title(line) for line in ("1. Count the rows", "**Step 1**", "(a) Rows", "27 apples", "x = 5", "$5$", "C")]
    [True, True, True, False, False, False, False]
    """
    if "boxed" in content:
        return True  # the box in it is the statement
    return _TITLE.match(content) is not None or content.rstrip("*_ ").endswith(":")


def _numbered(content: str) -> bool:
    return re.match(rf"[*_]*{_ENUMERATOR}[*_\s]*[A-Za-z\\$]|[*_]*\d{{1,2}}\s*[-\u2013\u2014:]", content) is not None


def box_statements(text: str) -> list[Statement]:
    """Returns the outermost boxes that hold something."""
    if "boxed" not in text and "fbox" not in text:
        return []
    found = [Statement(box.start, box.end, clean(box.content), Kind.BOX) for box in boxes.boxes(text)]
    return [statement for statement in found if statement.content]


_ANSWER_TAG = re.compile(r"<(/?)(?:final_?)?answer>", re.IGNORECASE)


def tag_statements(text: str) -> list[Statement]:
    """Returns what stands in `<answer>` tags. Linear in the text's length."""
    found: list[Statement] = []
    if "<" not in text:
        return found
    opening: re.Match[str] | None = None
    for tag in _ANSWER_TAG.finditer(text):
        if not tag[1]:
            opening = tag
        elif opening is not None:
            content = clean(_complement(text[opening.end() : tag.start()].strip()))
            if not boxes.is_blank(content):
                found.append(Statement(opening.start(), tag.end(), content, Kind.TAG))
            opening = None
    return found


def marks(text: str) -> list[Statement]:
    """Returns the explicit statements, first to last. A box counts and not the tag or line that it stands in."""
    boxed = box_statements(text)
    others = [*hash_lines(text), *tag_statements(text)]
    return sorted([*boxed, *without_overlaps(others, boxed)], key=lambda found: found.start)


def without_overlaps(statements: list[Statement], taken: list[Statement]) -> list[Statement]:
    """Returns those of `statements` that touch none of `taken`; both are sorted by their places."""
    kept: list[Statement] = []
    following = 0
    ordered = sorted(taken, key=lambda found: found.start)
    for statement in sorted(statements, key=lambda found: found.start):
        while following < len(ordered) and ordered[following].end <= statement.start:
            following += 1
        if following == len(ordered) or ordered[following].start >= statement.end:
            kept.append(statement)
    return kept


_SENTENCE = re.compile(
    r"(?:\b(?:the|my|our|final|correct|right|actual|revised|updated|corrected)\s+){0,4}\b"
    r"(?:answers?\b[*_]*(?:\s+to\s+(?:the|this|your)\s+\w+)?|(?<=the )solution|(?<=correct )(?:option|choice))"
    r"\s*(?:[:=]|\bis\b|\bare\b|\b(?:would|should|must) be\b|\b(?:equals|becomes)\b|(?=\$|\\\())"
    r"\s{0,9}:?[*_\s]{0,9}(?P<after>[^\n]{1,500})"
    r"|\b(?:is|could)\s+(?:the|my|our)\s+(?:final\s+)?answers?\s+(?:be\s+)?(?P<asked>[^\n?]{1,200})(?=\?)"
    r"|\bfinal answer\b\W{0,9}\n\s{0,9}(?P<below>[^\n]{1,500})"
    r"|(?P<before>\$[^$\n]{1,500}\$|\\\([^\n]{1,200}?\\\)|-?\$?\d[\d,./]{0,40})"
    r"\s{1,9}is\s+(?:the|our|my)\s+(?:final\s+|correct\s+)?(?:answer|solution)\b",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!?](?=[\s*\"'\u201d)]|$)|,?\s+(?:because|since|which|where|given|if)\b|<\|")
# What frames a sentence so that the text does not assert it: a supposition, or what others may think.
_HYPOTHESIS = re.compile(
    r"\b(?:(?:might|may|could|would|will|to|often|wrongly|mistakenly|initially|at first|many|some|people|students)\s+(?:\w+\s+){0,2}?"
    r"(?:think|say|guess|assume|expect|believe|conclude|claim|answer)|(?:false|wrong|untrue|doubtful|unlikely)\s+that"
    r"|(?:said|claimed|wrote|thought|believed|assumed|guessed)|let(?:'s|\u2019s| us)\s+(?:guess|try|say|assume|suppose)"
    r"|if|whether|unless|suppos(?:e|ing)|assum(?:e|ing)|imagine|pretend|say(?:ing)?|until|case)"
    r"\s+(?:that\s+)?(?:(?:the|my|our|final|correct)\s+)*$",
    re.IGNORECASE,
)
_REJECTED = re.compile(r"\b(?:wrong|incorrect|false|tempting|naive|mistaken)\s+$", re.IGNORECASE)
_ASKED = re.compile(
    r"(?:^|[.!?\n,;:]\s*|\b(?:so|but|then|and)\s+)(?:is|are|was|could|can|might|would|should)\s+\W*$"
    r"|\b(?:maybe|perhaps|possibly)\s*,?\s*$",
    re.IGNORECASE,
)
_DENIED = re.compile(r"(?:not|never|cannot|neither)\b[\s:*_]*(?:equal\s+to\s+|be\s+)?", re.IGNORECASE)
_ADVERB = re.compile(
    r"(?:(?:therefore|thus|then|hence|so|simply|just|now|clearly|indeed|definitely|certainly|obviously|again|still"
    r"|also|actually|in fact|for sure|of course|equal to|given by|rather|instead|precisely|exactly)\b[\s,:]*)+(?=\S)",
    re.IGNORECASE,
)
# What follows "the answer is" and is no answer: a judgement on it, or how it is to be written.
_NO_VALUE = re.compile(
    r"(?:(?:quite|clearly|still|also|probably|completely|indeed|really|definitely)\s+)*"
    r"(?:wrong|incorrect|right|correct|mistaken|invalid|unclear|unknown|off|in\b|within\b|inside\b|below|above|here|found"
    r"|obtained|shown|written|required|needed|wanted|to be\b|supposed|expected to|as follows|what\b|how\b|that\b)",
    re.IGNORECASE,
)


def sentences(text: str) -> list[Statement]:
    """Returns the sentences that state, ask for or deny an answer explicitly. One that supposes it is left out."""
    found: list[Statement] = []
    if not has_answer_word(text):
        return found
    position = 0
    while sentence := _SENTENCE.search(text, position):
        part = sentence.lastgroup or "after"
        statement = _sentence(text, sentence, part)
        position = max(sentence.start() + 1, sentence.start(part) if statement is None else statement.end)
        if statement is not None and statement.content and HIDDEN not in statement.content:
            found.append(statement)
    return found


def _sentence(text: str, sentence: re.Match[str], part: str) -> Statement | None:
    """Returns the statement of a match of `_SENTENCE`, None where it supposes or judges an answer only."""
    before = text[max(0, sentence.start() - 60) : sentence.start()]
    if _HYPOTHESIS.search(before) or _REJECTED.search(before):
        return None
    asked = part == "asked" or _ASKED.search(before) is not None
    if part == "before":
        mood = Mood.ASKED if asked else Mood.ASSERTED
        return Statement(sentence.start(), sentence.end(), clean(sentence[part]), Kind.SENTENCE, mood)
    stated = sentence[part]
    denial = _DENIED.match(stated)
    skipped = denial.end() if denial else 0
    adverb = _ADVERB.match(stated, skipped)
    skipped = adverb.end() if adverb else skipped
    stated = stated[skipped:]
    if _NO_VALUE.match(stated):
        return None
    end = first_break(stated)
    would_be = re.search(r"\bwould be\b[\s:*_]*$", text[sentence.start() : sentence.start(part)], re.IGNORECASE)
    if would_be and (re.match(r",?\s+if\b", stated[end:]) or re.search(r"\bif\b[^.!?\n]*$", before, re.IGNORECASE)):
        return None
    asked = asked or re.match(r"\s*\?", stated[end:]) is not None
    mood = Mood.DENIED if denial else Mood.ASKED if asked else Mood.ASSERTED
    content = clean(_complement(stated[:end]))
    return Statement(sentence.start(), sentence.start(part) + skipped + end, content, Kind.SENTENCE, mood)


# Words that correct what stands before them in the same sentence.
_CORRECTION = re.compile(
    r"[\s,;:(\u2013\u2014-]*\b(?:no|wait|actually|sorry|oops|hmm+|hm|or,?\s+rather|rather|instead\s+of|i\s+mean|i\s+meant|correction"
    r"|er|erm|uh|um|scratch\s+that|strike\s+that|make\s+that|hold\s+on|never\s*mind|not|but|let\s+me|let's)\b",
    re.IGNORECASE,
)
_VALUE_BEGINS = re.compile(
    r"[*_(\[{+\-\u2212\s]*(?:\d|\$|\u20ac|\u00a3|\\[(\[a-zA-Z]|\.\d|[A-Za-z](?![A-Za-z'])|[a-z]+\([a-z]\)\s*=)"
)
_ALTERNATIVE = re.compile(
    r"(?:or|and|maybe|perhaps|possibly|alternatively|either|give or take|more or less|at (?:least|most|best)|roughly"
    r"|approximately|plus or minus)\b",
    re.IGNORECASE,
)
_REASON = re.compile(r"[\s(]*(?:since|because|as)\b", re.IGNORECASE)
_PAUSE = re.compile(
    r",\s+|;\s*|\s+[(\u2013\u2014]\s*|\s+-+\s+|\s(?=or\b|but\b|no\b|wait\b|actually\b|hmm|rather than\b|instead of\b)",
    re.IGNORECASE,
)


def first_break(stated: str) -> int:
    """Returns where the value ends that a sentence states: at its end, a correction, or a comma before other words."""
    end = match.start() if (match := _SENTENCE_END.search(stated)) else len(stated)
    if not is_value(stated):
        return end
    for pause in _PAUSE.finditer(stated[:end]):
        rest, following = stated[pause.start() :], stated[pause.end() :]
        in_formula = stated.count("$", 0, pause.start()) % 2 == 1 and stated.count("$", 0, end) % 2 == 0
        if pause.start() > 0 and not in_formula and (_CORRECTION.match(rest) or _REASON.match(rest)):
            return pause.start()
        ends_at_words = pause[0].startswith(",") and re.match(r"[A-Za-z]{2}", following)
        if ends_at_words and not in_formula and not _ALTERNATIVE.match(following):
            return pause.start()
    return end


def is_value(content: str) -> bool:
    """Returns whether a content begins as a number, a formula or a single letter does, and not as prose.

    >>> is_value("-3 apples"), is_value("$x$"), is_value("D"), is_value("in dollars")
    (True, True, True, False)
    """
    return _VALUE_BEGINS.match(content) is not None


def _complement(sentence: str) -> str:
    """Returns what follows the last "is" when the statement is itself a sentence ("The sum is 5")."""
    if re.match(r"[A-Z][a-z]", sentence) and (verb := re.match(r".*\s(?:is|are|equals)\s", sentence)):
        return sentence[verb.end() :]
    return sentence


_DELIMITED = re.compile(r"\$\$([^$]+)\$\$|\$([^$]+)\$|\\\(((?:(?!\\\)).)+)\\\)|\\\[((?:(?!\\\]).)+)\\\]", re.DOTALL)


def clean(content: str) -> str:
    """Returns the content without emphasis, surrounding math delimiters, a closing full stop or a tick behind it."""
    content = _trimmed(content.split("<|", 1)[0])
    delimited = _DELIMITED.fullmatch(content)
    return content if delimited is None else delimited[delimited.lastindex or 0].strip()


def _trimmed(content: str) -> str:
    content = content.replace(HIDDEN, "").strip().lstrip("*").strip()
    end = len(content)
    while end and (content[end - 1] in " \t\n.,;*\u3002\ufe0f" or 0x2600 <= ord(content[end - 1]) <= 0x27BF
                   or 0x1F300 <= ord(content[end - 1]) <= 0x1FAFF):  # fmt: skip
        end -= 1
    return content[:end]
