"""The contract of problem sets passes what is right and names what is wrong."""

from __future__ import annotations

from functools import partial
from random import Random

import pytest

from alphallm_env.problems import PROBLEM_SETS, load_problems
from alphallm_env.testing import check_problem_set
from alphallm_env.types import Problem


def sums(split, limit, seed):
    """Even sums train, odd ones test."""
    rng = Random(f"{split}:{seed}")
    numbers = rng.sample(range(split == "test", 200, 2), limit or 5)
    return [Problem(f"sums/{n}", f"How much is {n} + 0?", str(n)) for n in numbers]


def test_problem_sets_pass(tmp_path):
    check_problem_set(sums)
    check_problem_set(PROBLEM_SETS.resolve("gsm_symbolic"), ("train", "development", "test", "unseen_templates"))
    (tmp_path / "mine.jsonl").write_text('{"question": "1 + 1?", "answer": "2"}\n{"question": "1 + 2?", "answer": 3}\n')
    check_problem_set(partial(load_problems, str(tmp_path / "mine.jsonl")), splits=("test",))


def unlimited(split, limit, seed):
    return sums(split, 50, seed)


def same_in_all_splits(split, limit, seed):
    return sums("train", limit, seed)


def reworded(split, limit, seed):
    return [Problem(f"{split}/{n}", f"How much is {n}{'?' if split == 'test' else ''}") for n in range(limit)]


def repeated(split, limit, seed):
    return sums(split, 1, seed) * min(limit, 2)


def silent(split, limit, seed):
    return [Problem(f"{split}/1", " ", "5")]


class Moving:
    calls = 0

    def __call__(self, split, limit, seed):
        self.calls += 1
        return sums(split, limit, seed + self.calls)


@pytest.mark.parametrize(
    ("problem_set", "law"),
    [
        (lambda *_: [], "must have problems"),
        (unlimited, "limit 8 must be respected, got 50"),
        (same_in_all_splits, "must not share problems"),
        (repeated, "ids must be different"),
        (Moving(), "one list of problems"),
        (lambda *_: ["How many?"], "expected problems"),
    ],
)
def test_a_wrong_problem_set_is_named(problem_set, law):
    with pytest.raises(AssertionError, match=law):
        check_problem_set(problem_set)


def test_the_same_question_in_two_splits_is_named():
    with pytest.raises(ValueError, match="expected test questions that do not train"):
        check_problem_set(reworded)


def test_an_empty_question_is_refused():
    with pytest.raises((AssertionError, ValueError), match="question"):
        check_problem_set(silent)
