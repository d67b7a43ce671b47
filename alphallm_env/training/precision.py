"""The precision of training: bfloat16 where the device has units for it, float32 where it would be emulated."""

from __future__ import annotations

import torch


def multiplies_bfloat16(device: torch.device) -> bool:
    """Returns whether the device has units for bfloat16 products.

    A CPU without them emulates each one: a matrix product takes about a hundred times as long as in float32.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    if device.type == "cpu":
        return any(present for name, present in torch.cpu.get_capabilities().items() if "bf16" in name)
    return True


def mixed_precision(device: torch.device) -> torch.autocast:
    """Returns the context in which a forward pass of training runs."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=multiplies_bfloat16(device))
