"""Where models run, and in what precision, when nobody says so."""

from __future__ import annotations

import torch


def resolved_device(device: str) -> str:
    """Returns the device that a name stands for: `auto` is a GPU where there is one, else the CPU."""
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


def resolved_dtype(dtype: str, device: str) -> str:
    """Returns the precision that a name stands for on a device: `auto` is float32 on a CPU, else the checkpoint's."""
    return "float32" if dtype == "auto" and device == "cpu" else dtype
