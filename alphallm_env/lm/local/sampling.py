"""Draws tokens from a text's own uniform numbers, so that none depends on what else is in its batch."""

from __future__ import annotations

import numpy as np
import torch


def uniforms(seed: int, num: int) -> np.ndarray:
    """Returns the numbers in [0, 1) that the first `num` tokens of the text with this seed are drawn with."""
    return np.random.Generator(np.random.Philox(seed)).random(num)


def draw(
    logits: torch.Tensor, temperatures: torch.Tensor, numbers: torch.Tensor, rows: torch.Tensor | None = None
) -> torch.Tensor:
    """Returns a token for each of `numbers` [texts] in [0, 1), float64, from its own row of logits [rows, vocabulary].

    A token is drawn by inverting the cumulative distribution at the number, and is the likeliest one where the row's
    temperature [rows] is 0. `rows` [texts] says which row is whose where several texts share one.
    """
    greedy = temperatures == 0
    cumulative = (logits / temperatures.masked_fill(greedy, 1.0)[:, None]).softmax(-1).double().cumsum(-1)
    likeliest = logits.argmax(-1)
    if rows is not None:
        cumulative, likeliest, greedy = cumulative[rows], likeliest[rows], greedy[rows]
    sampled = torch.searchsorted(cumulative, (numbers * cumulative[:, -1])[:, None], right=True)[:, 0]
    return sampled.clamp_(max=logits.shape[-1] - 1).where(~greedy, likeliest)
