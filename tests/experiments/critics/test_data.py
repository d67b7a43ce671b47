"""Labels for critics, worked by hand."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from alphallm_env.errors import RunError
from alphallm_env.lm.base import Completion, GenerationRequest
from alphallm_env.lm.policy import Policy
from alphallm_env.lm.prompts import TinyTemplate
from alphallm_env.mdp.options import SentenceRule
from alphallm_env.testing.scripted import ScriptedLM
from alphallm_env.training.graded import ProblemData, Sample, prefix_counts
from alphallm_env.types import Problem
from experiments.critics.data import Sampler, collect, is_correct, label_steps

PROBLEM = Problem("p", "How many?", answer="3")


def sample(*steps: str, correct: bool) -> Sample:
    return Sample("p", "How many?", steps, correct)


def test_prefixes_are_counted_over_all_samples() -> None:
    samples = [
        sample("a\n", "b\n", correct=True),
        sample("a\n", "c\n", correct=False),
        sample("d\n", correct=False),
    ]
    assert prefix_counts(samples) == {
        (): (3, 1),
        ("a\n",): (2, 1),
        ("a\n", "b\n"): (1, 1),
        ("a\n", "c\n"): (1, 0),
        ("d\n",): (1, 0),
    }


def test_an_answer_that_cannot_be_graded_is_neither_right_nor_wrong() -> None:
    assert is_correct("#### 3", PROBLEM) is True
    assert is_correct("#### 4", PROBLEM) is False
    assert is_correct("no answer", PROBLEM) is False
    assert is_correct("#### 9^{9^{9^{9^{9}}}}", PROBLEM) is None


class CountingLM(ScriptedLM):
    """Remembers how long each text might be."""

    def __init__(self) -> None:
        super().__init__({"": [("1 + 2 = 3\n#### 3\n", 1.0)]})
        self.limits: list[int] = []

    def generate(self, requests: list[GenerationRequest]) -> list[Completion]:  # type: ignore[override]
        self.limits += [request.max_tokens for request in requests]
        return super().generate(requests)


def sampler(lm: ScriptedLM) -> Sampler:
    return Sampler(Policy(lm, TinyTemplate()), SentenceRule(), max_tokens=20, temperature=1.0, seed=0)


def test_a_continuation_may_be_as_long_as_what_is_left() -> None:
    lm = CountingLM()
    sampler(lm).continuations([(PROBLEM, ()), (PROBLEM, ("1 + 2 = 3\n",)), (PROBLEM, ("so " * 30,))], 1, "salt")
    assert lm.limits == [20, 15, 1]


def test_collected_data_survive_a_kill_and_other_problems_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    problems = [Problem(f"p{n}", f"How many are {n}?", answer="3") for n in range(3)]

    def collected(lm: ScriptedLM, of: list[Problem]) -> list[ProblemData]:
        drawing = sampler(lm)
        return collect(drawing, of, path, 2, partial(label_steps, drawing, min_visits=1, steps_per_problem=2))

    data = collected(CountingLM(), problems)
    whole = path.read_text()
    assert len(whole.splitlines()) == 3
    path.write_text(whole[:-20])
    lm = CountingLM()
    assert collected(lm, problems) == data
    assert len(lm.limits) == 2  # of the last problem only
    assert path.read_text() == whole
    with pytest.raises(RunError, match="problems have changed"):
        collected(lm, problems[1:])
