"""The texts that a tiny policy is pre-trained on, and how they become batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from transformers import PreTrainedTokenizerFast

from alphallm_env.lm.local.vocabulary import padded
from alphallm_env.lm.word_tokenizer import END


@dataclass(frozen=True)
class Document:
    """One training text: `prompt` is read with a small weight, `completion` with weight 1."""

    prompt: str
    completion: str


def encode(
    batch: Sequence[Document], tokenizer: PreTrainedTokenizerFast, question_weight: float, num_parts: int = 2
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Returns token ids and loss weights of a batch in parts, each [documents, longest], padded on the right.

    Texts of like length are in one part, which spares most of the padding.
    """
    ordered = sorted(batch, key=lambda document: len(document.completion))
    size = -(-len(ordered) // num_parts)
    return [
        _encode(ordered[start : start + size], tokenizer, question_weight) for start in range(0, len(ordered), size)
    ]


def _encode(
    batch: Sequence[Document], tokenizer: PreTrainedTokenizerFast, question_weight: float
) -> tuple[torch.Tensor, torch.Tensor]:
    prompts = tokenizer([d.prompt for d in batch])["input_ids"]
    completions = tokenizer([d.completion + END for d in batch])["input_ids"]
    texts = [prompt + completion for prompt, completion in zip(prompts, completions, strict=True)]
    ids = padded(texts, cast(int, tokenizer.pad_token_id))
    weights = torch.zeros(ids.shape)
    for row, (prompt, completion) in enumerate(zip(prompts, completions, strict=True)):
        weights[row, : len(prompt)] = question_weight
        weights[row, len(prompt) : len(prompt) + len(completion)] = 1.0
    return ids, weights
