"""State merge: when a new option means the same as a sibling, and what to do about it.

A merge rule compares the texts of two options taken in the same state.
"""

from __future__ import annotations

import enum
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from rapidfuzz.distance import Levenshtein

from agents.answers import answer_key
from agents.tree.node import Node
from agents.tree.rules import registry_of_rules
from alphallm_env.registry import Registry
from alphallm_env.types import State

MergeRule = Callable[[str, str], bool]
Operands = tuple[tuple[Fraction, ...], tuple[str, ...]]  # the numbers and the operators of one side


class MergeMode(enum.Enum):
    """What becomes of an option that means the same as a sibling."""

    REJECT = "reject"  # thrown away and drawn again: AlphaLLM's code
    MERGE = "merge"  # joins the sibling's group, which shares its statistics


@dataclass(frozen=True)
class EditDistance:
    """Two texts mean the same if `limit` characters inserted, deleted or replaced make them equal."""

    limit: int

    def __call__(self, first: str, second: str) -> bool:
        """Returns whether the Levenshtein distance is at most the limit."""
        return Levenshtein.distance(first, second, score_cutoff=self.limit) <= self.limit


@dataclass(frozen=True)
class CosineSimilarity:
    """Two texts mean the same if the vectors of their counts of character n-grams are similar."""

    threshold: float = 0.7
    size: int = 3  # characters per n-gram

    def __call__(self, first: str, second: str) -> bool:
        """Returns whether the cosine of the angle between the counts reaches the threshold."""
        return cosine(n_grams(first, self.size), n_grams(second, self.size)) >= self.threshold


@dataclass(frozen=True)
class SameMathematics:
    """Two texts mean the same if they hold the same equations; without any, if their words are the same."""

    def __call__(self, first: str, second: str) -> bool:
        """Returns whether both texts have the same mathematical content."""
        equations = mathematical_content(first)
        if equations != mathematical_content(second):
            return False
        return bool(equations) or _words(first) == _words(second)


MERGE_RULES: Registry[MergeRule | None] = registry_of_rules(
    "merge_rule",
    {
        "none": None,
        "distance_20": EditDistance(20),
        "distance_50": EditDistance(50),
        "cosine": CosineSimilarity(0.7),
        "mathematics": SameMathematics(),
    },
    "a function of two texts that says whether they mean the same",
    families={
        "distance": lambda limit: EditDistance(int(limit)),
        "cosine": lambda threshold: CosineSimilarity(float(threshold)),
    },
)


def find_twin(state: State, siblings: Sequence[Node], rule: MergeRule | None) -> Node | None:
    """Returns the first sibling that means the same as `state`, None where there is none or no rule.

    Differs: ended texts are the same if and only if they state the same answer, whatever the rule says:
    one digit decides an answer and no distance. A running text never joins an ended one.
    """
    if rule is None or state.option is None:
        return None
    for sibling in siblings:
        other = sibling.state
        if (state.ending is None) != (other.ending is None) or other.option is None:
            continue
        if state.ending is None:
            is_twin = rule(state.option.text, other.option.text)
        else:
            is_twin = answer_key(state.text) == answer_key(other.text)
        if is_twin:
            return sibling
    return None


def n_grams(text: str, size: int) -> Counter[str]:
    """Returns how often each run of `size` characters occurs; a shorter text counts whole."""
    text = " ".join(text.lower().split())
    return Counter(text[start : start + size] for start in range(max(1, len(text) - size + 1)))


def cosine(first: Counter[str], second: Counter[str]) -> float:
    """Returns the cosine of the angle between two vectors of counts."""
    product = sum(count * second[gram] for gram, count in first.items())
    lengths = math.sqrt(sum(n * n for n in first.values()) * sum(n * n for n in second.values()))
    return product / lengths


_UNIT = r"[^\W\d_]+(?:[ \t/]+[^\W\d_]+)?"
_MARK = re.compile(r"<<(.*?)>>")  # GSM8K's calculator marks: 3 * 4 = <<3*4=12>>12
_REWRITES = [
    (r"\\(?:times|cdot)\b|[×·∗]|\bx(?=[ \t]*[\d(£$€])", "*"),
    (r"\\div\b|÷", "/"),
    (r"[−–]", "-"),
    (r"\\?[$£€]|\\[()\[\]]|(?<=\d),(?=\d{3}\b)", ""),
    (r"\\[dt]?frac\s*\{(\d+)\}\s*\{(\d+)\}", r"\1/\2"),
    (rf"(?<=[\d)%])[ \t]+{_UNIT}[ \t]*(?=[-+*/=])", " "),  # drops the unit of "76 pages * 1/2"
]
_NUMBER = r"\d+(?:\.\d+)?|\.\d+"
_SIDE = rf"[-( \t]*(?:{_NUMBER})[ \t%)]*(?:[-+*/^][-( \t]*(?:{_NUMBER})[ \t%)]*)*"
_EQUATION = re.compile(rf"{_SIDE}(?:=[ \t]*{_SIDE})+")


def mathematical_content(text: str) -> frozenset[tuple[Operands, ...]]:
    """Returns the equations of a step, each side as its sorted numbers and operators.

    >>> mathematical_content("She has 3 x 4 = 12 eggs.") == mathematical_content("That is 4*3=12 in all.")
    True
    """
    marks = _MARK.findall(text)
    parts = [_plain(part) for part in (_MARK.sub("", text), *marks)]
    equations = [equation for part in parts for equation in _EQUATION.findall(part)]
    return frozenset(tuple(map(_operands, equation.split("="))) for equation in equations)


def _plain(text: str) -> str:
    for pattern, replacement in _REWRITES:
        text = re.sub(pattern, replacement, text)
    return text


def _operands(side: str) -> Operands:
    numbers = tuple(sorted(Fraction(number) for number in re.findall(_NUMBER, side)))
    return numbers, tuple(sorted(re.findall(r"[-+*/^]", side)))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
