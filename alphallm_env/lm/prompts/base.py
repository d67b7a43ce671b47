"""What a prompt template is, and how text is kept from being read as special tokens."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

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
        """Returns the prompt after which a policy continues `solution`."""
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
        """Returns the prompt after which an ORM continues `work`, its check of the whole `solution`."""
        ...
