"""The protocol of prompt templates, and the escaping of special tokens in texts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

LABELS = ("True", "False")
# <|end|>, the same with U+FF5C for |, <s>, </s>, <bos>, <start_of_turn>, </think>; a<b>c is mathematics.
SPECIAL = re.compile(r"<(?=[|\uff5c]|/?(?:s|[A-Za-z]\w+)>)|\[(?=/?INST\])")


def plain(text: str) -> str:
    """Returns `text` with a space inside whatever is spelled like a special token, so that it is encoded as text.

    >>> plain("7 <|im_end|> <5")
    '7 < |im_end|> <5'
    """
    return SPECIAL.sub(lambda match: match.group() + " ", text)


@runtime_checkable
class PromptTemplate(Protocol):
    """Renders prompts for one kind of model."""

    @property
    def name(self) -> str:
        """The template's name in the record of a run."""
        ...

    @property
    def labels(self) -> tuple[str, str]:
        """How True and False are written right after the prompt of a judgement."""
        ...

    @property
    def stop_text(self) -> str:
        """Text that a policy generates only after its solution; empty for a model that ends its texts by a token."""
        ...

    def solve(self, question: str, solution: str) -> str:
        """Returns the prompt after which a policy continues `solution`."""
        ...

    def without_examples(self) -> PromptTemplate:
        """Returns the same template without worked examples before the problem: what lessons are taught with."""
        ...

    def imagine(self, opening: str, examples: Sequence[str]) -> str:
        """Returns the prompt after which a policy generates a new question that begins with `opening`."""
        ...

    def judge_state(self, question: str, solution: str, notes: str = "") -> str:
        """Returns the prompt at whose last token a value head reads the state.

        `notes`, here and below, are the critic's notes on the solution; empty for a critic that takes none.
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
    """Renders prompts for models that may write programs while they check a solution."""

    @property
    def check_stop_text(self) -> str:
        """Text that a critic generates only after its check; empty for a model that ends its texts by a token."""
        ...

    def check_outcome(self, question: str, solution: str, work: str) -> str:
        """Returns the prompt after which an ORM continues `work`, its check of the whole `solution`."""
        ...
