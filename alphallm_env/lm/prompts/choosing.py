"""Chooses the template that fits a tokenizer."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from alphallm_env.lm.prompts.base import PromptTemplate
from alphallm_env.lm.prompts.chat import ChatTemplate
from alphallm_env.lm.prompts.few_shot import FewShotTemplate
from alphallm_env.lm.prompts.tiny import TinyTemplate
from alphallm_env.lm.word_tokenizer import QUESTION, SOLUTION

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


_EXAMPLES = "worked_examples"  # in a tokenizer's settings, false where its model was taught without


def template_for(tokenizer: PreTrainedTokenizerBase) -> PromptTemplate:
    """Returns the template that fits a tokenizer: tiny markers, else its chat template, else few-shot text.

    It has worked examples unless the model was taught without, as `mark_as_taught` writes into its tokenizer.
    """
    vocabulary = tokenizer.get_vocab()
    if QUESTION in vocabulary and SOLUTION in vocabulary:
        return TinyTemplate()
    examples = bool(tokenizer.init_kwargs.get(_EXAMPLES, True))
    if tokenizer.chat_template:
        return ChatTemplate(tokenizer, examples=examples)
    return FewShotTemplate(bos_token(tokenizer), examples=examples)


def mark_as_taught(tokenizer: PreTrainedTokenizerBase) -> None:
    """Notes in the settings, which the tokenizer saves, that its model solves problems without worked examples."""
    tokenizer.init_kwargs[_EXAMPLES] = False


def bos_token(tokenizer: PreTrainedTokenizerBase) -> str:
    """Returns the bos token if the tokenizer adds it to every text, else an empty text."""
    if tokenizer.bos_token_id is None:
        return ""
    ids = cast("list[int]", tokenizer("a")["input_ids"])
    return str(tokenizer.bos_token) if ids[:1] == [tokenizer.bos_token_id] else ""
