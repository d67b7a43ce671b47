"""Muon for the matrices inside the layers, AdamW for all other weights: fast on small models."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch


class Muon(torch.optim.Muon):
    """Muon with its Newton–Schulz iteration in float32. Jordan et al. 2024.

    Differs: torch iterates in bfloat16, which on a CPU without bfloat16 units takes three quarters of a
    training step; in float32 it is a tenth.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Takes one step. A closure is not supported."""
        if closure is not None:
            raise ValueError("expected no closure, got one")
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is not None:
                    self._step(matrix, group)

    def _step(self, matrix: torch.nn.Parameter, group: dict[str, float]) -> None:
        state = self.state[matrix]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(matrix)
        assert matrix.grad is not None
        average = state["momentum_buffer"].lerp_(matrix.grad, 1 - group["momentum"])
        direction = orthogonalised(matrix.grad.lerp(average, group["momentum"]))
        rows, columns = matrix.shape
        matrix.mul_(1 - group["lr"] * group["weight_decay"])
        matrix.add_(direction, alpha=-group["lr"] * math.sqrt(max(1.0, rows / columns)))


def orthogonalised(matrix: torch.Tensor, num_steps: int = 5) -> torch.Tensor:
    """Returns roughly U Vᵀ of `matrix` = U S Vᵀ, [rows, columns], by the quintic Newton–Schulz iteration."""
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    wide = wide / wide.norm().clamp(min=1e-7)
    for _ in range(num_steps):
        gram = wide @ wide.T
        wide = 3.4445 * wide + (-4.7750 * gram + 2.0315 * gram @ gram) @ wide
    return wide.T if matrix.shape[0] > matrix.shape[1] else wide


class MuonAndAdam:
    """Two optimizers that step as one. Every step sets their learning rates."""

    def __init__(
        self,
        named: Iterable[tuple[str, torch.nn.Parameter]],
        muon_lr: float,
        adam_lr: float,
        weight_decay: float = 0.01,
    ) -> None:
        parameters = list(named)
        self.parameters = [parameter for _, parameter in parameters]
        matrices = [p for name, p in parameters if p.ndim == 2 and "layers." in name]
        others = [p for name, p in parameters if p.ndim != 2 or "layers." not in name]
        self.optimizers: list[torch.optim.Optimizer] = []
        self.lrs: list[float] = []
        if matrices:
            self.optimizers.append(Muon(matrices, lr=muon_lr, momentum=0.95, weight_decay=weight_decay))
            self.lrs.append(muon_lr)
        if others:
            self.optimizers.append(torch.optim.AdamW(others, lr=adam_lr, betas=(0.9, 0.95), weight_decay=0.0))
            self.lrs.append(adam_lr)

    def step(self, loss: torch.Tensor, factor: float, max_norm: float = 1.0) -> float:
        """Backpropagates `loss` and takes one step at `factor` times the peak learning rates; returns the loss."""
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, max_norm)
        for optimizer, lr in zip(self.optimizers, self.lrs, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = lr * factor
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return loss.item()

    def tensors(self) -> dict[str, torch.Tensor]:
        """Returns the states of both optimizers, flat, for a safetensors file."""
        return {
            f"{index}/{position}/{key}": value.contiguous().clone()
            for index, optimizer in enumerate(self.optimizers)
            for position, entry in optimizer.state_dict()["state"].items()
            for key, value in entry.items()
        }

    def load_tensors(self, tensors: dict[str, torch.Tensor]) -> None:
        """Loads the states that `tensors` returned."""
        for index, optimizer in enumerate(self.optimizers):
            packed = optimizer.state_dict()
            for name, value in tensors.items():
                owner, position, key = name.split("/")
                if int(owner) == index:
                    packed["state"].setdefault(int(position), {})[key] = value
            optimizer.load_state_dict(packed)
