"""The contracts of rules: termination rules, selection rules and merge rules."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from alphallm_env.mdp.options import OptionRule, split_options

SOLUTIONS = (
    "Ann has 2 + 3 = 5 pens.\nShe gives 1 away: 5 - 1 = 4.\n#### 4\n",
    "We solve $x^2 = 9$.\n\nSo \\(x = 3\\) or $x = -3$.\n\n\nThe answer is $\\boxed{3}$.",
    "Step 1: 2 * 3 = <<2*3=6>>6\n\n  \nStep 2: half of it is 3.\n",
)
STEPS = (
    "2 + 3 = 5\n",
    "So 3 + 2 = 5.\n",
    "2 + 3 = 6\n",
    "Twice that is 10.\n",
    "#### 10\n",
    "\n",
    "",
    "π ≈ 3.14",
)


def check_termination_rule(rule: OptionRule, texts: Sequence[str] = SOLUTIONS) -> None:
    """Checks that a rule depends on an option's text only, and fires first just after a token with its trigger.

    Tokens may be as short as a character, so the trigger is one character, or empty. `texts` are solutions, in at
    least one of which the rule must end an option.
    """
    assert rule.name, f"a rule must have a name, got {rule.name!r}"
    assert len(rule.trigger) <= 1, f"a trigger must be one character or empty, got {rule.trigger!r}"
    assert not rule.terminates(""), "an option without text must not end, or decoding would not advance"
    has_fired = False
    for text in texts:
        ends = range(1, len(text) + 1)
        answers = [rule.terminates(text[:end]) for end in ends]
        assert all(type(answer) is bool for answer in answers), f"terminates must return a bool, got {answers}"
        backwards = [rule.terminates(text[:end]) for end in reversed(ends)]
        assert answers == backwards[::-1], f"terminates must depend on the text only, not on earlier calls: {text!r}"
        if True in answers:
            has_fired = True
            first = text[: answers.index(True) + 1]
            assert rule.trigger in first[-1:], (
                f"a rule can fire only after a token with its trigger {rule.trigger!r}, and it ends {first!r}"
            )
        pieces = split_options(text, rule)
        assert "".join(pieces) == text, f"options must add up to the text: {pieces} for {text!r}"
    assert has_fired, f"rule {rule.name!r} ends no option in the given texts; pass texts in which it does"


def check_merge_rule(rule: Callable[[str, str], bool], texts: Sequence[str] = STEPS) -> None:
    """Checks that a rule returns a bool for any two texts, reflexive, symmetric and repeatable."""
    for first in texts:
        for second in texts:
            found = rule(first, second)
            assert type(found) is bool, f"a merge rule must return a bool, got {found!r}"
            assert found or first != second, f"a text must mean the same as itself, and {first!r} does not"
            assert rule(second, first) is found, f"a merge rule must be symmetric, not so for {first!r} and {second!r}"
            assert rule(first, second) is found, f"a merge rule must be repeatable, not so for {first!r} and {second!r}"


@dataclass
class CandidateStatistics:
    """Children of a node as a selection rule sees them: for each statistic a list, with an entry per child.

    A stand-in for the `Candidates` of a tree. `value`, `prm` and `orm` are None where no critic scored the child.
    """

    q: list[float]
    visits: list[int]
    parent_visits: int
    prior: list[float]
    variance: list[float]
    value: list[float | None]
    prm: list[float | None]
    orm: list[float | None]
    seed: int = 0

    def __len__(self) -> int:
        return len(self.q)

    @property
    def q_and_visits(self) -> list[tuple[float, int]]:
        """Pairs of value and visits."""
        return list(zip(self.q, self.visits, strict=True))

    @property
    def rng(self) -> np.random.Generator:
        """A new generator with each access, the same for the same choice."""
        return np.random.default_rng(self.seed)


def candidate_cases() -> list[CandidateStatistics]:
    """Returns candidates of every kind: a single one, one without visits, without scores, with equal statistics."""
    return [
        CandidateStatistics([0.5], [3], 3, [1.0], [0.1], [0.5], [0.25], [0.75]),
        CandidateStatistics([0.0], [0], 0, [1.0], [0.0], [None], [None], [None]),
        CandidateStatistics([0.5, 0.0], [4, 0], 4, [0.8, 0.2], [0.05, 0.0], [0.5, 0.25], [0.75, 0.5], [None, None]),
        CandidateStatistics([0.5, 0.5], [2, 2], 4, [0.5, 0.5], [0.0, 0.0], [0.5, 0.5], [0.5, 0.5], [0.5, 0.5]),
        CandidateStatistics(
            [0.9, 0.1, 0.4], [50, 1, 9], 60, [0.1, 0.3, 0.6], [0.01, 0.0, 0.2], [0.8, 0.2, None], [0.7, None, 0.1],
            [1.0, 0.0, None],
        ),
    ]  # fmt: skip


def check_selection_rule(
    rule: Callable[[CandidateStatistics, float], Sequence[float]],
    cases: Sequence[CandidateStatistics] | None = None,
    cs: Sequence[float] = (0.0, 1.0),
) -> None:
    """Checks that a rule returns one comparable score per candidate, repeatably, and changes nothing.

    `cs` are the values of the constant c to check with.
    """
    for candidates in candidate_cases() if cases is None else cases:
        for c in cs:
            before = copy.deepcopy(candidates)
            scores = [float(score) for score in rule(candidates, c)]
            shown = f"{scores} for {before} at c = {c}"
            assert len(scores) == len(candidates), f"a selection rule must return one score per candidate, got {shown}"
            assert not any(map(math.isnan, scores)), f"a score must be a number, got {shown}"
            assert candidates == before, f"a selection rule must not change candidates: {before} became {candidates}"
            again = [float(score) for score in rule(candidates, c)]
            assert again == scores, f"the same candidates must have the same scores, got {shown}, then {again}"
