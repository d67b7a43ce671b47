"""Texts that join and leave a running batch are the texts that they are alone."""

from __future__ import annotations

import random

import pytest

from alphallm_env.lm.base import GenerationRequest
from alphallm_env.lm.local.decoder import Decoder, Text
from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.lm.prompts import TinyTemplate
from alphallm_env.lm.shipped import TINY_POLICY
from alphallm_env.mdp.options import TO_THE_END, SentenceRule
from alphallm_env.problems import gsm_symbolic

PROMPTS = [TinyTemplate().solve(problem.question, "") for problem in gsm_symbolic.problems("test", 30)]


@pytest.fixture(scope="module")
def lm() -> TransformersLM:
    return TransformersLM.load(TINY_POLICY, device="cpu")


@pytest.fixture
def decoder(lm: TransformersLM) -> Decoder:
    lm.clear_cache()
    return Decoder(lm.model, lm.vocabulary, lm.prefixes)


def requests(num: int) -> list[GenerationRequest]:
    """Samples of few prompts, some of them options and some to the end; prompts of one template share prefixes."""
    return [
        GenerationRequest(
            PROMPTS[i // 3 % len(PROMPTS)], i, 50, TO_THE_END if i % 2 else SentenceRule(), temperature=1.0
        )
        for i in range(num)
    ]


def finish(decoder: Decoder) -> list[Text]:
    ended: list[Text] = []
    while len(decoder):
        ended += decoder.step()
    return ended


@pytest.mark.parametrize("most_at_once", [1, 5, 40])
def test_when_a_text_joins_does_not_change_it(lm: TransformersLM, decoder: Decoder, most_at_once: int):
    asked = requests(150)
    alone = lm.generate(asked)
    lm.clear_cache()
    rng = random.Random(most_at_once)
    texts: list[Text] = []
    while len(texts) < len(asked):
        texts += decoder.join(asked[len(texts) : len(texts) + rng.randint(0, most_at_once)])
        if len(decoder):
            decoder.step()
    finish(decoder)
    for text, completion in zip(texts, alone, strict=True):
        assert text.completion().text == completion.text
        assert text.completion().log_prob == pytest.approx(completion.log_prob, abs=1e-3)


def test_texts_share_a_row_exactly_as_long_as_they_agree(lm: TransformersLM, decoder: Decoder):
    asked = [GenerationRequest(PROMPTS[i // 8], i, 40, temperature=(1.0, 0.6)[i % 2]) for i in range(40)]
    texts = decoder.join(asked)
    assert decoder.num_rows == 5
    rows = [decoder.num_rows]
    while len(decoder):
        decoder.step()
        going = [text for text in texts if text.stop_reason is None]
        assert len(decoder) == len(going)
        assert decoder.num_rows == len({(text.request.prompt, tuple(text.tokens)) for text in going})
        rows.append(decoder.num_rows)
    assert 5 < max(rows) < 40
    for text, request in zip(texts, asked, strict=True):
        [alone] = lm.generate([request])
        assert text.completion().text == alone.text
        assert text.completion().log_prob == pytest.approx(alone.log_prob, abs=1e-3)


def test_greedy_texts_never_part(decoder: Decoder):
    texts = decoder.join([GenerationRequest(PROMPTS[1], seed, 40, temperature=0.0) for seed in range(6)])
    while len(decoder):
        assert (decoder.num_rows, len(decoder)) == (1, 6)
        decoder.step()
    assert len({text.completion() for text in texts}) == 2  # the first bears the prompt, the others its last token


def test_what_a_row_was_shared_by_is_known_afterwards(lm: TransformersLM, decoder: Decoder):
    texts = decoder.join([GenerationRequest(PROMPTS[2], seed, 20, SentenceRule()) for seed in range(12)])
    finish(decoder)
    for text in texts:
        assert len(lm.prefixes.lookup([*text.tokens_kept, 0])) == len(text.tokens_kept)


def test_those_that_leave_take_nothing_along(lm: TransformersLM, decoder: Decoder):
    asked = requests(40)
    texts = decoder.join(asked)
    for _ in range(3):
        decoder.step()
    decoder.leave(texts[::2])
    assert all(text not in texts[::2] for text in finish(decoder))
    left = texts[1::2]
    assert [text.completion().text for text in left] == [c.text for c in lm.generate(asked[1::2])]
    with pytest.raises(RuntimeError, match="expected a finished text"):
        [text.completion() for text in texts[::2]]


def test_what_was_written_before_a_text_left_is_known_to_the_next(lm: TransformersLM, decoder: Decoder):
    [option] = decoder.join([GenerationRequest(PROMPTS[0], 3, 40, SentenceRule())])
    finish(decoder)
    before = lm.prefixes.statistics.computed_tokens
    decoder.join([GenerationRequest(PROMPTS[0] + option.completion().text, 4, 8)])
    assert lm.prefixes.statistics.computed_tokens == before + 1
    finish(decoder)


def test_a_failure_leaves_no_text_behind(decoder: Decoder, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object) -> None:
        raise ArithmeticError("overflow")

    decoder.join(requests(4))
    with monkeypatch.context() as patch:
        patch.setattr(decoder, "_step", fail)
        with pytest.raises(ArithmeticError, match="overflow"):
            decoder.step()
    assert len(decoder) == 0
    [text] = decoder.join(requests(1))
    assert finish(decoder) == [text]


def test_a_prompt_has_a_token_at_least(decoder: Decoder):
    with pytest.raises(ValueError, match="prompts of at least one token, got ''"):
        decoder.join([GenerationRequest("", 0, 4)])


def test_prompts_of_one_token(lm: TransformersLM, decoder: Decoder):
    asked = [GenerationRequest(prompt, seed, 12) for seed, prompt in enumerate(["The", PROMPTS[0], "The", "A"])]
    assert lm.count_tokens("The") == 1
    texts = decoder.join(asked)
    finish(decoder)
    assert [text.completion().text for text in texts] == [lm.generate([one])[0].text for one in asked]
