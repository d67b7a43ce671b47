"""The fast step gives what the model's own forward pass gives, on every architecture that it claims to know."""

from __future__ import annotations

from typing import cast

import pytest
import torch
from transformers import (
    GemmaConfig,
    LlamaConfig,
    MistralConfig,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
)
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

from alphallm_env.lm import stepping
from alphallm_env.lm.cache import RowCache
from alphallm_env.lm.stepping import LlamaStep, ModuleStep, Step, is_llama_shaped, step_of

SHAPE = {
    "vocab_size": 50, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 64, "head_dim": 8,
}  # fmt: skip
CPU = torch.device("cpu")


def model(config: PreTrainedConfig) -> PreTrainedModel:
    torch.manual_seed(0)
    made = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for weights in made.parameters():  # biases and norms too, which are 0 and 1 at first
            weights.copy_(torch.randn_like(weights) * 0.2)
    return cast(PreTrainedModel, made)


def logits(step: Step, num_steps: int = 70) -> torch.Tensor:
    """Returns the logits of rows of different length, the last of many steps."""
    torch.manual_seed(1)
    cache = RowCache()
    cache.add([], [0])
    found = torch.empty(0)
    with torch.inference_mode():
        for number in range(num_steps):
            if number == 5:
                cache.add([], [0, 0])
            places, mask = cache.begin_step(CPU)
            found = step(torch.randint(50, (len(cache),)), places, mask, cache)
            cache.end_step()
    return found


LLAMA_SHAPED = {
    "llama": LlamaConfig(**SHAPE),
    "llama with biases": LlamaConfig(**SHAPE, attention_bias=True, mlp_bias=True, tie_word_embeddings=True),
    "llama, one key-value head": LlamaConfig(**{**SHAPE, "num_key_value_heads": 1}),
    "llama, linear rotation": LlamaConfig(
        **SHAPE, rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}
    ),
    "qwen2": Qwen2Config(**SHAPE),
    "qwen3": Qwen3Config(**SHAPE),
    "mistral": MistralConfig(**SHAPE, sliding_window=None),
}


@pytest.mark.parametrize("large", [0, stepping._LARGE])  # products written the other way round, and none
@pytest.mark.parametrize("name", LLAMA_SHAPED)
def test_the_fast_step_is_the_models_own(name: str, large: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stepping, "_LARGE", large)
    made = model(LLAMA_SHAPED[name])
    assert is_llama_shaped(made)
    assert isinstance(step_of(made), LlamaStep)
    fast, own = logits(LlamaStep(made)), logits(ModuleStep(made))
    assert fast.shape == (3, 50)
    assert torch.allclose(fast, own, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "config",
    [
        GemmaConfig(**SHAPE),
        MistralConfig(**SHAPE, sliding_window=8),
        LlamaConfig(**SHAPE, hidden_act="gelu"),
        LlamaConfig(**SHAPE, rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}),
    ],
)
def test_what_it_does_not_know_takes_its_own_forward_pass(config: PreTrainedConfig):
    assert isinstance(step_of(model(config)), ModuleStep)


def test_weights_that_change_in_place_are_seen():
    made = model(LLAMA_SHAPED["llama"])
    step = LlamaStep(made)
    before = logits(step)
    with torch.no_grad():
        made.get_input_embeddings().weight.mul_(1.5)
    assert not torch.allclose(logits(step), before)
    assert torch.allclose(logits(step), logits(ModuleStep(made)), atol=1e-4, rtol=1e-4)
