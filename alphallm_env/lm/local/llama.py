"""The forward pass of Llama, Qwen2, Mistral and other models of their shape, in few calls a layer, without padding.

`transformers` runs a forward pass as a thousand small calls, which for a small model take most of the time, and also
computes the padding of the shorter texts of a batch. This is the same arithmetic on the same weights: `LlamaStep` reads
one token a row, `LlamaTrunk` whole texts. Any other model uses the forward pass of `transformers`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from torch.nn import functional

from alphallm_env.lm.local.kv_cache import RowCache

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from transformers.cache_utils import Cache

# Architectures that this module implements completely. Gemma, Phi and others differ in details.
_LLAMA_SHAPED = frozenset({"llama", "qwen2", "qwen3", "mistral", "smollm3"})
_FIXED_ROTATIONS = frozenset({"default", "linear", "llama3"})  # do not depend on the length of the text
# In float32, MKL is faster with W·xᵀ than with x·Wᵀ for at least `_LARGE` weights in W and at most `_FEW` rows in x.
_LARGE = 2**18
_FEW = 128

# Queries [tokens, heads, head size], keys and values [tokens, key-value heads, head size], the layer's index, and the
# factor of the scores -> the attention's output [tokens, heads * head size].
_Attention = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, int, float], torch.Tensor]


def is_llama_shaped(model: PreTrainedModel) -> bool:
    """Returns whether this module implements the model's architecture with all its settings."""
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


class _Llama:
    """The layers of a Llama-shaped model. The weights are the model's own: training changes them in place."""

    def __init__(self, model: PreTrainedModel) -> None:
        whole: Any = model
        self._model = whole
        self._layers = [_Layer(layer) for layer in whole.model.layers]
        self._rotations: torch.Tensor | None = None

    def hidden(
        self, ids: torch.Tensor, places: torch.Tensor, attend: _Attention, after: Sequence[int] = ()
    ) -> torch.Tensor:
        """Returns the last hidden states [tokens, width] of the tokens `ids` [tokens] at `places` [tokens].

        With `after`, rising numbers of layers from 1 on, those after each of these layers, concatenated; those after
        the last layer are normalised.
        """
        inner = self._model.model
        cos, sin = self._rotation(places)
        hidden = functional.embedding(ids, inner.embed_tokens.weight)
        kept: list[torch.Tensor] = []
        for index, layer in enumerate(self._layers):
            hidden = layer(hidden, cos, sin, attend, index)
            if index + 1 in after:
                kept.append(hidden)
        last = _normalised(hidden, inner.norm)
        if not after:
            return last
        if len(self._layers) in after:
            kept[-1] = last
        return torch.cat(kept, dim=-1)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Returns the logits [tokens, vocabulary] of last hidden states [tokens, width]."""
        return _linear(hidden, self._model.lm_head)

    def _rotation(self, places: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns cosine and sine [tokens, 1, head size] of the rotary embedding at `places`."""
        inner = self._model.model
        weight = inner.embed_tokens.weight
        known = 0 if self._rotations is None else self._rotations.shape[1]
        if self._rotations is None or self._rotations.device != weight.device or int(places.max()) >= known:
            size = max(2 * known, int(places.max()) + 1, 512)
            every = torch.arange(size, device=weight.device)[None]
            self._rotations = torch.stack([part[0] for part in inner.rotary_emb(weight, every)])
        cos, sin = self._rotations[:, places, None]
        return cos, sin


class LlamaStep:
    """Reads one token a row (`forward.Step`).

    Queries that share a key-value head are passed to the attention as its queries at several positions, so that keys
    and values are read once for all of them.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self._llama = _Llama(model)

    def __call__(self, ids: torch.Tensor, places: torch.Tensor, mask: torch.Tensor, cache: RowCache) -> torch.Tensor:
        """See `forward.Step`."""
        bias: torch.Tensor | None = None

        def attend(
            queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, index: int, scaling: float
        ) -> torch.Tensor:
            nonlocal bias
            if bias is None:
                bias = _bias(mask, queries.dtype)[:, None, None]
            all_keys, all_values = cache.update(keys[:, :, None], values[:, :, None], index)
            rows, _, head_size = queries.shape
            grouped = queries.view(rows, all_keys.shape[1], -1, head_size)
            mixed = functional.scaled_dot_product_attention(grouped, all_keys, all_values, bias, scale=scaling)
            return mixed.reshape(rows, -1)

        return self._llama.logits(self._llama.hidden(ids, places, attend))


class LlamaTrunk:
    """Reads texts behind their cached prefixes (`forward.Trunk`). Only the attention computes padding."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._llama = _Llama(model)

    def hidden(
        self, ids: torch.Tensor, mask: torch.Tensor, places: torch.Tensor, cache: Cache, after: Sequence[int] = ()
    ) -> torch.Tensor:
        """See `forward.Trunk`."""
        layout = _Layout(mask, ids.shape[1])
        attend = layout.attention(cache)
        return layout.padded(self._llama.hidden(layout.packed(ids), layout.packed(places), attend, after))

    def logits(
        self, ids: torch.Tensor, mask: torch.Tensor, places: torch.Tensor, cache: Cache, num_kept: int = 0
    ) -> torch.Tensor:
        """See `forward.Trunk`."""
        layout = _Layout(mask, ids.shape[1])
        hidden = self._llama.hidden(layout.packed(ids), layout.packed(places), layout.attention(cache))
        if num_kept == 0:
            return layout.padded(self._llama.logits(hidden))
        kept = layout.padded(hidden)[:, -num_kept:]
        return self._llama.logits(kept.flatten(0, 1)).view(*kept.shape[:2], -1)


class _Layout:
    """Converts between texts padded on the left [texts, new tokens, …] and their tokens alone [tokens, …]."""

    def __init__(self, mask: torch.Tensor, num_new: int) -> None:
        """`mask` [texts, positions] is 1 where there is a token: first cached ones, then `num_new` to read."""
        self._shape = (len(mask), num_new)
        taken = mask[:, -num_new:].reshape(-1).nonzero()[:, 0]
        self._taken = None if len(taken) == len(mask) * num_new else taken
        positions = torch.arange(mask.shape[1], device=mask.device)
        before = positions <= positions[-num_new:, None]
        self.seen = before & mask[:, None].bool()  # [texts, new tokens, positions]

    def attention(self, cache: Cache) -> _Attention:
        """Returns the attention over what the cache holds and what is read, which is added to it."""
        bias: torch.Tensor | None = None

        def attend(
            queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, index: int, scaling: float
        ) -> torch.Tensor:
            nonlocal bias
            if bias is None:
                bias = _bias(self.seen, queries.dtype)[:, None]
            one, other = (self.padded(states).transpose(1, 2) for states in (keys, values))
            all_keys, all_values = cache.update(one, other, index)
            mixed = functional.scaled_dot_product_attention(
                self.padded(queries).transpose(1, 2), all_keys, all_values, bias, scale=scaling, enable_gqa=True
            )
            return self.packed(mixed.transpose(1, 2).flatten(2))

        return attend

    def packed(self, padded: torch.Tensor) -> torch.Tensor:
        """Returns the tokens alone, [tokens, …], of [texts, new tokens, …]."""
        flat = padded.flatten(0, 1)
        return flat if self._taken is None else flat[self._taken]

    def padded(self, packed: torch.Tensor) -> torch.Tensor:
        """Returns [texts, new tokens, …] of [tokens, …], with zeros for padding."""
        if self._taken is not None:
            flat = packed.new_zeros(self._shape[0] * self._shape[1], *packed.shape[1:])
            flat[self._taken] = packed
            packed = flat
        return packed.view(*self._shape, *packed.shape[1:])


class _Layer:
    """One layer. Holds the modules, not their weights, so that it uses the current ones."""

    def __init__(self, module: Any) -> None:
        attention, mlp = module.self_attn, module.mlp
        self._input_norm, self._mlp_norm = module.input_layernorm, module.post_attention_layernorm
        self._inward, self._outward = (attention.q_proj, attention.k_proj, attention.v_proj), attention.o_proj
        self._gate, self._up, self._down = mlp.gate_proj, mlp.up_proj, mlp.down_proj
        self._head_size: int = attention.head_dim
        self._scaling: float = attention.scaling
        self._query_norm, self._key_norm = getattr(attention, "q_norm", None), getattr(attention, "k_norm", None)

    def __call__(
        self, hidden: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, attend: _Attention, index: int
    ) -> torch.Tensor:
        """Returns the hidden states [tokens, width] after the layer, of those before it."""
        normed = _normalised(hidden, self._input_norm)
        queries, keys, values = (
            _linear(normed, projection).view(hidden.shape[0], -1, self._head_size) for projection in self._inward
        )
        if self._query_norm is not None:
            queries, keys = _normalised(queries, self._query_norm), _normalised(keys, self._key_norm)
        queries, keys = _rotated(queries, cos, sin), _rotated(keys, cos, sin)
        hidden = hidden + _linear(attend(queries, keys, values, index, self._scaling), self._outward)
        normed = _normalised(hidden, self._mlp_norm)
        gate = functional.silu(_linear(normed, self._gate), inplace=True)
        return hidden + _linear(gate.mul_(_linear(normed, self._up)), self._down)


def _bias(seen: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Returns the bias of attention scores: 0 where `seen` is True, -inf elsewhere."""
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, float("-inf"))


def _linear(states: torch.Tensor, module: Any) -> torch.Tensor:
    """Returns the linear layer's output [rows, out]. On a CPU, W·xᵀ is faster for few rows if W is large."""
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
