from itertools import combinations, pairwise

import torch
from hypothesis import given
from hypothesis import strategies as st

from alphallm_env.lm.local.prefill import batches_by_length

CPU = torch.device("cpu")
PASS_TOKENS = 64  # as much as a pass costs on a processor


def cost(batches: list[list[int]], lengths: list[int], padding_cost: float) -> float:
    padded = sum(len(batch) * max(lengths[index] for index in batch) for batch in batches)
    return len(batches) * PASS_TOKENS + sum(lengths) + padding_cost * (padded - sum(lengths))


@given(st.lists(st.integers(1, 200), max_size=9), st.sampled_from([0.0, 0.1, 1.0]))
def test_no_other_cut_of_the_sorted_lengths_costs_less(lengths: list[int], padding_cost: float):
    batches = batches_by_length(lengths, CPU, padding_cost=padding_cost)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    order = sorted(range(len(lengths)), key=lambda index: lengths[index])
    for num_cuts in range(len(lengths)):
        for cuts in combinations(range(1, len(lengths)), num_cuts):
            bounds = [0, *cuts, len(lengths)]
            other = [order[start:end] for start, end in pairwise(bounds)]
            least, others = (cost(cut, lengths, padding_cost) for cut in (batches, other))
            assert least <= others + 1e-6


@given(st.lists(st.integers(0, 500), max_size=40), st.integers(1, 1_000), st.sampled_from(["cpu", "meta"]))
def test_a_batch_holds_no_more_than_it_may(lengths: list[int], most: int, device: str):
    batches = batches_by_length(lengths, torch.device(device), most)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[index] for index in batch) <= most


def test_a_device_that_computes_whole_batches_at_once_gets_them_whole():
    assert batches_by_length([1, 900, 5], torch.device("meta")) == [[0, 2, 1]]
