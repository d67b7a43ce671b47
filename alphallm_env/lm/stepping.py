"""One decoding step: the next token's logits for every row of a batch.

`transformers` runs a step as a thousand small calls, which for a small model is most of the time. For decoders
of the shape that Llama, Qwen2, Mistral and others share, `LlamaStep` runs the same arithmetic on the same weights
in a few calls a layer. Any other model takes its own forward pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast

import torch
from torch.nn import functional

from alphallm_env.lm.cache import RowCache

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Of these, `LlamaStep` is the whole forward pass. Gemma, Phi and others differ in details that it does not know.
_LLAMA_SHAPED = frozenset({"llama", "qwen2", "qwen3", "mistral", "smollm3"})
_FIXED_ROTATIONS = frozenset({"default", "linear", "llama3"})  # do not change with the length of the text
# Where MKL's product in float32 gains from being written the other way round.
_LARGE = 2**18  # weights
_FEW = 128  # rows


class Step(Protocol):
    """Reads one token a row."""

    def __call__(self, ids: torch.Tensor, places: torch.Tensor, mask: torch.Tensor, cache: RowCache) -> torch.Tensor:
        """Returns the logits [rows, vocabulary] after the tokens `ids` [rows] at the positions `places` [rows].

        `mask` [rows, positions] is True where the cache, those tokens included, holds the row's own text. Keys and
        values of the tokens are added to the cache.
        """
        ...


def step_of(model: PreTrainedModel) -> Step:
    """Returns the fastest step there is for a model."""
    return LlamaStep(model) if is_llama_shaped(model) else ModuleStep(model)


def is_llama_shaped(model: PreTrainedModel) -> bool:
    """Returns whether `LlamaStep` knows the model's architecture with all its settings."""
    config: Any = model.config
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    return (
        config.model_type in _LLAMA_SHAPED
        and type(model).__name__.endswith("ForCausalLM")
        and config.hidden_act == "silu"
        and kinds == {"full_attention"}
        and not getattr(config, "sliding_window", None)
        and not getattr(config, "no_rope_layers", None)
        and config.rope_parameters["rope_type"] in _FIXED_ROTATIONS
    )


class ModuleStep:
    """The model's own forward pass."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model

    def __call__(self, ids: torch.Tensor, places: torch.Tensor, mask: torch.Tensor, cache: RowCache) -> torch.Tensor:
        """Returns what `Step` says."""
        return self._model(
            input_ids=ids[:, None],
            attention_mask=mask.long(),
            position_ids=places[:, None],
            past_key_values=cache,
        ).logits[:, -1]


class LlamaStep:
    """The step of a Llama-shaped model.

    Queries that share a key-value head are its queries at several positions to the attention, so that keys and
    values are read once for all of them. The weights are the model's own: training changes them in place.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        whole: Any = model
        self._model = whole
        self._layers = [_Layer(layer) for layer in whole.model.layers]
        self._rotations: torch.Tensor | None = None

    def __call__(self, ids: torch.Tensor, places: torch.Tensor, mask: torch.Tensor, cache: RowCache) -> torch.Tensor:
        """Returns what `Step` says."""
        inner = self._model.model
        cos, sin = self._rotation(places)
        hidden = functional.embedding(ids, inner.embed_tokens.weight)
        bias = torch.zeros(mask.shape, dtype=hidden.dtype, device=mask.device).masked_fill_(~mask, float("-inf"))
        for index, layer in enumerate(self._layers):
            hidden = layer(hidden, cos, sin, bias[:, None, None, :], cache, index)
        hidden = _normalised(hidden, inner.norm)
        return _linear(hidden, self._model.lm_head)

    def _rotation(self, places: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns cosine and sine [rows, 1, head size] of the rotary embedding at `places`."""
        inner = self._model.model
        weight = inner.embed_tokens.weight
        known = 0 if self._rotations is None else self._rotations.shape[1]
        if self._rotations is None or self._rotations.device != weight.device or int(places.max()) >= known:
            size = max(2 * known, int(places.max()) + 1, 512)
            every = torch.arange(size, device=weight.device)[None]
            self._rotations = torch.stack([part[0] for part in inner.rotary_emb(weight, every)])
        cos, sin = self._rotations[:, places, None]
        return cos, sin


class _Layer:
    """One layer of it. Holds the modules, so that it sees their weights as they are now."""

    def __init__(self, module: Any) -> None:
        attention = module.self_attn
        self._input_norm, self._mlp_norm = module.input_layernorm, module.post_attention_layernorm
        self._attention, self._mlp = attention, module.mlp
        self._head_size: int = attention.head_dim
        self._scaling: float = attention.scaling
        self._query_norm, self._key_norm = getattr(attention, "q_norm", None), getattr(attention, "k_norm", None)

    def __call__(
        self,
        hidden: torch.Tensor,  # [rows, width]
        cos: torch.Tensor,
        sin: torch.Tensor,
        bias: torch.Tensor,  # [rows, 1, 1, positions]
        cache: RowCache,
        index: int,
    ) -> torch.Tensor:
        """Returns the hidden states [rows, width] after the layer."""
        attention, mlp = self._attention, self._mlp
        rows = hidden.shape[0]
        normed = _normalised(hidden, self._input_norm)
        queries = _linear(normed, attention.q_proj).view(rows, -1, self._head_size)
        keys = _linear(normed, attention.k_proj).view(rows, -1, self._head_size)
        values = _linear(normed, attention.v_proj).view(rows, -1, 1, self._head_size)
        if self._query_norm is not None:
            queries, keys = _normalised(queries, self._query_norm), _normalised(keys, self._key_norm)
        queries, keys = _rotated(queries, cos, sin), _rotated(keys, cos, sin)
        all_keys, all_values = cache.update(keys[:, :, None], values, index)
        grouped = queries.view(rows, all_keys.shape[1], -1, self._head_size)
        mixed = functional.scaled_dot_product_attention(grouped, all_keys, all_values, bias, scale=self._scaling)
        hidden = hidden + _linear(mixed.reshape(rows, -1), attention.o_proj)
        normed = _normalised(hidden, self._mlp_norm)
        gate = functional.silu(_linear(normed, mlp.gate_proj), inplace=True)
        return hidden + _linear(gate.mul_(_linear(normed, mlp.up_proj)), mlp.down_proj)


def _linear(states: torch.Tensor, module: Any) -> torch.Tensor:
    """Returns the layer's output [rows, out]. For few rows a processor is faster with W·xᵀ, if W is large."""
    weight, bias = cast(torch.Tensor, module.weight), cast("torch.Tensor | None", module.bias)
    is_on_cpu = weight.device.type == "cpu" and weight.dtype is torch.float32
    if not is_on_cpu or weight.numel() < _LARGE or not 1 < states.shape[0] <= _FEW:
        return functional.linear(states, weight, bias)
    product = weight @ states.t()
    return (product if bias is None else product.add_(bias[:, None])).t().contiguous()


def _normalised(states: torch.Tensor, module: Any) -> torch.Tensor:
    weight = cast(torch.Tensor, module.weight)
    return functional.rms_norm(states, weight.shape, weight, module.variance_epsilon)


def _rotated(states: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Returns the states [rows, heads, head size], rotated by their positions."""
    one, other = states.chunk(2, dim=-1)
    return torch.addcmul(states * cos, torch.cat([-other, one], dim=-1), sin)
