"""Which models a program runs with, by name: one group of settings for all programs, and what it loads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import tyro

from alphallm_env.critics.registry import CRITICS
from alphallm_env.lm.backends import BACKENDS

if TYPE_CHECKING:
    from alphallm_env.lm.policy import Policy
    from alphallm_env.mdp.dynamics import Rules
    from alphallm_env.runtime.engine import Engine
    from alphallm_env.simulator import Simulator

_CRITICS_OF = {"tiny": "tiny", "tiny_countdown": "verifier"}  # the policies that are shipped


@dataclass(frozen=True)
class Models:
    """The models that act and judge."""

    policy: str = "tiny"
    """tiny, tiny_countdown, a folder, a hub name, or the URL of a server"""
    critics: Annotated[
        str,
        tyro.conf.arg(
            help=f"{CRITICS.choices}, or a folder; SET,orm=OTHER replaces its ORM, likewise value and prm; "
            "auto: tiny for the tiny policy, verifier for tiny_countdown, else prompted"
        ),
    ] = "auto"
    rollout_policy: str = ""
    """a smaller model that writes the rollouts, named as the policy is; the policy itself where empty"""
    tokenizer: str = ""
    """of a policy on a server, to count tokens and write prompts: tiny, a folder or a hub name"""
    backend: Annotated[
        str, tyro.conf.arg(help=f"of models in this process: {BACKENDS.choices}; auto: continuous on a GPU")
    ] = "transformers"
    backend_settings: tuple[str, ...] = ()
    """of the backend or the server, as NAME=VALUE: attempts=12 of a server, enforce_eager=true of vllm"""
    device: str = "auto"
    """cpu, cuda, mps; auto: the GPU where there is one"""
    dtype: str = "auto"
    """float32, bfloat16, float16; auto: what suits the device"""

    @property
    def critics_named(self) -> str:
        """The name of the critics, with auto resolved."""
        return self.critics if self.critics != "auto" else _CRITICS_OF.get(self.policy, "prompted")

    def load_policy(self, temperature: float = 1.0) -> Policy:
        """Returns the policy."""
        return self._load(self.policy, temperature)

    def with_policy(self, policy: str) -> Models:
        """Returns the same models around another policy; critics called auto stay those of the first."""
        return replace(self, policy=policy, critics=self.critics_named)

    def simulator(self, rules: Rules, engine: Engine, temperature: float = 1.0) -> Simulator:
        """Returns the decision process around the models."""
        from alphallm_env.loading import build_simulator  # loads torch: a help text does without

        rollouts = self._load(self.rollout_policy, temperature) if self.rollout_policy else None
        return build_simulator(self.load_policy(temperature), self.critics_named, rules, engine, self.device, rollouts)

    def _load(self, name: str, temperature: float) -> Policy:
        from alphallm_env.loading import load_policy  # loads torch: a help text does without

        return load_policy(
            name,
            self.device,
            self.dtype,
            temperature,
            tokenizer=self.tokenizer,
            backend=self.backend,
            backend_settings=self.backend_settings,
        )
