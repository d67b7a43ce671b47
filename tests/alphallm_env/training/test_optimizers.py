"""Muon in float32 is torch's Muon, but for torch's rounding to bfloat16."""

import pytest
import torch

from alphallm_env.training.optimizers import Muon, MuonAndAdam, orthogonalised
from alphallm_env.training.precision import mixed_precision, multiplies_bfloat16


@pytest.mark.parametrize("shape", [(12, 12), (24, 8), (8, 24)])
def test_orthogonalised_brings_all_singular_values_near_one(shape: tuple[int, int]):
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalised(torch.randn(shape)))
    assert 0.5 < values.min() <= values.max() < 1.3


def test_it_steps_as_torch_does():
    torch.manual_seed(0)
    ours, theirs = (torch.nn.Parameter(torch.ones(16, 8)) for _ in range(2))
    settings = {"lr": 0.02, "momentum": 0.95, "weight_decay": 0.01}
    optimizers = [Muon([ours], **settings), torch.optim.Muon([theirs], **settings)]
    for _ in range(4):
        ours.grad = torch.randn(16, 8)
        theirs.grad = ours.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    assert (ours - 1).abs().max() > 0.02
    assert torch.allclose(ours, theirs, atol=2e-3)


def test_a_closure_is_refused():
    with pytest.raises(ValueError, match="expected no closure"):
        Muon([torch.nn.Parameter(torch.ones(2, 2))]).step(lambda: 0.0)


def test_the_state_survives_a_round_trip():
    model = torch.nn.ModuleDict({"layers": torch.nn.Linear(4, 4), "head": torch.nn.Linear(4, 2)})
    optimizer = MuonAndAdam(model.named_parameters(), 0.02, 1e-3)
    optimizer.step(model["head"](model["layers"](torch.ones(1, 4))).sum(), 1.0)
    again = MuonAndAdam(model.named_parameters(), 0.02, 1e-3)
    again.load_tensors(optimizer.tensors())
    assert again.tensors().keys() == optimizer.tensors().keys()
    assert all(torch.equal(value, again.tensors()[name]) for name, value in optimizer.tensors().items())


def test_training_computes_in_bfloat16_only_where_the_device_has_units_for_it():
    cpu = torch.device("cpu")
    with mixed_precision(cpu):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype is (torch.bfloat16 if multiplies_bfloat16(cpu) else torch.float32)
