"""The fast passes give what the model's own forward pass gives, on every architecture that they claim to know."""

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
from transformers.cache_utils import DynamicCache
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

from alphallm_env.lm.local import llama
from alphallm_env.lm.local.forward import ModuleStep, ModuleTrunk, Passes, Step, Trunk, step_of
from alphallm_env.lm.local.kv_cache import RowCache, layers_of
from alphallm_env.lm.local.llama import LlamaStep, LlamaTrunk, is_llama_shaped

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


@pytest.mark.parametrize("large", [0, llama._LARGE])  # products written the other way round, and none
@pytest.mark.parametrize("name", LLAMA_SHAPED)
def test_the_fast_step_is_the_models_own(name: str, large: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(llama, "_LARGE", large)
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
def test_what_they_do_not_know_takes_its_own_forward_pass(config: PreTrainedConfig):
    made = model(config)
    assert isinstance(step_of(made), ModuleStep)
    assert isinstance(Passes(made).hidden.run.__self__, ModuleTrunk)  # type: ignore[attr-defined]


def read_twice(trunk: Trunk, lengths: list[tuple[int, int]], num_kept: int | None) -> list[torch.Tensor]:
    """Reads texts in two parts of these lengths each. Returns the outputs at the second parts' tokens, and all keys."""
    torch.manual_seed(1)
    cache, mask, outputs = DynamicCache(), torch.zeros(len(lengths), 0, dtype=torch.long), torch.empty(0)
    with torch.inference_mode():
        for part in (0, 1):
            longest = max(pair[part] for pair in lengths)
            new = torch.tensor([[0] * (longest - pair[part]) + [1] * pair[part] for pair in lengths])
            ids, mask = torch.randint(50, new.shape), torch.cat([mask, new], 1)
            places = (mask.cumsum(-1) - 1).clamp(min=0)[:, -longest:]
            if num_kept is None:
                outputs = trunk.hidden(ids, mask, places, cache)
            else:
                outputs = trunk.logits(ids, mask, places, cache, num_kept)
    num = outputs.shape[1]
    found = [row[num - min(num, second) :] for row, (_, second) in zip(outputs, lengths, strict=True)]
    keys = [layer.transpose(1, 2)[mask.bool()] for layer, _ in layers_of(cache)]
    return [*found, *keys]


@pytest.mark.parametrize("num_kept", [None, 0, 1, 2])
@pytest.mark.parametrize("lengths", [[(3, 4), (3, 4)], [(1, 7), (5, 2), (9, 1), (2, 3)], [(4, 1)]])
@pytest.mark.parametrize("name", LLAMA_SHAPED)
def test_texts_are_read_as_the_model_reads_them(name: str, lengths: list[tuple[int, int]], num_kept: int | None):
    made = model(LLAMA_SHAPED[name])
    fast = read_twice(LlamaTrunk(made), lengths, num_kept)
    own = read_twice(ModuleTrunk(made), lengths, num_kept)
    for one, other in zip(fast, own, strict=True):
        assert one.shape == other.shape
        assert torch.allclose(one, other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("after", [[1], [2], [1, 2]])
def test_hidden_states_in_between_are_the_models_own(after: list[int]):
    made = model(LLAMA_SHAPED["qwen2"])
    ids, mask = torch.randint(50, (2, 5)), torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]])
    places = (mask.cumsum(-1) - 1).clamp(min=0)
    with torch.inference_mode():
        fast, own = (t.hidden(ids, mask, places, DynamicCache(), after) for t in (LlamaTrunk(made), ModuleTrunk(made)))
    assert fast.shape == (2, 5, len(after) * SHAPE["hidden_size"])
    assert torch.allclose(fast[mask.bool()], own[mask.bool()], atol=1e-4, rtol=1e-4)


def test_weights_that_change_in_place_are_seen():
    made = model(LLAMA_SHAPED["llama"])
    step = LlamaStep(made)
    before = logits(step)
    with torch.no_grad():
        made.get_input_embeddings().weight.mul_(1.5)
    assert not torch.allclose(logits(step), before)
    assert torch.allclose(logits(step), logits(ModuleStep(made)), atol=1e-4, rtol=1e-4)
