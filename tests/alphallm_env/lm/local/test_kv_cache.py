"""The cache of texts that come and go: each row keeps its own history, whoever joins and leaves."""

from __future__ import annotations

import gc
import random
import weakref

import pytest
import torch

from alphallm_env.lm.local.kv_cache import RowCache

CPU = torch.device("cpu")


def states(numbers: list[int]) -> torch.Tensor:
    """Keys or values [rows, 2 heads, 1, 3] that tell the tokens with these numbers apart."""
    return torch.tensor(numbers, dtype=torch.float32)[:, None, None, None].expand(-1, 2, -1, 3)


def write(cache: RowCache, numbers: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the first of two layers' keys, and the mask, after a step that wrote these tokens."""
    places, mask = cache.begin_step(CPU)
    assert len(places) == len(numbers)
    keys, values = cache.update(states(numbers), -states(numbers), 0)
    assert torch.equal(keys, -values)
    other, _ = cache.update(2 * states(numbers), states(numbers), 1)
    assert torch.equal(other, 2 * keys)
    cache.end_step()
    return keys, mask


def texts_in(keys: torch.Tensor, mask: torch.Tensor) -> list[list[int]]:
    return [
        [int(key) for key, seen in zip(row[0, :, 0], kept, strict=True) if seen]
        for row, kept in zip(keys, mask, strict=True)
    ]


def test_rows_keep_their_texts_whoever_comes_and_goes_and_parts():
    rng = random.Random(0)
    cache = RowCache()
    texts: list[list[int]] = []
    number = 0
    for _ in range(300):
        if not texts or rng.random() < 0.3:
            new = [[rng.randrange(1, 100) for _ in range(rng.randint(1, 90))] for _ in range(rng.randint(1, 9))]
            longest = max(map(len, new))
            filled = torch.stack(
                [states([*text, *[0] * (longest - len(text))])[:, :, 0].transpose(0, 1) for text in new]
            )
            cache.add([(filled, -filled), (2 * filled, filled)], [len(text) for text in new])
            texts += new
        written = list(range(number, number + len(texts)))
        number += len(texts)
        texts = [[*text, token] for text, token in zip(texts, written, strict=True)]
        assert texts_in(*write(cache, written)) == texts
        copied = [row for row in range(len(texts)) if rng.random() < 0.05] * rng.randint(1, 2)
        cache.copy(copied)
        texts += [texts[row] for row in copied]
        gone = [row for row in range(len(texts)) if rng.random() < 0.15]
        texts = [texts[row] for row in cache.remove(gone)]
        assert len(cache) == len(texts)


def test_rows_without_a_token_may_join_others():
    cache = RowCache()
    cache.add([], [0])
    write(cache, [1])
    cache.add([], [0])
    assert texts_in(*write(cache, [2, 3])) == [[1, 2], [3]]


def test_what_is_masked_is_finite():
    cache = RowCache()
    cache.add([(torch.ones(2, 1, 5, 4), torch.ones(2, 1, 5, 4))], [5, 1])
    cache.begin_step(CPU)
    keys, values = cache.update(torch.ones(2, 1, 1, 4), torch.ones(2, 1, 1, 4), 0)
    assert keys.isfinite().all()
    assert values.isfinite().all()


def test_a_token_needs_a_step():
    cache = RowCache()
    cache.add([], [0])
    with pytest.raises(RuntimeError, match="begin_step"):
        cache.update(states([1]), states([1]), 0)


def test_its_tensors_go_with_it():
    cache = RowCache()
    cache.add([(torch.ones(2, 1, 5, 4), torch.ones(2, 1, 5, 4))], [5, 1])
    layer = weakref.ref(cache.layers[0])
    gc.disable()
    try:
        del cache
        assert layer() is None
    finally:
        gc.enable()
