"""The input formats of public PRMs: the text of a solution, and the token at which each step's score is read.

One class per published format. A policy's text is escaped: it can neither close a step nor open a turn.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, cast

from alphallm_env.errors import CriticError, ModelError
from alphallm_env.lm.prompts import plain

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_NUMBERED = re.compile(r"\s*Step \d+:")


@dataclass(frozen=True)
class StepText:
    """A PRM's input: token ids, and for each step the index of the token at which its score is read."""

    ids: tuple[int, ...]
    places: tuple[int, ...]


class StepFormat(ABC):
    """Formats a question and the steps of a solution as one model was trained to read them."""

    name: str

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer

    @abstractmethod
    def write(self, question: str, steps: Sequence[str]) -> StepText:
        """Returns the text as token ids, with one index per step."""

    def encode(self, question: str, steps: Sequence[str]) -> StepText:
        """Returns the result of `write`. Raises CriticError unless there are steps, and one index for each."""
        if not steps:
            raise CriticError("a PRM judges steps; expected a solution with at least one, got none")
        text = self.write(question, steps)
        if len(text.places) != len(steps):
            raise CriticError(
                f"format {self.name} must have a place for each of {len(steps)} steps, got {len(text.places)}"
            )
        return text

    def token_ids(self, text: str, *, whole: bool = False) -> list[int]:
        """Returns the tokens of a text; with `whole`, the special tokens that the tokenizer adds around it too."""
        return list(cast("list[int]", self.tokenizer(text, add_special_tokens=whole)["input_ids"]))

    def token_id(self, text: str) -> int:
        """Returns the last token of a text that should be one token. Raises ModelError for an unknown token."""
        ids = self.token_ids(text)
        if not ids or ids[-1] == self.tokenizer.unk_token_id:
            raise ModelError(f"format {self.name} needs {text!r} in the tokenizer, got tokens {ids}")
        return ids[-1]

    def label_ids(self) -> tuple[int, int]:
        """Returns the tokens of + and −, the labels of models that generate their judgement."""
        good, bad = self.token_id("+"), self.token_id("-")
        if good == bad:
            raise ModelError(f"format {self.name} needs different tokens for + and -, got {good} for both")
        return good, bad


class MathShepherdFormat(StepFormat):
    """`question Step 1: … ки\\nStep 2: … ки`: a step's score is read at its tag. Wang et al. 2024, model card."""

    name = "math_shepherd"
    tag = "ки"

    def write(self, question: str, steps: Sequence[str]) -> StepText:
        """Returns the tagged steps. Steps without a number get one."""
        numbered = (
            step if _NUMBERED.match(step) else f"Step {number}: {step.strip()}" for number, step in enumerate(steps, 1)
        )
        tagged = "\n".join(f"{self._untagged(step).strip()} {self.tag}" for step in numbered)
        ids = self.token_ids(f"{self._untagged(question)} {tagged}", whole=True)
        tag_id = self.token_id(self.tag)
        return StepText(tuple(ids), tuple(place for place, token in enumerate(ids) if token == tag_id))

    def _untagged(self, text: str) -> str:
        return plain(text).replace(self.tag, " ".join(self.tag))


class RLHFlowFormat(StepFormat):
    """A chat: a step as the user, `+` as the assistant, in turns. A step's score is read just before its `+`.

    As in RLHFlow's `math-rm` for Llama3.1-8B-PRM-Mistral-Data and -Deepseek-Data (Xiong et al. 2024); the question
    comes before the first step.
    """

    name = "rlhflow"

    def write(self, question: str, steps: Sequence[str]) -> StepText:
        """Returns the chat, without the last judgement, on which no score depends."""
        turns: list[dict[str, str]] = []
        openings: list[list[int]] = []
        for number, step in enumerate(steps):
            content = plain(step).strip()
            turns.append({"role": "user", "content": f"{plain(question)} {content}" if number == 0 else content})
            opened = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
            openings.append(self.token_ids(str(opened)))
            turns.append({"role": "assistant", "content": "+"})
        ids, good = openings[-1], self.token_id("+")
        for opening, following in pairwise(openings):
            if following[: len(opening) + 1] != [*opening, good]:
                raise CriticError(
                    f"format {self.name} needs a chat template that writes a + right after an opened turn of the "
                    f"assistant and changes nothing before it; got {self.tokenizer.decode(following)!r}"
                )
        return StepText(tuple(ids), tuple(len(opening) - 1 for opening in openings))


class QwenPRMFormat(StepFormat):
    """A chat whose answer has `<extra_0>` after every step, where its score is read. Zhang et al. 2025, model card."""

    name = "qwen_prm"
    separator = "<extra_0>"
    system = "Please reason step by step, and put your final answer within \\boxed{}."

    def write(self, question: str, steps: Sequence[str]) -> StepText:
        """Returns the chat with a separator after every step."""
        answer = "".join(plain(step).strip() + self.separator for step in steps)
        turns = [
            {"role": "system", "content": self.system},
            {"role": "user", "content": plain(question)},
            {"role": "assistant", "content": answer},
        ]
        ids = self.token_ids(str(self.tokenizer.apply_chat_template(turns, tokenize=False)))
        separator = self.token_id(self.separator)
        return StepText(tuple(ids), tuple(place for place, token in enumerate(ids) if token == separator))


class SkyworkFormat(StepFormat):
    """The bos token, question, newline; then every step with a newline, at which its score is read.

    As in `skywork-o1-prm-inference` for Skywork-o1-Open-PRM (He et al. 2024): each step is tokenised by itself, so the
    position of its score is certain. Differs: there every newline ends a step; here a step may
    hold several lines and still has one score, at its end.
    """

    name = "skywork"

    def write(self, question: str, steps: Sequence[str]) -> StepText:
        """Returns question and steps. Raises ModelError where the tokenizer has no bos token."""
        if self.tokenizer.bos_token is None:
            raise ModelError(f"format {self.name} needs a tokenizer with a bos_token, got one without")
        ids = self.token_ids(f"{self.tokenizer.bos_token}{plain(question)}\n")
        newline = self.token_id("\n")
        places: list[int] = []
        for step in steps:
            ids += [*self.token_ids(plain(step).strip()), newline]
            places.append(len(ids) - 1)
        return StepText(tuple(ids), tuple(places))


FORMATS: dict[str, type[StepFormat]] = {
    text_format.name: text_format for text_format in (MathShepherdFormat, RLHFlowFormat, QwenPRMFormat, SkyworkFormat)
}
