"""Endless GSM8K-like word problems, with checked answers and worked solutions, from reasoning-gym.

Every problem comes from a *template* (one of reasoning-gym's generators) and the numbers drawn for it.
Splits are made by hashing template and numbers, so no two splits share a problem, not even one that
differs only by names. A few templates appear in no split but `unseen_templates`. Ids are made from the questions and
the templates' tokens: what a problem was drawn with is not in them.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import TYPE_CHECKING

from alphallm_env.errors import ProblemError
from alphallm_env.problems.identity import opaque_id
from alphallm_env.types import Problem

if TYPE_CHECKING:
    from reasoning_gym.arithmetic.gsm_symbolic.gsm_symbolic import GSMSymbolicDataset

SPLITS = ("train", "development", "test", "unseen_templates")


@dataclass(frozen=True)
class Level:
    """Which templates a difficulty level has, and which of their problems it admits."""

    templates: tuple[int, ...]
    unseen: tuple[int, ...]  # the templates that only `unseen_templates` has
    max_number: int | None  # admit only problems whose numbers are integers up to this


# `easy`: templates whose question and solution are short (two or three steps) and whose numbers can
# all be integers up to 100. `full`: every template that reasoning-gym trusts, any numbers.
LEVELS = {
    "easy": Level(
        templates=(4, 6, 10, 14, 16, 24, 30, 31, 34, 39, 43, 48, 54, 55, 58, 62, 69, 72, 78, 95),
        unseen=(20, 57, 59),
        max_number=100,
    ),
    "full": Level(
        templates=tuple(
            template
            for template in range(100)
            if template not in (20, 57, 59, 33, 88)
            and template not in (32, 35, 37, 61, 63, 65, 74, 76, 77, 79, 86, 87, 90, 97, 98)
        ),
        unseen=(20, 57, 59, 33, 88),
        max_number=None,
    ),
}
_NUMBER = re.compile(r"\d+(?:[.,/]\d+)*")
_MAX_TRIES = 2_000


@cache
def _generators() -> GSMSymbolicDataset:
    with warnings.catch_warnings():
        # reasoning-gym imports cellpylib, whose code warns where it is compiled for the first time.
        warnings.simplefilter("ignore", SyntaxWarning)
        from reasoning_gym.arithmetic.gsm_symbolic.gsm_symbolic import (
            GSMSymbolicDataset,
            GSMSymbolicDatasetConfig,
        )

    return GSMSymbolicDataset(GSMSymbolicDatasetConfig(seed=0, size=1))


def split_of(template: int, question: str, level: Level) -> str:
    """Returns the one split that a problem belongs to: 80 % train, 10 % development, 10 % test."""
    if template in level.unseen:
        return "unseen_templates"
    key = f"{template}:{','.join(_NUMBER.findall(question))}"
    bucket = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=4).digest(), "little") % 10
    return {8: "development", 9: "test"}.get(bucket, "train")


def _admits(level: Level, question: str, solution: str) -> bool:
    if level.max_number is None:
        return True
    numbers = [part for number in _NUMBER.findall(question + solution) for part in number.split("/")]
    return all(number.isdigit() and int(number) <= level.max_number for number in numbers)


def stream(split: str, seed: int, level: str = "easy") -> Iterator[Problem]:
    """Yields problems of one split endlessly, templates in equal shares, the same for the same seed.

    The worked solution ends with the line `#### answer`. Raises ProblemError for an unknown split or level.
    """
    if split not in SPLITS:
        raise ProblemError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    if level not in LEVELS:
        raise ProblemError(f"level must be one of {', '.join(LEVELS)}, got {level!r}")
    rules = LEVELS[level]
    templates = rules.unseen if split == "unseen_templates" else rules.templates
    rng = Random(f"{split}:{seed}:{level}")
    while templates:
        template = rng.choice(templates)
        problem = _draw(template, rng, split, rules)
        if problem is not None:
            yield problem
        else:  # a template with few different problems, none of them in this split
            templates = tuple(other for other in templates if other != template)
    raise ProblemError(f"no template of level {level!r} has a problem of split {split!r}")


def _draw(template: int, rng: Random, split: str, level: Level) -> Problem | None:
    """Returns a problem of the template that is in the split, None after many draws without one."""
    generate = _generators().generators[template]
    for _ in range(_MAX_TRIES):
        draw = rng.getrandbits(48)
        item = generate(Random(draw), 1.0)
        question, solution = item["question"], item["metadata"]["answer_cot"]
        if split_of(template, question, level) == split and _admits(level, question, solution):
            return Problem(
                id=opaque_id("gsm_symbolic", template, question=question),
                question=question,
                answer=str(item["answer"]),
                solution=solution,
                source=f"reasoning-gym gsm_symbolic, template {template}",
            )
    return None


def problems(split: str, limit: int, seed: int = 0, level: str = "easy") -> list[Problem]:
    """Returns `limit` problems of one split with different questions, in a fixed order."""
    chosen: dict[str, Problem] = {}
    for tries, problem in enumerate(stream(split, seed, level)):
        if len(chosen) >= limit:
            return list(chosen.values())
        if tries > 50 * limit + 1_000:
            raise ProblemError(f"split {split!r} has fewer than {limit} different problems, found {len(chosen)}")
        chosen.setdefault(problem.question, problem)
    raise AssertionError("an endless stream ended")
