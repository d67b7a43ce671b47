"""SB3VecEnv: the vector environment as a `VecEnv` of stable-baselines3; model queries of all episodes are batched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from alphallm_env.envs.vector import BatchedVectorEnv


class SB3VecEnv(VecEnv):
    """A `VecEnv` of stable-baselines3 around a `BatchedVectorEnv` that resets in the step that ends an episode.

    An ended episode's last observation is in `infos[i]["terminal_observation"]` and its last info in `infos[i]`;
    the info of the reset is in `reset_infos[i]`. `MaskablePPO` finds the masks by itself. Raises ValueError for
    any autoreset mode but SAME_STEP, the only one in which every recorded step is a step of the environment.

        vec_env = SB3VecEnv(gym.make_vec(ID, num_envs=16, autoreset_mode="SameStep"))
        PPO("MultiInputPolicy", vec_env).learn(10_000)
    """

    def __init__(self, envs: gym.vector.VectorEnv[Any, Any, Any]) -> None:
        batched = envs.unwrapped
        if not isinstance(batched, BatchedVectorEnv) or batched is not envs:
            raise TypeError(f"envs must be a BatchedVectorEnv without wrappers around it, got {envs!r}")
        if batched.autoreset_mode is not AutoresetMode.SAME_STEP:
            raise ValueError(f"autoreset_mode must be {AutoresetMode.SAME_STEP}, got {batched.autoreset_mode}")
        self.envs = batched
        self._actions: NDArray[np.int64] | None = None
        super().__init__(batched.num_envs, batched.single_observation_space, batched.single_action_space)

    def reset(self) -> VecEnvObs:
        """Resets all, with the seeds of `seed()` and the options of `set_options()`, the same for each environment."""
        options = self._options[0]
        if any(other != options for other in self._options):
            raise ValueError(f"options of reset must be the same for all environments, got {self._options}")
        observations, infos = self.envs.reset(seed=self._seeds, options=options)
        self.reset_infos = [info_of(infos, index) for index in range(self.num_envs)]
        self._reset_seeds()
        self._reset_options()
        return observations

    def step_async(self, actions: NDArray[np.int64]) -> None:
        """Stores the actions for `step_wait`: int [num_envs]."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:  # pyright: ignore[reportUnknownParameterType]
        """Steps all environments. Returns observations, rewards [num_envs], dones [num_envs] and an info for each."""
        if self._actions is None:
            raise RuntimeError("expected step_async before step_wait")
        observations, rewards, terminated, truncated, vector_infos = self.envs.step(self._actions)
        self._actions = None
        dones = terminated | truncated
        infos: list[dict[str, Any]] = []
        for index in range(self.num_envs):
            info = info_of(vector_infos, index)
            if dones[index]:
                info, last_observation, reset_info = _last_and_reset(info)
                info["terminal_observation"] = last_observation
                self.reset_infos[index] = reset_info
            info["TimeLimit.truncated"] = bool(truncated[index] and not terminated[index])
            infos.append(info)
        return observations, rewards.astype(np.float32), dones, infos

    def close(self) -> None:
        """Closes all environments."""
        self.envs.close()

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Returns an attribute of each environment, wrappers included. Raises AttributeError where there is none."""
        return [env.get_wrapper_attr(attr_name) for env in self._chosen(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Sets an attribute of each environment."""
        for env in self._chosen(indices):
            env.set_wrapper_attr(attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> list[Any]:
        """Returns what a method of each environment returns."""
        return [method(*method_args, **method_kwargs) for method in self.get_attr(method_name, indices)]

    def env_is_wrapped(
        self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: VecEnvIndices = None
    ) -> list[bool]:
        """Returns for each environment whether such a wrapper is around it."""
        return [_is_wrapped(env, wrapper_class) for env in self._chosen(indices)]

    def get_images(self) -> Sequence[NDArray[np.uint8] | None]:
        """Returns what each environment renders, None where that is not a picture."""
        if self.render_mode != "rgb_array":
            return [None] * self.num_envs
        return [cast("NDArray[np.uint8]", env.render()) for env in self.envs.envs]

    def _chosen(self, indices: VecEnvIndices) -> list[gym.Env[Any, Any]]:
        return [self.envs.envs[index] for index in self._get_indices(indices)]


def info_of(infos: dict[str, Any], index: int) -> dict[str, Any]:
    """Returns the info of one environment from a vector environment's info, with numbers as Python's own types."""
    found: dict[str, Any] = {}
    for key, values in infos.items():
        if key.startswith("_") or not infos[f"_{key}"][index]:
            continue
        value = info_of(values, index) if isinstance(values, dict) else values[index]
        found[key] = value.item() if isinstance(value, np.generic) else value
    return found


def _last_and_reset(info: dict[str, Any]) -> tuple[dict[str, Any], Any, dict[str, Any]]:
    """Returns an ended episode's last info, its last observation, and the info of the reset after it."""
    last, observation = info.pop("final_info"), info.pop("final_obs")
    return last, observation, info


def _is_wrapped(env: gym.Env[Any, Any], wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]]) -> bool:
    while isinstance(env, gym.Wrapper):
        if isinstance(env, wrapper_class):
            return True
        env = env.env
    return False
