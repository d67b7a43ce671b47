"""Token sequences of different lengths as one tensor, with its mask."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def padded(sequences: Sequence[Sequence[int]], pad_id: int = 0, *, on_left: bool = False) -> torch.Tensor:
    """Returns the tokens, int64 [sequences, longest], with `pad_id` after the shorter ones, or before them.

    >>> padded([[7, 8], [9]], pad_id=5, on_left=True).tolist()
    [[7, 8], [5, 9]]
    """
    longest = max(map(len, sequences), default=0)
    gaps = [[pad_id] * (longest - len(sequence)) for sequence in sequences]
    rows = [[*gap, *tokens] if on_left else [*tokens, *gap] for gap, tokens in zip(gaps, sequences, strict=True)]
    return torch.tensor(rows, dtype=torch.long).view(len(sequences), longest)


def padding_mask(sequences: Sequence[Sequence[int]], *, on_left: bool = False) -> torch.Tensor:
    """Returns the mask of `padded`, int64 [sequences, longest]: 1 where there is a token, 0 where there is padding.

    >>> padding_mask([[7, 8], [9]], on_left=True).tolist()
    [[1, 1], [0, 1]]
    """
    lengths = torch.tensor([len(sequence) for sequence in sequences], dtype=torch.long)[:, None]
    longest = max(map(len, sequences), default=0)
    places = torch.arange(longest)
    return ((places >= longest - lengths) if on_left else (places < lengths)).long()
