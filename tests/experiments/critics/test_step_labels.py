"""Labels of steps: binary search and prefix sampling on policies whose first mistake is known."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphallm_env.lm.policy import Policy
from alphallm_env.lm.prompts import TinyTemplate
from alphallm_env.mdp.options import SentenceRule
from alphallm_env.testing.scripted import ScriptedLM
from alphallm_env.training.graded import LabelledStep, Sample
from alphallm_env.types import Problem
from experiments.critics.data import Sampler
from experiments.critics.step_labels import (
    Prefix,
    SampledSolution,
    Share,
    StepLabels,
    compare,
    label_by_binary_search,
    label_by_prefixes,
    rollout_estimator,
    searched_steps,
)

PROBLEM = Problem("p", "How many?", answer="3")


class Oracle:
    """Of eight rollouts, `good` succeed before the mistake, and none after it."""

    def __init__(self, first_wrong: int, good: int = 8) -> None:
        self.first_wrong = first_wrong
        self.good = good
        self.asked: list[int] = []  # lengths
        self.rounds = 0

    def __call__(self, prefixes: Sequence[Prefix]) -> list[Share]:
        self.rounds += 1
        self.asked += [len(prefix.steps) for prefix in prefixes]
        return [Share(8, self.good if len(prefix.steps) <= self.first_wrong else 0) for prefix in prefixes]


def solution(num_steps: int, *, is_correct: bool = False) -> SampledSolution:
    return SampledSolution(PROBLEM, tuple(f"step {n}\n" for n in range(num_steps)), is_correct)


@given(data=st.data(), num_steps=st.integers(1, 40), good=st.integers(1, 8))
def test_binary_search_finds_the_first_wrong_step_in_few_rollouts(data, num_steps: int, good: int) -> None:
    first_wrong = data.draw(st.integers(0, num_steps - 1))
    oracle = Oracle(first_wrong, good)
    [found] = label_by_binary_search([solution(num_steps)], oracle, threshold=1 / 8)
    assert found.first_wrong == first_wrong
    assert found.is_known
    assert len(oracle.asked) <= 1 + math.ceil(math.log2(num_steps))  # the root, then halves
    assert found.num_rollouts == 8 * len(oracle.asked)
    other = Oracle(first_wrong, good)
    [sampled] = label_by_prefixes([solution(num_steps)], other, threshold=1 / 8)
    assert sampled.first_wrong == first_wrong
    assert sampled.num_rollouts == 8 * (num_steps - 1)


def test_a_search_of_sixteen_steps_by_hand() -> None:
    oracle = Oracle(first_wrong=5)
    [found] = label_by_binary_search([solution(16)], oracle, threshold=0.5)
    assert oracle.asked == [0, 8, 4, 6, 5]  # the root is good; 8 bad; 4 good; 6 bad; 5 good
    assert found.values == {0: 1.0, 4: 1.0, 5: 1.0, 6: 0.0, 8: 0.0, 16: 0.0}
    labels = found.labelled_steps()
    assert [step.share_correct for step in labels] == [1.0] * 5 + [0.0]
    assert labels[5] == LabelledStep("How many?", tuple(f"step {n}\n" for n in range(5)), "step 5\n", 0.0)


def test_searches_run_side_by_side() -> None:
    oracle = Oracle(first_wrong=3)
    found = label_by_binary_search([solution(8), solution(8), solution(5, is_correct=True)], oracle, threshold=0.5)
    assert oracle.rounds == 4  # the root, and log2 of 8
    assert [labels.first_wrong for labels in found] == [3, 3, None]
    assert found[2].num_rollouts == 0
    assert [step.share_correct for step in found[2].labelled_steps()] == [1.0] * 5


def test_where_the_policy_never_succeeds_nothing_is_said() -> None:
    [found] = label_by_binary_search([solution(8)], Oracle(first_wrong=-1), threshold=0.5)
    assert not found.is_known
    assert found.first_wrong is None
    assert found.num_rollouts == 8
    assert found.labelled_steps() == []


def test_rollouts_that_cannot_be_graded_make_a_label_unknown() -> None:
    def blind(prefixes: Sequence[Prefix]) -> list[Share]:
        return [Share(0, 0) if len(prefix.steps) == 2 else Share(8, 8) for prefix in prefixes]

    assert math.isnan(Share(0, 0).value)
    for label in (label_by_binary_search, label_by_prefixes):
        [found] = label([solution(4)], blind, threshold=0.5)
        assert not found.is_known
        assert found.labelled_steps() == []


def test_the_threshold_is_a_share() -> None:
    for threshold in (0.0, 1.5):
        for label in (label_by_binary_search, label_by_prefixes):
            with pytest.raises(ValueError, match=r"threshold must be in \(0, 1\]"):
                label([solution(2)], Oracle(0), threshold)


RIGHT, WRONG = ("1 + 1 = 2\n", "2 + 1 = 3\n"), "2 + 2 = 4\n"
END = "#### 4\n"


def sampler() -> Sampler:
    """A policy that ends well from right steps, and badly after the wrong one."""
    lm = ScriptedLM({
        "": [("1 + 1 = 2\n", 1.0)],
        RIGHT[0]: [("2 + 1 = 3\n#### 3\n", 1.0)],
        RIGHT[0] + RIGHT[1]: [("#### 3\n", 1.0)],
        RIGHT[0] + WRONG: [("#### 4\n", 1.0)],
        RIGHT[0] + RIGHT[1] + END: [("\n", 1.0)],
    })  # fmt: skip
    return Sampler(Policy(lm, TinyTemplate()), SentenceRule(), max_tokens=40, temperature=1.0, seed=0)


def test_both_ways_agree_on_a_policy_whose_mistakes_are_known() -> None:
    wrong = [
        SampledSolution(PROBLEM, (RIGHT[0], WRONG, END), is_correct=False),  # a wrong step in the middle
        SampledSolution(PROBLEM, (RIGHT[0], RIGHT[1], END), is_correct=False),  # only the answer is wrong
    ]
    estimate = rollout_estimator(sampler(), num_rollouts=4)
    searched = label_by_binary_search(wrong, estimate, threshold=0.5)
    sampled = label_by_prefixes(wrong, estimate, threshold=0.5)
    assert [labels.first_wrong for labels in searched] == [1, 2]
    assert [labels.first_wrong for labels in sampled] == [1, 2]
    assert compare(searched, sampled)["agreement"] == 1.0


def test_searched_labels_are_what_a_prm_learns_from() -> None:
    samples = [
        Sample("p", "How many?", (RIGHT[0], WRONG, END), correct=False),
        Sample("p", "How many?", (RIGHT[0], RIGHT[1], "#### 3\n"), correct=True),
        Sample("p", "How many?", ("never reached\n",), correct=False),
    ]
    [steps] = searched_steps(sampler(), [(PROBLEM, samples)], 2, 0.5, solutions_per_problem=2)
    assert {step.step: step.share_correct for step in steps} == {
        RIGHT[0]: 1.0, WRONG: 0.0, RIGHT[1]: 1.0, "#### 3\n": 1.0,
    }  # fmt: skip


def test_comparing_counts_what_each_way_cost() -> None:
    long, short = solution(8), solution(2)
    searched = [
        StepLabels(long, {}, 3, True, 32),
        StepLabels(short, {}, 0, True, 16),
        StepLabels(short, {}, None, False, 8),
    ]
    sampled = [StepLabels(long, {}, 3, True, 56), StepLabels(short, {}, 1, True, 8), StepLabels(short, {}, 0, True, 8)]
    assert compare(searched, sampled) == {
        "solutions": 3.0, "known": 2.0, "deep": 1.0,
        "rollouts_binary_search": 24.0, "rollouts_prefixes": 32.0, "agreement": 0.5,
        "rollouts_binary_search_deep": 32.0, "rollouts_prefixes_deep": 56.0, "agreement_deep": 1.0,
    }  # fmt: skip
