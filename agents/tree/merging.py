"""State merge: when a new option means the same as a sibling, and what to do about it.

A merge rule compares the texts of two options taken in the same state.
"""

from __future__ import annotations

import enum
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

from agents.answers import answer_key
from agents.tree.mathematics import mathematical_content
from agents.tree.node import Node
from agents.tree.rules import registry_of_rules
from alphallm_env.registry import Registry
from alphallm_env.types import State

MergeRule = Callable[[str, str], bool]


class MergeMode(enum.Enum):
    """What becomes of an option that means the same as a sibling."""

    REJECT = "reject"  # thrown away and drawn again: AlphaLLM's code
    MERGE = "merge"  # joins the sibling's group, which shares its statistics


@dataclass(frozen=True)
class EditDistance:
    """Two texts mean the same if their mathematics is the same and few characters must be changed to make them equal.

    Differs: AlphaLLM counts `limit` changes whatever the length, so that lines of 50 characters are all the same;
    here `limit` is per 100 characters of the longer text. No number of changes joins different mathematics.
    """

    limit: int  # characters inserted, deleted or replaced, per 100

    def __post_init__(self) -> None:
        if not 0 <= self.limit <= 100:
            raise ValueError(f"limit must be in [0, 100] characters of 100, got {self.limit}")

    def __call__(self, first: str, second: str) -> bool:
        """Returns whether the mathematics is the same and the Levenshtein distance within the limit."""
        most = self.limit * max(len(first), len(second)) // 100
        is_near = Levenshtein.distance(first, second, score_cutoff=most) <= most
        return is_near and mathematical_content(first) == mathematical_content(second)


@dataclass(frozen=True)
class CosineSimilarity:
    """Two texts mean the same if their mathematics is the same and their counts of character n-grams are similar."""

    threshold: float = 0.7
    size: int = 3  # characters per n-gram

    def __call__(self, first: str, second: str) -> bool:
        """Returns whether the mathematics is the same and the cosine of the angle reaches the threshold."""
        if first == second:
            return True
        is_near = cosine(n_grams(first, self.size), n_grams(second, self.size)) >= self.threshold
        return is_near and mathematical_content(first) == mathematical_content(second)


@dataclass(frozen=True)
class SameMathematics:
    """Two texts mean the same if their mathematics is the same: words count where calculations do not say all."""

    def __call__(self, first: str, second: str) -> bool:
        """Returns whether both texts have the same mathematical content."""
        return first == second or mathematical_content(first) == mathematical_content(second)


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
