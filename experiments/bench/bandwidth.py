"""How near a decoder comes to the limit of memory bandwidth: weights and cache must be read before a token is decoded.

A step reads the weights once, for all texts together, and the keys and values of every text. That over the bandwidth
of the device's memory is the least time a token takes, wherever weights do not stay in a processor's cache.
"""

from __future__ import annotations

import time
from typing import Any

import torch

from alphallm_env.lm.local.transformers_lm import TransformersLM

_SIZES = {"cpu": 2**28}  # bytes copied: beyond any cache
_GPU_SIZE = 2**30
_REPEATS = 9


def measured_bandwidth(device: torch.device) -> float:
    """Returns the bytes a second that a device reads and writes where it copies, the best of a few copies."""
    size = _SIZES.get(device.type, _GPU_SIZE)
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    least = float("inf")
    for _ in range(_REPEATS):
        _wait(device)
        started = time.perf_counter()
        target.copy_(source)
        _wait(device)
        least = min(least, time.perf_counter() - started)
    return 2 * size / least


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def weight_bytes(lm: TransformersLM) -> int:
    """Returns the bytes of weights that a step reads: all but an embedding table that is no output layer."""
    model: Any = lm.model
    output = model.get_output_embeddings()
    looked_up = model.get_input_embeddings().weight
    skipped = 0 if output is not None and output.weight is looked_up else looked_up.nbytes
    return sum(weight.nbytes for weight in model.parameters()) - skipped


def cache_bytes(lm: TransformersLM) -> int:
    """Returns the bytes of keys and values of one position of a text."""
    config: Any = lm.model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    head_size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return 2 * config.num_hidden_layers * heads * head_size * lm.model.dtype.itemsize


def share_of_limit(lm: TransformersLM, tokens_per_second: float, batch: int, length: float, bandwidth: float) -> float:
    """Returns tokens/s ÷ the most that `bandwidth` allows `batch` texts of `length` positions on average."""
    return tokens_per_second * (weight_bytes(lm) / batch + length * cache_bytes(lm)) / bandwidth
