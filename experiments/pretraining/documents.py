"""The texts that a tiny policy is pre-trained on, and how they become batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from transformers import PreTrainedTokenizerFast

from alphallm_env.lm.local.vocabulary import padded
from alphallm_env.lm.word_tokenizer import END, QUESTION, SOLUTION


@dataclass(frozen=True)
class Document:
    """One training text: `prompt` is read with a small weight, `given` with none, `completion` with weight 1."""

    prompt: str
    completion: str
    given: str = ""  # between them: what stands before the completion, and is not to be learnt
    is_whole: bool = True  # whether the text ends where the completion does; else it breaks off there

    @property
    def question(self) -> str:
        """The question that the prompt asks."""
        return self.prompt.removeprefix(QUESTION).removesuffix(SOLUTION)


def encode(
    batch: Sequence[Document], tokenizer: PreTrainedTokenizerFast, question_weight: float, num_parts: int = 2
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Returns token ids and loss weights of a batch in parts, each [documents, longest], padded on the right.

    Texts of like length are in one part, which spares most of the padding.
    """
    ordered = sorted(batch, key=lambda document: len(document.given) + len(document.completion))
    size = -(-len(ordered) // num_parts)
    return [
        _encode(ordered[start : start + size], tokenizer, question_weight) for start in range(0, len(ordered), size)
    ]


def _encode(
    batch: Sequence[Document], tokenizer: PreTrainedTokenizerFast, question_weight: float
) -> tuple[torch.Tensor, torch.Tensor]:
    parts = [part for d in batch for part in (d.prompt, d.given, d.completion + END * d.is_whole)]
    pieces = tokenizer(parts)["input_ids"]
    texts = [[*pieces[i], *pieces[i + 1], *pieces[i + 2]] for i in range(0, len(pieces), 3)]
    ids = padded(texts, cast(int, tokenizer.pad_token_id))
    weights = torch.zeros(ids.shape)
    for row in range(len(batch)):
        prompt, given, completion = (len(piece) for piece in pieces[3 * row : 3 * row + 3])
        weights[row, :prompt] = question_weight
        weights[row, prompt + given : prompt + given + completion] = 1.0
    return ids, weights
