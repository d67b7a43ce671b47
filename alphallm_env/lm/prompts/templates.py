"""How a state becomes a prompt: to go on solving, to judge a step, to judge an outcome, to imagine.

A template is all that differs between the tiny models, chat models and base models. What a model or a
user wrote is text: spellings of special tokens inside it are broken up before they reach a prompt.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

from alphallm_env.lm.prompts import tools as tool_prompts
from alphallm_env.lm.word_tokenizer import OUTCOME, QUESTION, SOLUTION, STEP

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LABELS = ("True", "False")
# <|end|>, the same with U+FF5C for |, <s>, </s>, <bos>, <start_of_turn>, </think>; a<b>c is mathematics.
_SPECIAL = re.compile(r"<(?=[|\uff5c]|/?(?:s|[A-Za-z]\w+)>)|\[(?=/?INST\])")


def plain(text: str) -> str:
    """Returns `text` with the spellings of special tokens broken up, so that they stay text.

    >>> plain("7 <|im_end|> <5")
    '7 < |im_end|> <5'
    """
    return _SPECIAL.sub(lambda match: match.group() + " ", text)


@runtime_checkable
class PromptTemplate(Protocol):
    """Renders prompts for one kind of model."""

    @property
    def name(self) -> str:
        """The name that a run's record keeps."""
        ...

    @property
    def labels(self) -> tuple[str, str]:
        """How yes and no are written right after the prompt of a judgement."""
        ...

    @property
    def stop_text(self) -> str:
        """What a policy writes only after its text has ended; empty where it closes its texts itself."""
        ...

    def solve(self, question: str, solution: str) -> str:
        """Returns the prompt after which a policy goes on with `solution`."""
        ...

    def imagine(self, opening: str, examples: Sequence[str]) -> str:
        """Returns the prompt after which a policy writes a new question that begins with `opening`."""
        ...

    def judge_state(self, question: str, solution: str, notes: str = "") -> str:
        """Returns the prompt at whose last token a value head reads the state.

        `notes` are what the critic noted on the solution before it judges, here and below; often none.
        """
        ...

    def judge_step(self, question: str, before: str, step: str, notes: str = "") -> str:
        """Returns the prompt that asks a PRM whether `step`, taken after `before`, is correct."""
        ...

    def judge_outcome(self, question: str, solution: str, notes: str = "") -> str:
        """Returns the prompt that asks an ORM whether the whole `solution` is correct."""
        ...


@runtime_checkable
class ToolTemplate(PromptTemplate, Protocol):
    """Renders prompts for models that can be asked to write programs while they check a solution."""

    @property
    def check_stop_text(self) -> str:
        """What a critic writes only after its check has ended; empty where it closes its texts itself."""
        ...

    def check_outcome(self, question: str, solution: str, work: str) -> str:
        """Returns the prompt after which an ORM goes on with `work`, its check of the whole `solution`."""
        ...


class TinyTemplate:
    """The markers that the tiny models were trained with. A critic's answer follows its marker."""

    name = "tiny"
    labels = LABELS
    stop_text = ""

    def solve(self, question: str, solution: str) -> str:
        """Returns question and solution behind their markers."""
        return f"{QUESTION}{plain(question)}{SOLUTION}{plain(solution)}"

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


SOLVE = (
    "Solve the problem step by step, one short step per line. "
    "End with the final answer within \\boxed{{}}.\n\nProblem: {question}"
)
JUDGE_STEP = (
    "Problem: {question}\n\nSolution so far:\n{before}\n\nNext step:\n{step}\n\n"
    "{notes}Is this step correct, and does it help to solve the problem? Answer with one word, True or False."
)
JUDGE_OUTCOME = (
    "Problem: {question}\n\nProposed solution:\n{solution}\n\n"
    "{notes}Is the method right, is each calculation right, are all given facts used, and is the final answer right? "
    "Answer with one word, True if the final answer is right, False if it is not."
)
NOTES = "Notes on it:\n{notes}\n\n"
IMAGINE = (
    "Write one new mathematics word problem in the style of these, with other numbers and another story. "
    "Write only the problem.\n\n{examples}"
)


# Written for this project: a problem, the lines of its solution, its answer.
_SHOTS = (
    ("A box holds 6 rows of 4 pencils. 5 pencils are broken. How many pencils are whole?",
     "There are 6 * 4 = 24 pencils in the box.\nOf these, 24 - 5 = 19 are whole.\n", "19"),
    ("Ana reads 12 pages on Monday and twice as many on Tuesday. How many pages does she read in all?",
     "On Tuesday she reads 12 * 2 = 24 pages.\nIn all she reads 12 + 24 = 36 pages.\n", "36"),
    ("Tickets cost $8. A group pays $72 for tickets and $18 for drinks. How many tickets did it buy, and how "
     "much did it spend per ticket, drinks included?",
     "The group bought 72 / 8 = 9 tickets.\nIt spent 72 + 18 = 90 dollars.\nThat is 90 / 9 = 10 dollars per "
     "ticket.\n", "10"),
)  # fmt: skip


def _step_question(question: str, before: str, step: str, notes: str) -> str:
    before = plain(before).strip() or "(nothing yet)"
    return JUDGE_STEP.format(question=plain(question), notes=_noted(notes), before=before, step=plain(step).strip())


def _outcome_question(question: str, solution: str, notes: str) -> str:
    return JUDGE_OUTCOME.format(question=plain(question), notes=_noted(notes), solution=plain(solution).strip())


def _check_question(question: str, solution: str) -> str:
    return tool_prompts.CHECK.format(question=plain(question), solution=plain(solution).strip())


def _noted(notes: str) -> str:
    return NOTES.format(notes=plain(notes).strip()) if notes else ""


class ChatTemplate:
    """Prompts for an instruction-tuned model, through its tokenizer's own chat template.

    Worked examples are earlier turns of the chat. Asked without them, small models write long texts under
    headings, two or three times the tokens, that seldom end.
    """

    name = "chat"
    labels = LABELS
    stop_text = ""
    check_stop_text = ""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        if not tokenizer.chat_template:
            raise ValueError("expected a tokenizer with a chat template, got one without")
        self._tokenizer = tokenizer

        self._shots = [
            turn
            for question, lines, answer in _SHOTS
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

    def imagine(self, opening: str, examples: Sequence[str]) -> str:
        """Returns a user turn that asks for a new problem like the examples."""
        listed = "\n\n".join(f"Problem: {plain(example)}" for example in examples)
        return self._ask(IMAGINE.format(examples=listed)) + plain(opening)

    def judge_state(self, question: str, solution: str, notes: str = "") -> str:
        """Returns the worked examples as turns, a user turn with the problem, and the opened answer."""
        return self._ask(_noted(notes) + SOLVE.format(question=plain(question)), self._shots) + plain(solution)

    def judge_step(self, question: str, before: str, step: str, notes: str = "") -> str:
        """Returns a user turn that asks for True or False about the step."""
        return self._ask(_step_question(question, before, step, notes))

    def judge_outcome(self, question: str, solution: str, notes: str = "") -> str:
        """Returns a user turn that asks for True or False about the solution."""
        return self._ask(_outcome_question(question, solution, notes))

    def check_outcome(self, question: str, solution: str, work: str) -> str:
        """Returns checks of other solutions as turns, a user turn that asks for this one, and the opened check."""
        shots = [
            turn
            for shown, proposed, check in tool_prompts.SHOTS
            for turn in (
                {"role": "user", "content": _check_question(shown, proposed)},
                {"role": "assistant", "content": check},
            )
        ]
        return self._ask(_check_question(question, solution), shots) + plain(work)


class FewShotTemplate:
    """Prompts for a base model: worked examples as plain text, behind the token that begins its texts."""

    name = "few_shot"
    labels = (" True", " False")
    stop_text = "\nQuestion:"
    check_stop_text = "\nProblem:"

    def __init__(self, bos_token: str = "") -> None:
        self._bos_token = bos_token

    def solve(self, question: str, solution: str) -> str:
        """Returns the worked examples, the question and the opened answer."""
        return self.judge_state(question, solution)

    def imagine(self, opening: str, examples: Sequence[str]) -> str:
        """Returns the examples as a list that the model continues."""
        listed = "".join(f"Question: {plain(example)}\n\n" for example in examples)
        return f"{self._bos_token}{listed}Question:{plain(opening)}"

    def judge_state(self, question: str, solution: str, notes: str = "") -> str:
        """Returns the worked examples, the question and the opened answer."""
        shots = "".join(f"Question: {q}\nAnswer:\n{lines}#### {answer}\n\n" for q, lines, answer in _SHOTS)
        return f"{self._bos_token}{_noted(notes)}{shots}Question: {plain(question)}\nAnswer:\n{plain(solution)}"

    def judge_step(self, question: str, before: str, step: str, notes: str = "") -> str:
        """Returns the question of the PRM as a completion prompt."""
        return f"{self._bos_token}{_step_question(question, before, step, notes)}\nAnswer:"

    def judge_outcome(self, question: str, solution: str, notes: str = "") -> str:
        """Returns the question of the ORM as a completion prompt."""
        return f"{self._bos_token}{_outcome_question(question, solution, notes)}\nAnswer:"

    def check_outcome(self, question: str, solution: str, work: str) -> str:
        """Returns checks of other solutions as text, the question for this one, and the opened check."""
        shots = "".join(
            f"{_check_question(q, proposed)}\nCheck:\n{check}\n\n" for q, proposed, check in tool_prompts.SHOTS
        )
        return f"{self._bos_token}{shots}{_check_question(question, solution)}\nCheck:\n{plain(work)}"


def template_for(tokenizer: PreTrainedTokenizerBase) -> PromptTemplate:
    """Returns the template that fits a tokenizer: tiny markers, else its chat template, else few-shot text."""
    vocabulary = tokenizer.get_vocab()
    if QUESTION in vocabulary and SOLUTION in vocabulary:
        return TinyTemplate()
    return ChatTemplate(tokenizer) if tokenizer.chat_template else FewShotTemplate(_bos_token(tokenizer))


def _bos_token(tokenizer: PreTrainedTokenizerBase) -> str:
    """Returns the token that the tokenizer puts before every text, empty where it puts none."""
    ids = cast("list[int]", tokenizer("a")["input_ids"])
    begins = tokenizer.bos_token_id is not None and ids[:1] == [tokenizer.bos_token_id]
    return str(tokenizer.bos_token) if begins else ""
