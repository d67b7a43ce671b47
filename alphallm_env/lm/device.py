"""The device and the precision of models where they are given as `auto`."""

from __future__ import annotations

import torch


def resolved_device(device: str) -> str:
    """Returns the device of a name: for `auto` a GPU where there is one, else the CPU."""
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


def resolved_dtype(dtype: str, device: str) -> str:
    """Returns the precision of a name on a device: for `auto` float32 on a CPU, else `auto`, the checkpoint's own."""
    return "float32" if dtype == "auto" and device == "cpu" else dtype
