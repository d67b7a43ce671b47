"""What the bench calls a limit is what a step reads: all weights once, and what the cache really holds."""

from __future__ import annotations

import pytest
from transformers import LlamaConfig, LlamaForCausalLM

from alphallm_env.lm.local.kv_cache import layers_of
from alphallm_env.lm.local.prefill import prefill
from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.lm.shipped import TINY_POLICY
from experiments.bench.bandwidth import cache_bytes, measured_bandwidth, share_of_limit, weight_bytes


@pytest.fixture(scope="module")
def lm() -> TransformersLM:
    return TransformersLM.load(TINY_POLICY, device="cpu")


def test_the_cache_is_as_large_as_they_say(lm: TransformersLM):
    [text] = lm.vocabulary.encode(["2 + 3 = 5, 4 + 5 = 9"])
    read = prefill(lm.passes.last_logits, [text], [[]], lm.prefixes, lm.vocabulary.pad_id)
    held = sum(keys.nbytes + values.nbytes for keys, values in layers_of(read.cache))
    assert held == len(text) * cache_bytes(lm)


@pytest.mark.parametrize("tied", [True, False])
def test_an_embedding_table_that_is_no_output_layer_is_not_read(lm: TransformersLM, tied: bool):
    config = LlamaConfig(
        vocab_size=len(lm.vocabulary.banned), hidden_size=16, intermediate_size=24, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=1, tie_word_embeddings=tied,
    )  # fmt: skip
    small = TransformersLM(LlamaForCausalLM(config).bfloat16(), lm.tokenizer, "small")
    layers = 16 * 16 + 2 * 16 * 8 + 16 * 16 + 3 * 16 * 24 + 2 * 16
    assert weight_bytes(small) == 2 * (layers + 16 + config.vocab_size * 16)


def test_a_share_of_one_is_the_limit(lm: TransformersLM):
    seconds = 0.5
    bandwidth = (weight_bytes(lm) + 4 * 100 * cache_bytes(lm)) / seconds  # one step of four texts takes them
    assert share_of_limit(lm, 4 / seconds, 4, 100.0, bandwidth) == pytest.approx(1.0)
    assert measured_bandwidth(lm.model.device) > 1e8
