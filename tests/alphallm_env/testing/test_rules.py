"""The contracts of rules pass what is right and name what is wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import count

import pytest

from alphallm_env.mdp.options import FormulaRule, NeverRule, RegexRule, SentenceRule, TokenRule
from alphallm_env.testing import check_merge_rule, check_selection_rule, check_termination_rule
from alphallm_env.testing.rules import CandidateStatistics, candidate_cases

CALLS = count()


@pytest.mark.parametrize(
    "rule", [TokenRule(), SentenceRule(), FormulaRule(), RegexRule(r"\n\n", trigger="\n")], ids=lambda rule: rule.name
)
def test_the_termination_rules_pass(rule):
    check_termination_rule(rule)


@dataclass(frozen=True)
class Late:
    """Fires at the first character after a newline, where a decoder does not ask."""

    name: str = "late"
    trigger: str = "\n"

    def terminates(self, text: str) -> bool:
        return "\n" in text[:-1]


@dataclass(frozen=True)
class Counting:
    name: str = "counting"
    trigger: str = ""
    calls = count()

    def terminates(self, text: str) -> bool:
        return bool(text) and next(self.calls) % 3 == 0


@dataclass(frozen=True)
class Hasty(SentenceRule):
    def terminates(self, text: str) -> bool:
        return not text or super().terminates(text)


@dataclass(frozen=True)
class Truthy(SentenceRule):
    def terminates(self, text: str) -> bool:
        return text.endswith("\n") and text.strip()  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("rule", "law"),
    [
        (SentenceRule(name=""), "must have a name"),
        (SentenceRule(trigger="\n\n"), "one character or empty"),
        (Hasty(), "without text must not end"),
        (Late(), "only after a token with its trigger"),
        (Counting(), "on the text only"),
        (Truthy(), "return a bool"),
        (NeverRule(), "ends no option in the given texts"),
    ],
)
def test_a_wrong_termination_rule_is_named(rule, law):
    with pytest.raises(AssertionError, match=law):
        check_termination_rule(rule)


def test_a_merge_rule_is_an_equality_of_meaning():
    check_merge_rule(lambda a, b: a.split() == b.split())
    check_merge_rule(lambda a, b: abs(len(a) - len(b)) <= 1)
    for rule, law in (
        (lambda a, b: a != "" and a == b, "the same as itself, and '' does not"),
        (lambda a, b: a <= b, "symmetric"),
        (lambda a, b: a == b or None, "return a bool, got None"),
        (lambda a, b: a == b or next(CALLS) % 4 == 2, "symmetric|repeatable"),
    ):
        with pytest.raises(AssertionError, match=law):
            check_merge_rule(rule)


def ucb(candidates: CandidateStatistics, c: float) -> list[float]:
    explore = math.log(candidates.parent_visits + 1)
    return [q + c * math.sqrt(explore / n) if n else math.inf for q, n in candidates.q_and_visits]


def noisy(candidates: CandidateStatistics, c: float) -> list[float]:
    return list(candidates.rng.normal(candidates.q, c))


def test_a_selection_rule_scores_every_candidate():
    check_selection_rule(ucb)
    check_selection_rule(noisy)
    assert all(len(candidates.prior) == len(candidates) for candidates in candidate_cases())


def best_only(candidates: CandidateStatistics, c: float) -> list[float]:
    return [max(candidates.q)]


def zero_by_zero(candidates: CandidateStatistics, c: float) -> list[float]:
    return [q / n if n else math.nan for q, n in candidates.q_and_visits]


def visiting(candidates: CandidateStatistics, c: float) -> list[float]:
    candidates.visits[0] += 1
    return candidates.q


def moody(candidates: CandidateStatistics, c: float) -> list[float]:
    return [q + next(CALLS) for q in candidates.q]


@pytest.mark.parametrize(
    ("rule", "law"),
    [
        (best_only, "one score per candidate"),
        (zero_by_zero, "must be a number"),
        (visiting, "not change candidates"),
        (moody, "the same scores"),
    ],
)
def test_a_wrong_selection_rule_is_named(rule, law):
    with pytest.raises(AssertionError, match=law):
        check_selection_rule(rule)
