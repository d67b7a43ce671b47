"""The contract of problem sets."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from alphallm_env.problems import ProblemSet, check_overlap
from alphallm_env.types import Problem


def check_problem_set(
    problem_set: ProblemSet, splits: Sequence[str] = ("train", "test"), limit: int = 8, seed: int = 0
) -> None:
    """Checks limits, seeds, ids and questions of each split, and that no question is in two splits.

    A set whose problems are the same in every split, as a file's are, is checked with one split.
    """
    found = {split: _checked_split(problem_set, split, limit, seed) for split in splits}
    for one, other in combinations(splits, 2):
        shared = {p.id for p in found[one]} & {p.id for p in found[other]}
        assert not shared, f"splits {one!r} and {other!r} must not share problems, got {sorted(shared)}"
        check_overlap(found[one], found[other])


def _checked_split(problem_set: ProblemSet, split: str, limit: int, seed: int) -> list[Problem]:
    problems = list(problem_set(split, limit, seed))
    assert problems, f"split {split!r} must have problems, got none"
    assert len(problems) <= limit, f"limit {limit} must be respected, got {len(problems)} problems of {split!r}"
    assert all(isinstance(problem, Problem) for problem in problems), f"expected problems, got {problems}"  # pyright: ignore[reportUnnecessaryIsInstance]
    ids = [problem.id for problem in problems]
    assert len(set(ids)) == len(ids), f"ids must be different, got {ids}"
    for problem in problems:
        assert problem.question.strip(), f"a question must not be empty, got {problem}"
        assert problem.answer is None or problem.answer.strip(), f"an answer must be None or text, got {problem}"
    again = list(problem_set(split, limit, seed))
    assert problems == again, f"one seed must give one list of problems, got {ids}, then {[p.id for p in again]}"
    few = list(problem_set(split, 1, seed))
    assert len(few) == 1, f"limit 1 must give one problem of {split!r}, got {len(few)}"
    return problems
