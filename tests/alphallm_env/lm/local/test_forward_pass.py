"""Every kind of attention beside a bare forward pass, and models that cannot be batched."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from alphallm_env.errors import ModelError
from alphallm_env.lm.base import GenerationRequest, Passage
from alphallm_env.lm.continuous import ContinuousLM
from alphallm_env.lm.local.attention import WindowMasks
from alphallm_env.lm.local.supported import require_supported
from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.testing import check_forward_pass
from alphallm_env.testing.random_models import CONTEXT, KINDS, WINDOW, random_model
from alphallm_env.types import StopReason


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_in_process_computes_its_bare_forward_pass(kind: str):
    model, tokenizer = random_model(kind)
    lm = TransformersLM(model, tokenizer, kind)
    check_forward_pass(lm, model, lm.vocabulary)


@pytest.mark.parametrize("kind", ["llama", "mistral", "gemma3", "qwen2_window"])
def test_continuous_batching_computes_the_bare_forward_pass(kind: str):
    model, tokenizer = random_model(kind)
    reference, _ = random_model(kind)
    lm = ContinuousLM(model, tokenizer, kind)
    try:
        check_forward_pass(lm, reference, lm.vocabulary)
    finally:
        lm.close()


@pytest.mark.parametrize("kind", ["gpt_oss", "bloom"])
def test_continuous_batching_refuses_what_it_cannot_page(kind: str):
    with pytest.raises(ModelError, match="use the backend transformers"):
        ContinuousLM(*random_model(kind), kind)


def test_a_window_is_cut_by_position():
    masks = WindowMasks(random_model("mistral")[0])
    seen = torch.tensor([[[True, False, True, True]]])
    found = masks(seen, torch.tensor([[20]]), torch.tensor([[20 - WINDOW, 0, 20 - WINDOW + 1, 20]]))
    assert isinstance(found, torch.Tensor)
    assert (found[0, 0, 0] == 0).tolist() == [False, False, True, True]


UNSUPPORTED = {
    "mamba": ({"num_heads": 2}, "linear_attention"),
    "lfm2": ({"layer_types": ["conv", "full_attention"]}, "conv"),
    "llama4_text": ({"attention_chunk_size": 16, "num_local_experts": 2}, "chunked_attention"),
    "rwkv": ({}, "keeps a state of its text"),
    "mpt": ({"d_model": 64, "n_heads": 2, "n_layers": 2, "max_seq_len": 256}, "counts positions in another way"),
}  # fmt: skip


@pytest.mark.parametrize("architecture", UNSUPPORTED)
def test_a_model_that_cannot_be_batched_is_refused_at_loading(architecture: str):
    own, why = UNSUPPORTED[architecture]
    shared = {
        "vocab_size": 100, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 2,
        "num_key_value_heads": 1, "head_dim": 32, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0,
    }  # fmt: skip
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(architecture, **(shared | own)))
    with torch.no_grad():
        for weights in model.parameters():
            if weights.ndim > 1:
                weights.normal_(0.0, 0.15)
    with pytest.raises(ModelError, match=why):
        require_supported(model.eval())


@pytest.fixture(params=[TransformersLM, ContinuousLM])
def short_lm(request: pytest.FixtureRequest) -> Iterator[TransformersLM]:
    """A model with learned positions, which has none beyond its context of `CONTEXT` tokens."""
    model, tokenizer = random_model("gpt2")
    lm = request.param(model, tokenizer, "short")
    yield lm
    if isinstance(lm, ContinuousLM):
        lm.close()


def test_a_prompt_longer_than_the_model_is_an_error_with_both_lengths(short_lm: TransformersLM):
    long = " 3" * (CONTEXT + 20)
    length = short_lm.count_tokens(long)
    assert length > CONTEXT
    message = rf"{CONTEXT} in all, got one of {length}"
    with pytest.raises(ModelError, match=message):
        short_lm.generate([GenerationRequest(long, 0, 4)])
    with pytest.raises(ModelError, match=message):
        short_lm.label_probs([long], ("True", "False"))
    with pytest.raises(ModelError, match=rf"{CONTEXT} in all, got one of {length + 20}"):
        short_lm.read([Passage(" 3" * 10, (long,))])
    assert short_lm.generate([GenerationRequest("Tom has 3 apples.", 0, 4)])[0].text


def test_a_text_that_fills_the_model_ends_there(short_lm: TransformersLM):
    prompt = "Tom has 3" + " 3" * 100
    room = CONTEXT - short_lm.count_tokens(prompt)
    assert 0 < room < CONTEXT
    short_lm.vocabulary.banned[list(short_lm.vocabulary.end_ids)] = True  # it never ends by itself
    [done] = short_lm.generate([GenerationRequest(prompt, 1, 10_000)])
    assert (done.num_tokens, done.stop_reason) == (room, StopReason.LENGTH)


def test_a_prompt_that_is_refused_leaves_the_rest_of_its_batch_alone():
    model, tokenizer = random_model("llama")
    lm = TransformersLM(model, tokenizer, "short")
    good, bad = GenerationRequest("Tom has 3 apples.", 0, 6), GenerationRequest(" 3" * 300, 0, 6)
    jobs = lm.stepped_batch.join([good, bad])
    while len(lm.stepped_batch):
        lm.stepped_batch.step()
    assert jobs[0].completion() == TransformersLM(model, tokenizer, "short").generate([good])[0]
    with pytest.raises(ModelError, match="256 in all"):
        jobs[1].completion()
