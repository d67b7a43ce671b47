"""Sentences around one number: "She has 18 apples left" states 18, unless a word may change the number."""

import re

from alphallm_env.grading.quantities.numerals import changes_number
from alphallm_env.grading.quantities.phrases import names_what_is_counted
from alphallm_env.grading.quantities.units import is_measure

# Words that compare, join or deny beside a number, and do no harm in a sentence around it.
_HARMLESS = frozenset(
    ["is", "are", "of", "for", "with", "from", "all", "some", "when", "where", "square", "cubic", "positive"]
)
_NUMBER = re.compile(
    r"(?<![\w.,/-])[+-]?(?:\\?\$|[€£¥₹])?\s*(?:\d{1,3}(?:,\d{3})+|\d+)(?:[.,]\d+)?(?:/\d+)?(?![\d.,]*[A-Za-z\d^_/*(\\])"
)
_WORD = re.compile(r"[A-Za-z]+(?:['-][A-Za-z]+)*")
MAX_WORDS = 15
# What may stand alone before a number; any other single word there may be one that changes it.
_LABELS = frozenset(
    [
        "altogether", "answer", "count", "equals", "exactly", "gives", "hence", "is", "just", "number", "only",
        "result",
        "so", "solution", "sum", "the", "therefore", "thus", "total", "value",
    ]
)  # fmt: skip


def stated_number(text: str) -> str | None:
    """Returns the one number of a sentence; None where there are more, or a word may change its value.

    >>> stated_number("Total : 18 apples"), stated_number("18 is not it"), stated_number("she has 18 mln")
    ('18', None, None)
    """
    all_words = _WORD.findall(text)
    if not 0 < len(all_words) <= MAX_WORDS or len(re.findall(r"\d[\d.,/]*", text)) != 1:
        return None
    if re.search(r"[\\?=<>^_+*]|\bof\s+[+-]?[$\d]", text):
        return None
    found = _NUMBER.search(text)
    if found is None or any(map(_may_change, all_words)):
        return None
    before = text[: found.start()].strip()
    if len(all_words) == 1 and before and before[-1].isalpha() and before.lower() not in _LABELS:
        return None
    number = re.sub(r"[^\d.,/+-]|[.,]+$", "", found[0])
    behind = _WORD.findall(re.split(r"[.,;:!)]", text[found.end() :])[0])
    return number if not behind or names_what_is_counted(behind, number) else None


def _may_change(word: str) -> bool:
    small = word.lower()
    if small.endswith("n't"):
        return True
    return small not in _HARMLESS and not is_measure(word) and changes_number(small)
