"""Prompts for base models."""

from __future__ import annotations

from collections.abc import Sequence

from alphallm_env.lm.prompts.base import plain
from alphallm_env.lm.prompts.thinking import plain_solution
from alphallm_env.lm.prompts.tools import SHOTS
from alphallm_env.lm.prompts.wording import WORKED_EXAMPLES, check_question, noted, outcome_question, step_question


class FewShotTemplate:
    """Prompts for a base model: worked examples as plain text, after the model's bos token, if any.

    `examples=False` leaves the worked examples of solutions out, as a model does without that was taught on lessons.
    """

    name = "few_shot"
    labels = (" True", " False")
    stop_text = "\nQuestion:"
    check_stop_text = "\nProblem:"

    def __init__(self, bos_token: str = "", *, examples: bool = True) -> None:
        self._bos_token = bos_token
        shown = WORKED_EXAMPLES if examples else ()
        self._shots = "".join(f"Question: {q}\nAnswer:\n{lines}#### {answer}\n\n" for q, lines, answer in shown)

    def solve(self, question: str, solution: str) -> str:
        """Returns the worked examples, the question and the opened answer."""
        return self.judge_state(question, solution)

    def without_examples(self) -> FewShotTemplate:
        """Returns the template that begins with the question."""
        return FewShotTemplate(self._bos_token, examples=False)

    def imagine(self, opening: str, examples: Sequence[str]) -> str:
        """Returns the examples as a list that the model continues."""
        listed = "".join(f"Question: {plain(example)}\n\n" for example in examples)
        return f"{self._bos_token}{listed}Question:{plain(opening)}"

    def judge_state(self, question: str, solution: str, notes: str = "") -> str:
        """Returns the worked examples, the question and the opened answer."""
        own = plain_solution(solution)
        return f"{self._bos_token}{noted(notes)}{self._shots}Question: {plain(question)}\nAnswer:\n{own}"

    def judge_step(self, question: str, before: str, step: str, notes: str = "") -> str:
        """Returns the question of the PRM as a completion prompt."""
        return f"{self._bos_token}{step_question(question, before, step, notes)}\nAnswer:"

    def judge_outcome(self, question: str, solution: str, notes: str = "") -> str:
        """Returns the question of the ORM as a completion prompt."""
        return f"{self._bos_token}{outcome_question(question, solution, notes)}\nAnswer:"

    def check_outcome(self, question: str, solution: str, work: str) -> str:
        """Returns checks of other solutions as text, the question for this one, and the opened check."""
        shots = "".join(f"{check_question(q, proposed)}\nCheck:\n{check}\n\n" for q, proposed, check in SHOTS)
        return f"{self._bos_token}{shots}{check_question(question, solution)}\nCheck:\n{plain(work)}"
