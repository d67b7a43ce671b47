"""Agents of stable-baselines3 on a Choice environment: PPO, A2C, DQN and MaskablePPO, by name and hyper-parameters.

Policies are saved as safetensors of the state dict and loaded into a fresh model. The zip files of stable-baselines3
are neither written nor read: they hold pickles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from sb3_contrib import MaskablePPO
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from alphallm_env.errors import ModelError

ALGORITHMS: dict[str, type[BaseAlgorithm]] = {"ppo": PPO, "a2c": A2C, "dqn": DQN, "maskable_ppo": MaskablePPO}


def make_agent(
    name: str, vec_env: VecEnv, hyperparameters: Mapping[str, Any], seed: int, device: str = "cpu"
) -> BaseAlgorithm:
    """Returns an untrained agent. The networks are small: a CPU is the fastest device for them.

    Raises ValueError for an unknown name, TypeError for a hyper-parameter that the algorithm does not have.
    """
    if name not in ALGORITHMS:
        raise ValueError(f"algorithm must be one of {', '.join(ALGORITHMS)}, got {name!r}")
    make = cast("Any", ALGORITHMS[name])
    return cast(BaseAlgorithm, make(env=vec_env, seed=seed, device=device, verbose=0, **hyperparameters))


def save_policy(agent: BaseAlgorithm, file: Path) -> None:
    """Writes the policy's weights as safetensors."""
    save_file({name: value.detach().clone() for name, value in agent.policy.state_dict().items()}, file)


def load_policy(agent: BaseAlgorithm, file: Path) -> BaseAlgorithm:
    """Reads weights into an agent that `make_agent` made with the same arguments, and returns it.

    Raises ModelError if they are those of another policy.
    """
    try:
        agent.policy.load_state_dict(load_file(file))
    except (RuntimeError, KeyError) as error:
        raise ModelError(f"expected the weights of a {type(agent).__name__} policy in {file}: {error}") from error
    return agent


@dataclass(frozen=True)
class SB3Chooser:
    """A trained agent without exploration. MaskablePPO gets the action masks, the others only observe them."""

    agent: BaseAlgorithm

    def choose(self, observations: Mapping[str, NDArray[np.float32 | np.int8]]) -> NDArray[np.int64]:
        """Returns actions, int [B], for observations of B episodes."""
        batch = dict(observations)
        if isinstance(self.agent, MaskablePPO):
            actions, _ = self.agent.predict(batch, deterministic=True, action_masks=batch["action_mask"].astype(bool))
        else:
            actions, _ = self.agent.predict(batch, deterministic=True)
        return actions.astype(np.int64)
