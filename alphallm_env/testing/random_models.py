"""Small random models of many architectures, to hold what a backend computes beside a bare forward pass.

Two layers of width 64 with heads of 32, the tokens of the shipped policy, and a sliding window of 16 tokens where the
architecture has one. Random weights tell right from wrong as well as trained ones do, and nothing is downloaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

WINDOW = 16  # tokens
CONTEXT = 256  # tokens
_WINDOWED: dict[str, Any] = {"sliding_window": WINDOW}
_HEADS: dict[str, Any] = {"num_key_value_heads": 2}  # as many as heads
_MIXED: dict[str, Any] = {"sliding_window": WINDOW, "layer_types": ["sliding_attention", "full_attention"]}
# The settings of an architecture beside those that all share, by a name of our own.
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),
    "qwen2": ("qwen2", {}),
    "qwen2_window": ("qwen2", _MIXED | {"use_sliding_window": True, "max_window_layers": 0}),
    "qwen3": ("qwen3", {}),
    "smollm3": ("smollm3", {"no_rope_layers": [1, 0], "use_sliding_window": False}),
    "mistral": ("mistral", _WINDOWED),
    "ministral": ("ministral", _MIXED),
    "starcoder2": ("starcoder2", _WINDOWED),
    "phi3": ("phi3", _WINDOWED),
    "gemma2": ("gemma2", _MIXED | {"query_pre_attn_scalar": 32}),
    "gemma3": ("gemma3_text", _MIXED | {"query_pre_attn_scalar": 32}),
    "cohere2": ("cohere2", _MIXED),
    "olmo3": ("olmo3", _MIXED),
    "exaone4": ("exaone4", _MIXED),
    "gpt_oss": ("gpt_oss", _MIXED | {"num_local_experts": 2, "num_experts_per_tok": 1}),
    "gpt_neox": ("gpt_neox", _HEADS),
    "gpt2": ("gpt2", _HEADS | {"n_positions": CONTEXT, "n_embd": 64, "n_layer": 2, "n_head": 2}),
    "phi": ("phi", {}),
    "opt": ("opt", _HEADS | {"ffn_dim": 96, "word_embed_proj_dim": 64}),
    "bloom": ("bloom", _HEADS),
}


def random_model(kind: str, seed: int = 0) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Returns a random model of one of `KINDS`, in float32 and in evaluation mode, and its tokenizer.

    Raises ValueError for another kind.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    from alphallm_env.lm.shipped import TINY_POLICY

    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    tokenizer = cast("PreTrainedTokenizerBase", AutoTokenizer.from_pretrained(TINY_POLICY))
    architecture, own = KINDS[kind]
    ends = tokenizer.eos_token_id
    shared = {
        "vocab_size": len(tokenizer), "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32, "max_position_embeddings": CONTEXT,
        "bos_token_id": ends, "eos_token_id": ends, "pad_token_id": ends, "tie_word_embeddings": False,
    }  # fmt: skip
    config = AutoConfig.for_model(architecture, **(shared | own))
    torch.manual_seed(seed)
    model = cast("PreTrainedModel", AutoModelForCausalLM.from_config(config))
    with torch.no_grad():
        for weights in model.parameters():
            if weights.ndim > 1:
                weights.normal_(0.0, 0.15)  # larger than usual, so that attention is far from even
    return model.float().eval(), tokenizer


def save_random_model(kind: str, folder: Path, seed: int = 0) -> Path:
    """Writes a random model with its tokenizer as a folder that any engine loads, and returns it."""
    model, tokenizer = random_model(kind, seed)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
