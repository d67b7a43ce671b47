"""The device and the precision of models by name, `auto` included."""

from __future__ import annotations

import torch

DTYPES = ("auto", "float32", "bfloat16", "float16")


def resolved_device(device: str) -> str:
    """Returns the device of a name: for `auto` a GPU where there is one, else the CPU.

    Raises ValueError for a name that is no device's.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.device(device)
    except RuntimeError as error:
        raise ValueError(
            f"device must be auto, cpu, cuda, cuda:0, mps or another of torch's, got {device!r}"
        ) from error
    return device


def resolved_dtype(dtype: str, device: str) -> str:
    """Returns the precision of a name on a device: for `auto` float32 on a CPU, else `auto`, the checkpoint's own.

    Raises ValueError for an unknown name.
    """
    if dtype not in DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, got {dtype!r}")
    return "float32" if dtype == "auto" and device == "cpu" else dtype
