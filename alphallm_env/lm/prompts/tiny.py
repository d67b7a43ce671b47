"""Prompts for the tiny models: the markers that they were trained with."""

from __future__ import annotations

from collections.abc import Sequence

from alphallm_env.lm.prompts.base import LABELS, plain
from alphallm_env.lm.word_tokenizer import OUTCOME, QUESTION, SOLUTION, STEP


class TinyTemplate:
    """The markers that the tiny models were trained with. A critic's answer follows its marker."""

    name = "tiny"
    labels = LABELS
    stop_text = ""

    def solve(self, question: str, solution: str) -> str:
        """Returns question and solution behind their markers."""
        return f"{QUESTION}{plain(question)}{SOLUTION}{plain(solution)}"

    def without_examples(self) -> TinyTemplate:
        """Returns the template itself: it has no worked examples."""
        return self

    def imagine(self, opening: str, examples: Sequence[str]) -> str:  # noqa: ARG002
        """Returns the question marker and the opening; the examples are in the model's weights."""
        return QUESTION + plain(opening)

    def judge_state(self, question: str, solution: str, notes: str = "") -> str:
        """Returns the question and the notes, or the state itself where there are none."""
        return self.solve(question, notes or solution)

    def judge_step(self, question: str, before: str, step: str, notes: str = "") -> str:
        """Returns the state and the marker of the PRM."""
        return self.judge_state(question, before + step, notes) + STEP

    def judge_outcome(self, question: str, solution: str, notes: str = "") -> str:
        """Returns the finished state and the marker of the ORM."""
        return self.judge_state(question, solution, notes) + OUTCOME
