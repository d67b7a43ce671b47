"""What critics are built from."""

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
    """What critics may be built from. `rollouts` finishes solutions: a simulator; None where there is none."""

    policy: Policy
    engine: Engine
    device: str = "auto"
    rollouts: Rollouts | None = None

    @property
    def sandbox(self) -> Sandbox:
        """The sandbox of this process, started when it is first asked for."""
        from alphallm_env.sandbox.shared import shared_sandbox

        return shared_sandbox()
