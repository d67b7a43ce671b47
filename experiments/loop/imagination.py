"""New questions, written by the policy; those that are well-formed and new are kept. PAPER §4 (1).

Half of them are sampled from the start; half are completions of a known question's first words, after MetaMath's
augmentation. Imagined problems have no answer.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from alphallm_env.lm.base import GenerationRequest
from alphallm_env.lm.policy import Policy
from alphallm_env.lm.prompts import plain
from alphallm_env.mdp.options import TO_THE_END
from alphallm_env.problems.overlap import normalise_question
from alphallm_env.runtime.metering import Role, count_generated
from alphallm_env.runtime.seeds import derive_seed
from alphallm_env.types import Problem, StopReason

_NUMBER = re.compile(r"\d+")
_OPENING_WORDS = (3, 12)  # of a known question, to complete: from, below
_BATCH = 256


@dataclass(frozen=True)
class QuestionFilter:
    """What a question must look like to be worth a search."""

    min_words: int = 8
    max_words: int = 120
    min_numbers: int = 2

    def admits(self, question: str) -> bool:
        """Returns whether the question is whole, of a fair length, and gives numbers to work with."""
        words = question.split()
        numbers = _NUMBER.findall(question)
        return (
            self.min_words <= len(words) <= self.max_words
            and len(numbers) >= self.min_numbers
            and question[:1].isupper()
            and question.rstrip().endswith(("?", "."))
        )


@dataclass(frozen=True)
class Imagined:
    """The questions that passed the filter, and how many were sampled to find them."""

    problems: tuple[Problem, ...]
    num_written: int


def imagine(
    policy: Policy,
    known: Sequence[Problem],
    num: int,
    seed: int,
    forbidden: Collection[str],
    admits: QuestionFilter | None = None,
    max_tokens: int = 128,
) -> Imagined:
    """Returns `num` new problems without answers, fewer if 20 · `num` questions do not yield as many.

    `forbidden` are normalised questions (`normalise_question`) to leave out: those of the test split, and those
    imagined before. The tokens are counted on the current meter.
    """
    admits = admits or QuestionFilter()
    seen = set(forbidden) | {normalise_question(problem.question) for problem in known}
    problems: list[Problem] = []
    written = 0
    while len(problems) < num and written < 20 * num:
        openings = [_opening(known, derive_seed(seed, "opening", written + i)) for i in range(_BATCH)]
        for question in _write(policy, known, openings, seed, written, max_tokens):
            key = normalise_question(question) if question else ""
            if len(problems) < num and question and admits.admits(question) and key not in seen:
                seen.add(key)
                problems.append(Problem(id=f"imagined/{seed}/{len(problems)}", question=question, source="imagined"))
        written += _BATCH
    return Imagined(tuple(problems), written)


def _opening(known: Sequence[Problem], seed: int) -> str:
    rng = np.random.default_rng(seed)
    if not known or rng.random() < 0.5:
        return ""
    words = known[int(rng.integers(len(known)))].question.split(" ")
    return " ".join(words[: int(rng.integers(*_OPENING_WORDS))])


def _write(
    policy: Policy, known: Sequence[Problem], openings: Sequence[str], seed: int, first: int, max_tokens: int
) -> list[str | None]:
    """Returns one question per opening, None where the policy did not end it within `max_tokens`."""
    requests = []
    for index, opening in enumerate(openings):
        rng = np.random.default_rng(derive_seed(seed, "examples", first + index))
        chosen = rng.choice(len(known), size=min(3, len(known)), replace=False) if known else []
        prompt = policy.template.imagine(opening, [known[int(i)].question for i in chosen])
        requests.append(
            GenerationRequest(
                prompt, derive_seed(seed, "imagine", first + index), max_tokens, TO_THE_END, 1.0,
                policy.template.stop_text,
            )
        )  # fmt: skip
    completions = policy.lm.generate(requests)
    count_generated(Role.POLICY, completions)
    return [
        (plain(opening) + completion.text).strip() if completion.stop_reason is StopReason.END_OF_TEXT else None
        for opening, completion in zip(openings, completions, strict=True)
    ]
