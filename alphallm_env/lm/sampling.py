"""Draws tokens from a text's own uniform numbers, so that nothing depends on what is drawn beside it."""

from __future__ import annotations

import numpy as np
import torch


def uniforms(seed: int, num: int) -> np.ndarray:
    """Returns the numbers in [0, 1) that the first `num` tokens of the text with this seed are drawn with."""
    return np.random.Generator(np.random.Philox(seed)).random(num)


def draw(logits: torch.Tensor, temperatures: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
    """Returns a token [rows] for each row of logits [rows, vocabulary], the likeliest one at temperature 0.

    A token is drawn by inverting the cumulative distribution at the row's number in [0, 1), a float64.
    """
    greedy = temperatures == 0
    cumulative = (logits / temperatures.masked_fill(greedy, 1.0)[:, None]).softmax(-1).double().cumsum(-1)
    sampled = torch.searchsorted(cumulative, (numbers * cumulative[:, -1])[:, None], right=True)[:, 0]
    return sampled.clamp_(max=logits.shape[-1] - 1).where(~greedy, logits.argmax(-1))
