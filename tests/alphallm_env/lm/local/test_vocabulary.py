"""Padding on either side, and the mask that goes with it."""

from __future__ import annotations

import pytest
import torch

from alphallm_env.lm.local.vocabulary import padded, padding_mask

TOKENS = [[4, 5, 6], [], [7]]


@pytest.mark.parametrize(
    ("on_left", "ids", "mask"),
    [
        (False, [[4, 5, 6], [9, 9, 9], [7, 9, 9]], [[1, 1, 1], [0, 0, 0], [1, 0, 0]]),
        (True, [[4, 5, 6], [9, 9, 9], [9, 9, 7]], [[1, 1, 1], [0, 0, 0], [0, 0, 1]]),
    ],
)
def test_shorter_sequences_are_padded_to_the_longest(on_left: bool, ids: list[list[int]], mask: list[list[int]]):
    assert padded(TOKENS, 9, on_left=on_left).tolist() == ids
    assert padding_mask(TOKENS, on_left=on_left).tolist() == mask


@pytest.mark.parametrize(("sequences", "shape"), [([], (0, 0)), ([[], []], (2, 0))])
def test_nothing_to_pad_has_no_width(sequences: list[list[int]], shape: tuple[int, int]):
    for tensor in (padded(sequences), padding_mask(sequences)):
        assert tensor.shape == shape
        assert tensor.dtype == torch.long
