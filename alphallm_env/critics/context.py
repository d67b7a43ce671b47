"""The context that critics are built from: policy, engine, device, sandbox."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alphallm_env.critics.monte_carlo import Rollouts
from alphallm_env.lm.policy import Policy
from alphallm_env.runtime.engine import Engine

if TYPE_CHECKING:
    from alphallm_env.sandbox import Sandbox


@dataclass(frozen=True)
class CriticContext:
    """The parts that a critic may be built from. `rollouts` completes solutions: a simulator, or None."""

    policy: Policy
    engine: Engine
    device: str = "auto"
    rollouts: Rollouts | None = None

    @property
    def sandbox(self) -> Sandbox:
        """The shared sandbox of this process, started on first use."""
        from alphallm_env.sandbox.shared import shared_sandbox

        return shared_sandbox()
