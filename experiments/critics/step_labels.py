"""Labels for the steps of a solution from rollouts alone: by prefix sampling, or by binary search.

Both estimate the value of a prefix by the share of its continuations that end correctly. Prefix sampling
(Math-Shepherd: Wang et al. 2024) does so after every step. Binary search (OmegaPRM: Luo et al. 2024) looks for the
first wrong step only: it halves the steps in question each time, and needs log₂ as many estimates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from alphallm_env.training.graded import LabelledStep, Sample
from alphallm_env.types import Problem
from experiments.critics.data import Sampler, is_correct


@dataclass(frozen=True)
class SampledSolution:
    """A sampled solution of a problem, as β cuts it into steps."""

    problem: Problem
    steps: tuple[str, ...]
    is_correct: bool  # its final answer

    def prefix(self, length: int) -> Prefix:
        """Returns its first `length` steps."""
        return Prefix(self.problem, self.steps[:length])


@dataclass(frozen=True)
class Prefix:
    """A problem and the first steps of a solution."""

    problem: Problem
    steps: tuple[str, ...]


@dataclass(frozen=True)
class Share:
    """How many rollouts of a prefix could be graded, and how many of those ended correctly."""

    num_graded: int
    num_correct: int

    @property
    def value(self) -> float:
        """The share of correct ones: the Monte-Carlo value of the prefix, NaN where none could be graded."""
        return self.num_correct / self.num_graded if self.num_graded else math.nan


Estimator = Callable[[Sequence[Prefix]], list[Share]]


@dataclass(frozen=True)
class StepLabels:
    """The labels that rollouts give to the steps of one solution.

    `values` has the estimates that were made, by prefix length. `first_wrong` is the index of the first step after
    which too few rollouts end correctly, None where there is none; `is_known` is False where nothing can be
    said, as the policy does not solve the problem from its beginning either.
    """

    solution: SampledSolution
    values: dict[int, float] = field(default_factory=dict)
    first_wrong: int | None = None
    is_known: bool = True
    num_rollouts: int = 0

    def labelled_steps(self) -> list[LabelledStep]:
        """Returns the steps that have a label, for training a PRM.

        Steps after the first wrong one have none, since they follow from a mistake. A step without an estimate of its
        own is good (1.0), as one after it is.
        """
        if not self.is_known:
            return []
        steps = self.solution.steps
        end = len(steps) if self.first_wrong is None else self.first_wrong + 1
        question = self.solution.problem.question
        return [LabelledStep(question, steps[:i], steps[i], self.values.get(i + 1, 1.0)) for i in range(end)]


def rollout_estimator(sampler: Sampler, num_rollouts: int) -> Estimator:
    """Returns the estimator that draws so many continuations of each prefix from a policy."""

    def estimate(prefixes: Sequence[Prefix]) -> list[Share]:
        starts = [(prefix.problem, prefix.steps) for prefix in prefixes]
        drawn = sampler.continuations(starts, num_rollouts, "rollout")
        shares: list[Share] = []
        for prefix, texts in zip(prefixes, drawn, strict=True):
            ends = [is_correct("".join(prefix.steps) + text, prefix.problem) for text in texts]
            graded = [end for end in ends if end is not None]
            shares.append(Share(len(graded), sum(graded)))
        return shares

    return estimate


def label_by_prefixes(solutions: Sequence[SampledSolution], estimate: Estimator, threshold: float) -> list[StepLabels]:
    """Returns the labels of each solution's steps, from an estimate after every step but the last.

    A step is wrong if less than `threshold` of the rollouts after it end correctly; the last step is judged by its
    own outcome.
    """
    _check_threshold(threshold)
    asked = [(row, length) for row, s in enumerate(solutions) for length in range(1, len(s.steps))]
    shares = estimate([solutions[row].prefix(length) for row, length in asked]) if asked else []
    values: list[dict[int, float]] = [{len(s.steps): float(s.is_correct)} for s in solutions]
    spent = [0] * len(solutions)
    for (row, length), share in zip(asked, shares, strict=True):
        values[row][length] = share.value
        spent[row] += share.num_graded
    return [
        StepLabels(s, found, _first_below(found, threshold), not any(map(math.isnan, found.values())), num)
        for s, found, num in zip(solutions, values, spent, strict=True)
    ]


def _first_below(values: dict[int, float], threshold: float) -> int | None:
    return next((length - 1 for length in sorted(values) if values[length] < threshold), None)


@dataclass
class _Search:
    """A binary search: rollouts succeed after `good` steps, and do not after `bad` steps."""

    solution: SampledSolution
    good: int
    bad: int
    values: dict[int, float]
    num_rollouts: int = 0
    is_known: bool = True

    @property
    def middle(self) -> int:
        return (self.good + self.bad) // 2

    @property
    def is_open(self) -> bool:
        return self.is_known and self.bad - self.good > 1


def label_by_binary_search(
    solutions: Sequence[SampledSolution], estimate: Estimator, threshold: float
) -> list[StepLabels]:
    """Returns, for each solution, its first wrong step, from an estimate at the root and ⌈log₂ steps⌉ more.

    All solutions are searched in parallel, one estimate of each per round. A correct solution needs none: all its
    steps count as good. Where the root itself falls below `threshold`, the labels are unknown. The search finds
    the first wrong step if values fall below the threshold once, and stay there; else it finds one of the falls.
    """
    _check_threshold(threshold)
    searches = [_Search(s, 0, len(s.steps), {len(s.steps): 1.0 if s.is_correct else 0.0}) for s in solutions]
    wrong = [search for search in searches if not search.solution.is_correct]
    _probe(wrong, estimate, threshold, lambda _: 0)
    while running := [search for search in wrong if search.is_open]:
        _probe(running, estimate, threshold, lambda search: search.middle)
    return [
        StepLabels(s.solution, s.values, None if s.solution.is_correct or not s.is_known else s.bad - 1, s.is_known,
                   s.num_rollouts)
        for s in searches
    ]  # fmt: skip


def _probe(
    searches: Sequence[_Search], estimate: Estimator, threshold: float, length_of: Callable[[_Search], int]
) -> None:
    """Estimates one prefix of each search, and moves its bounds."""
    lengths = [length_of(search) for search in searches]
    prefixes = [search.solution.prefix(length) for search, length in zip(searches, lengths, strict=True)]
    for search, length, share in zip(searches, lengths, estimate(prefixes) if prefixes else [], strict=True):
        search.values[length] = share.value
        search.num_rollouts += share.num_graded
        if math.isnan(share.value) or (length == 0 and share.value < threshold):
            search.is_known = False
        elif share.value >= threshold:
            search.good = length
        else:
            search.bad = length


def _check_threshold(threshold: float) -> None:
    if not 0.0 < threshold <= 1.0:
        raise ValueError(f"threshold must be in (0, 1], got {threshold}")


def searched_steps(
    sampler: Sampler,
    groups: Sequence[tuple[Problem, Sequence[Sample]]],
    num_rollouts: int,
    threshold: float,
    solutions_per_problem: int,
) -> list[list[LabelledStep]]:
    """Returns, per problem, the steps that binary searches labelled, in its first few different solutions."""
    solutions = [
        SampledSolution(problem, sample.steps, sample.correct)
        for problem, samples in groups
        for sample in [s for s in dict.fromkeys(samples) if s.steps][:solutions_per_problem]
    ]
    labels = label_by_binary_search(solutions, rollout_estimator(sampler, num_rollouts), threshold)
    steps: dict[str, list[LabelledStep]] = {problem.id: [] for problem, _ in groups}
    for solution, found in zip(solutions, labels, strict=True):
        steps[solution.problem.id] += found.labelled_steps()
    return [list(dict.fromkeys(steps[problem.id])) for problem, _ in groups]


def compare(searched: Sequence[StepLabels], sampled: Sequence[StepLabels]) -> dict[str, float]:
    """Returns rollouts used by binary search and by prefix sampling, and how often both find the same first mistake.

    Agreement is of solutions whose search found an answer; `deep` figures are of those with four steps or more.
    """
    pairs = [(one, other) for one, other in zip(searched, sampled, strict=True) if one.is_known]
    deep = [(one, other) for one, other in pairs if len(one.solution.steps) >= 4]
    figures = {"solutions": float(len(searched)), "known": float(len(pairs)), "deep": float(len(deep))}
    for name, part in (("", pairs), ("_deep", deep)):
        if part:
            figures[f"rollouts_binary_search{name}"] = sum(one.num_rollouts for one, _ in part) / len(part)
            figures[f"rollouts_prefixes{name}"] = sum(other.num_rollouts for _, other in part) / len(part)
            figures[f"agreement{name}"] = sum(one.first_wrong == other.first_wrong for one, other in part) / len(part)
    return figures
