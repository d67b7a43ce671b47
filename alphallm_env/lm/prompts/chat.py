"""Prompts for instruction-tuned models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from alphallm_env.lm.prompts.base import LABELS, plain
from alphallm_env.lm.prompts.thinking import closed, continued, plain_solution
from alphallm_env.lm.prompts.tools import SHOTS
from alphallm_env.lm.prompts.wording import (
    IMAGINE,
    SOLVE,
    WORKED_EXAMPLES,
    check_question,
    noted,
    outcome_question,
    step_question,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class ChatTemplate:
    """Prompts for an instruction-tuned model, through its tokenizer's own chat template.

    Worked examples are earlier turns of the chat. Without them, small models write long texts under headings, with two
    or three times the tokens, that seldom end. `examples=False` leaves them out, as a model does without that was
    taught on lessons. A thinking part that the tokenizer's template opens is closed where a critic is asked; where the
    policy solves, it is the beginning of the solution.
    """

    name = "chat"
    labels = LABELS
    stop_text = ""
    check_stop_text = ""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, *, examples: bool = True) -> None:
        if not tokenizer.chat_template:
            raise ValueError("expected a tokenizer with a chat template, got one without")
        self._tokenizer = tokenizer
        self._shots = [
            turn
            for question, lines, answer in (WORKED_EXAMPLES if examples else ())
            for turn in (
                {"role": "user", "content": SOLVE.format(question=question)},
                {"role": "assistant", "content": f"{lines}The final answer is \\boxed{{{answer}}}."},
            )
        ]

    def _ask(self, text: str, before: Sequence[dict[str, str]] = ()) -> str:
        messages = [*before, {"role": "user", "content": text}]
        return str(self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))

    def solve(self, question: str, solution: str) -> str:
        """Returns the worked examples as turns, a user turn with the problem, and the opened answer."""
        return self.judge_state(question, solution)

    def without_examples(self) -> ChatTemplate:
        """Returns the template whose chat begins with the problem."""
        return ChatTemplate(self._tokenizer, examples=False)

    def imagine(self, opening: str, examples: Sequence[str]) -> str:
        """Returns a user turn that asks for a new problem like the examples."""
        listed = "\n\n".join(f"Problem: {plain(example)}" for example in examples)
        return closed(self._ask(IMAGINE.format(examples=listed))) + plain(opening)

    def judge_state(self, question: str, solution: str, notes: str = "") -> str:
        """Returns the worked examples as turns, a user turn with the problem, and the opened answer."""
        prompt = self._ask(noted(notes) + SOLVE.format(question=plain(question)), self._shots)
        return continued(prompt, plain_solution(solution))

    def judge_step(self, question: str, before: str, step: str, notes: str = "") -> str:
        """Returns a user turn that asks for True or False about the step."""
        return closed(self._ask(step_question(question, before, step, notes)))

    def judge_outcome(self, question: str, solution: str, notes: str = "") -> str:
        """Returns a user turn that asks for True or False about the solution."""
        return closed(self._ask(outcome_question(question, solution, notes)))

    def check_outcome(self, question: str, solution: str, work: str) -> str:
        """Returns checks of other solutions as turns, a user turn that asks for this one, and the opened check."""
        shots = [
            turn
            for shown, proposed, check in SHOTS
            for turn in (
                {"role": "user", "content": check_question(shown, proposed)},
                {"role": "assistant", "content": check},
            )
        ]
        return closed(self._ask(check_question(question, solution), shots)) + plain(work)
