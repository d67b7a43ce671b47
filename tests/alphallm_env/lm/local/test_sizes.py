"""Tests of what a token of a model costs."""

import torch
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, PreTrainedModel

from alphallm_env.lm.local.sizes import size_of
from alphallm_env.runtime.computing import ModelSize

SMALL = {
    "vocab_size": 100, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2,
}  # fmt: skip
# queries, keys, values and outputs; three of the feed-forward part; two norms
LAYER = 32 * (32 + 16 + 16 + 32) + 3 * 32 * 48 + 2 * 32


def model_of(kind: str, auto: type = AutoModelForCausalLM, **settings: object) -> PreTrainedModel:
    with torch.device("meta"):
        return auto.from_config(AutoConfig.for_model(kind, **{**SMALL, **settings}))


def test_embeddings_count_where_they_are_the_output_too():
    tied, apart = (model_of("llama", tie_word_embeddings=is_tied) for is_tied in (True, False))
    assert size_of(tied) == size_of(apart) == ModelSize(3 * LAYER + 32 + 100 * 32, 3 * 32)


def test_a_trunk_without_an_output_looks_its_embeddings_up():
    assert size_of(model_of("llama", AutoModel)) == ModelSize(3 * LAYER + 32, 3 * 32)


def test_heads_may_be_wider_than_the_hidden_state():
    assert size_of(model_of("llama", head_dim=16)).attention == 3 * 4 * 16


def test_a_token_goes_to_the_experts_it_is_sent_to():
    settings = {"num_local_experts": 8, "tie_word_embeddings": False}
    two, four = (size_of(model_of("mixtral", num_experts_per_tok=num, **settings)).weights for num in (2, 4))
    assert four - two == 3 * 2 * 3 * 32 * 48
