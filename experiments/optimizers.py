"""Muon for the matrices inside the layers, AdamW for all other weights: fast on small models."""

from __future__ import annotations

from collections.abc import Iterable

import torch


class MuonAndAdam:
    """Two optimizers that step as one. Learning rates are set anew at every step."""

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
        self.lrs = (muon_lr, adam_lr)
        self.optimizers: list[torch.optim.Optimizer] = [
            torch.optim.Muon(matrices, lr=muon_lr, momentum=0.95, weight_decay=weight_decay),
            torch.optim.AdamW(others, lr=adam_lr, betas=(0.9, 0.95), weight_decay=0.0),
        ]

    def step(self, loss: torch.Tensor, factor: float, max_norm: float = 1.0) -> float:
        """Takes one step down `loss` at `factor` times the peak learning rates; returns the loss."""
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
