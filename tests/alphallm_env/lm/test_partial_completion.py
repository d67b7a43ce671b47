"""Texts that are written in pieces: whole characters, and the end of the model's context."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from alphallm_env.lm.base import GenerationRequest
from alphallm_env.lm.local.vocabulary import Vocabulary
from alphallm_env.lm.partial_completion import Writing
from alphallm_env.mdp.options import TO_THE_END, TokenRule
from alphallm_env.types import StopReason

BYTES = Vocabulary(
    encode=lambda texts: [list(text.encode()) for text in texts],
    decode=lambda ids: bytes(ids).decode("utf-8", "replace"),
    triggers=lambda text: np.array([not text or text == chr(i) for i in range(256)]),
    end_ids=frozenset([0]),
    banned=torch.zeros(256, dtype=torch.bool),
    pad_id=0,
    context=20,
)


def written(text: str, request: GenerationRequest, prompt_length: int = 0) -> Writing:
    writing = Writing(request, BYTES, prompt_length)
    for token in text.encode():
        writing.extend((token,), (-1.0,))
    return writing


@pytest.mark.parametrize("character", ["a", "é", "数", "🧮"])
def test_an_option_of_one_token_goes_on_until_its_character_is_whole(character: str):
    writing = written(character + "b", GenerationRequest("", 0, 9, TokenRule()))
    done = writing.completion()
    assert (done.text, done.num_tokens, done.stop_reason) == (character, len(character.encode()), StopReason.RULE)


@pytest.mark.parametrize("rule", [TokenRule(), TO_THE_END])
def test_half_a_character_that_a_limit_cuts_off_is_left_out(rule):
    for limit, text in ((2, ""), (3, "")):
        done = written("🧮", GenerationRequest("", 0, limit, rule)).completion()
        assert (done.text, done.num_tokens, done.stop_reason) == (text, limit, StopReason.LENGTH)
    assert written("ab🧮", GenerationRequest("", 0, 4)).completion().text == "ab"


def test_a_text_ends_with_the_models_context():
    writing = written("abcdefgh", GenerationRequest("", 0, 100), prompt_length=15)
    assert (writing.completion().text, writing.stop_reason) == ("abcde", StopReason.LENGTH)
