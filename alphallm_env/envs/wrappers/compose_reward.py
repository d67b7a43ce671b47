"""ComposeReward: a reward that is a weighted sum of named parts, each reported in `info`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar, cast

import gymnasium as gym
from gymnasium.utils import RecordConstructorArgs

from alphallm_env.envs.base import BaseReasoningEnv
from alphallm_env.envs.wrappers.base import EpisodeWrapper, Info
from alphallm_env.errors import ProblemError
from alphallm_env.mdp.rewards import NO_GOLD

ObsType = TypeVar("ObsType")
ActType = TypeVar("ActType")


@dataclass(frozen=True)
class Step:
    """One step as the parts of a reward see it. `num_tokens` are those of the option that it took."""

    reward: float
    num_tokens: int
    info: Info


def _verifier(step: Step) -> float:
    if step.info["verdict"] == NO_GOLD:
        raise ProblemError(f"part 'verifier' needs a gold answer, and problem {step.info['problem_id']!r} has none")
    return float(cast(bool, step.info["is_success"]))


def _number(key: str) -> Callable[[Step], float]:
    return lambda step: float(cast(float, step.info[key]))


REWARD_PARTS: dict[str, Callable[[Step], float]] = {
    "env": lambda step: step.reward,
    "prm": _number("reward_prm"),
    "orm": _number("reward_orm"),
    "verifier": _verifier,
    "step": lambda _: 1.0,
    "tokens": lambda step: float(step.num_tokens),
    "truncated": lambda step: float(step.info["ending"] in ("out_of_tokens", "out_of_options")),
    "invalid": lambda step: float(cast(bool, step.info.get("invalid_action", False))),
}


class ComposeReward(EpisodeWrapper[ObsType, ActType, None]):
    """Returns Σ weight · part as the reward, instead of that of the environment beneath.

    | part | is |
    |---|---|
    | `env` | the reward of the environment beneath |
    | `prm`, `orm` | the critics' scores, in [0, 1], where they are asked: `info["reward_prm"]`, `info["reward_orm"]` |
    | `verifier` | 1 at the step that answers correctly, else 0; a problem without a gold answer raises ProblemError |
    | `step` | 1 |
    | `tokens` | the tokens of the option taken |
    | `truncated` | 1 at the step that a budget cuts, else 0 |
    | `invalid` | 1 for an action that the environment refused (`info["invalid_action"]`), else 0 |

    A penalty has a weight below 0. `info["reward_parts"]` holds weight · part by name; they sum to the
    reward. At `reset` they are 0. Snapshots: `episode_state`; its record is empty.

    >>> import alphallm_env
    >>> env = gym.make("AlphaLLM/GSMSymbolic-v1", reward="verifier", limit=1)
    >>> env = ComposeReward(env, {"verifier": 1.0, "tokens": -0.01})
    >>> _ = env.reset(seed=0)
    >>> _, reward, *_, info = env.step("2 + 3 = 5\\n")
    >>> reward, info["reward_parts"]
    (-0.05, {'verifier': 0.0, 'tokens': -0.05})
    """

    def __init__(self, env: gym.Env[ObsType, ActType], weights: Mapping[str, float]) -> None:
        _check(weights)
        _check_critics(env, weights)
        RecordConstructorArgs.__init__(self, weights=dict(weights))
        super().__init__(env)
        self.weights = dict(weights)

    def reset(self, *, seed: int | None = None, options: dict[str, object] | None = None) -> tuple[ObsType, Info]:
        """Starts an episode."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._keep(None)
        return observation, {**info, "reward_parts": dict.fromkeys(self.weights, 0.0)}

    def step(self, action: ActType) -> tuple[ObsType, float, bool, bool, Info]:
        """Takes a step; its reward is the weighted sum of the parts."""
        self._record()
        tokens_before = self._state().num_tokens
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._keep(None)
        step = Step(float(reward), self._state().num_tokens - tokens_before, info)
        parts = {name: weight * REWARD_PARTS[name](step) for name, weight in self.weights.items()}
        return observation, sum(parts.values()), terminated, truncated, {**info, "reward_parts": parts}


def _check(weights: Mapping[str, float]) -> None:
    unknown = set(weights) - set(REWARD_PARTS)
    if unknown or not weights:
        raise ValueError(f"weights must be of parts among {', '.join(REWARD_PARTS)}, got {sorted(unknown) or 'none'}")
    for name, weight in weights.items():
        if not math.isfinite(weight):
            raise ValueError(f"the weight of {name!r} must be finite, got {weight}")


def _check_critics(env: gym.Env[ObsType, ActType], weights: Mapping[str, float]) -> None:
    """Raises ValueError where the environment's reward asks none of these critics, so that prm or orm is always 0."""
    if isinstance(env.unwrapped, BaseReasoningEnv):
        function = env.unwrapped.reward_function
        if never := sorted({"prm", "orm"} & set(weights) - set(function.critics)):
            raise ValueError(
                f'parts {never} need an environment whose reward asks them, such as "potential", got {function}'
            )
