"""New questions, written by the policy; those that are well-formed and new are kept. PAPER §4 (1).

Half of them are sampled from the start; half are completions of a known question's first words, after MetaMath's
augmentation. Imagined problems have no answer.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from alphallm_env.lm.base import GenerationRequest
from alphallm_env.lm.policy import Policy
from alphallm_env.lm.prompts import plain
from alphallm_env.mdp.options import TO_THE_END
from alphallm_env.runtime.counting import count_generated
from alphallm_env.runtime.metering import Role
from alphallm_env.runtime.seeds import derive_seed
from alphallm_env.types import Problem, StopReason
from experiments.loop.questions import Questions

_OPENING_WORDS = (3, 12)  # of a known question, to complete: from, below
_BATCH = 1_024  # questions written at once, at most
_SPARE = 1.25  # times as many as would do at the share that was kept so far
_TRIES = 80  # questions written for each one that is wanted
_SHOWN = 4  # questions refused for the same reason, at most


@dataclass
class Refused:
    """Questions that were not kept: how many, by reason, and a few of each as (question, reason)."""

    counts: Counter[str] = field(default_factory=Counter[str])
    shown: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def add(self, question: str, reason: str) -> None:
        """Counts a question."""
        self.counts[reason] += 1
        if self.counts[reason] <= _SHOWN:
            self.shown.append((question, reason))


@dataclass(frozen=True)
class Imagined:
    """The questions that were kept, how many were written to find them, and those that were not kept.

    Every question that was written is kept or refused.
    """

    problems: tuple[Problem, ...]
    num_written: int
    refused: Refused


def imagine(
    policy: Policy,
    known: Sequence[Problem],
    wanted: Mapping[str, int],
    seed: int,
    forbidden: Collection[str],
    questions: Questions,
    max_tokens: int = 128,
) -> Imagined:
    """Returns new problems without answers, as many of each level as are `wanted`.

    There are fewer where 80 times as many questions do not yield them. What a question is depends on its number alone,
    not on how many are written at once. `forbidden` are the keys (`Questions.key_of`) of
    questions to leave out: those of the test split, and those imagined before. The tokens are counted on the current
    meter.

    Where questions are played (`Questions.are_played`), the policy goes on and solves its own question; the question
    that this play answers, as `Questions.played` reads it, takes its place. Of the play nothing else is kept.
    """
    known_keys = set(forbidden) | {questions.key_of(problem.question) for problem in known}
    seen: set[str] = set()
    lacking = Counter(wanted)
    num = lacking.total()
    problems: list[Problem] = []
    refused = Refused()
    written = 0
    while lacking.total() and written < _TRIES * num:
        batch = _num_to_write(lacking.total(), len(problems), written)
        openings = [_opening(known, derive_seed(seed, "opening", written + i)) for i in range(batch)]
        drafts = _write(policy, known, openings, seed, written, max_tokens, refused)
        if questions.are_played:
            wanted_now = {
                number: draft
                for number, draft in drafts.items()
                if _level_wanted(draft, questions, lacking, refused) is not None
            }
            drafts = _played(policy, wanted_now, questions, seed, max_tokens, refused)
        for question in drafts.values():
            level = _level_wanted(question, questions, lacking, refused)
            if level is None:
                continue
            key = questions.key_of(question)
            if key in seen:
                refused.add(question, "written twice")
            elif key in known_keys:
                refused.add(question, "known: a training problem, of the test split, or imagined before")
            else:
                lacking[level] -= 1
                problems.append(questions.problem_of(f"imagined/{seed}/{len(problems)}", question))
            seen.add(key)
        written += batch
    return Imagined(tuple(problems), written, refused)


def _level_wanted(question: str, questions: Questions, lacking: Mapping[str, int], refused: Refused) -> str | None:
    """Returns the level of a question that is worth a search and whose level lacks some; any other is counted."""
    level = questions.level_of(question)
    if level is not None and lacking.get(level, 0):
        return level
    refused.add(question, questions.refusal_of(question) or "of a level that has enough")
    return None


def _num_to_write(num_lacking: int, num_kept: int, num_written: int) -> int:
    """Returns how many questions to write next: what would do at the share kept so far, and some more.

    >>> _num_to_write(100, 0, 0), _num_to_write(60, 40, 125), _num_to_write(4, 0, 5)
    (125, 235, 10)
    """
    if num_kept == 0:  # twice as many each time
        return min(_BATCH, max(2 * num_written, math.ceil(_SPARE * num_lacking)))
    return min(_BATCH, math.ceil(_SPARE * num_lacking * num_written / num_kept))


def _played(
    policy: Policy, drafts: Mapping[int, str], questions: Questions, seed: int, max_tokens: int, refused: Refused
) -> dict[int, str]:
    """Returns the questions that the policy's plays of its own questions answer, one for each play that is legal."""
    requests = [
        GenerationRequest(policy.template.solve(draft, ""), derive_seed(seed, "play", number), max_tokens)
        for number, draft in drafts.items()
    ]
    completions = policy.lm.generate(requests) if requests else []
    count_generated(Role.POLICY, policy.lm, requests, completions)
    found: dict[int, str] = {}
    for (number, draft), play in zip(drafts.items(), completions, strict=True):
        question = questions.played(draft, play.text)
        if question is None:
            refused.add(draft, "its play breaks a rule or does not end")
        else:
            found[number] = question
    return found


def _opening(known: Sequence[Problem], seed: int) -> str:
    rng = np.random.default_rng(seed)
    if not known or rng.random() < 0.5:
        return ""
    words = known[int(rng.integers(len(known)))].question.split(" ")
    return " ".join(words[: int(rng.integers(*_OPENING_WORDS))])


def _write(
    policy: Policy,
    known: Sequence[Problem],
    openings: Sequence[str],
    seed: int,
    first: int,
    max_tokens: int,
    refused: Refused,
) -> dict[int, str]:
    """Returns the question of each opening by its number, counted from `first`, that ended within `max_tokens`."""
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
    count_generated(Role.POLICY, policy.lm, requests, completions)
    found: dict[int, str] = {}
    for number, (opening, completion) in enumerate(zip(openings, completions, strict=True), start=first):
        question = (plain(opening) + completion.text).strip()
        if completion.stop_reason is not StopReason.END_OF_TEXT:
            refused.add(question, f"not ended within {max_tokens} tokens")
        elif not question:
            refused.add(question, "empty")
        else:
            found[number] = question
    return found
