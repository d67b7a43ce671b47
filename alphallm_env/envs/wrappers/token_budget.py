"""TokenBudget: truncates an episode once its tokens are used up, as TimeLimit does for steps."""

from __future__ import annotations

from typing import TypeVar

import gymnasium as gym
from gymnasium.utils import RecordConstructorArgs

from alphallm_env.envs.base import BaseReasoningEnv
from alphallm_env.envs.spaces import UnicodeText
from alphallm_env.envs.wrappers.base import EpisodeWrapper, Info
from alphallm_env.runtime.metering import Meter, Usage, metering
from alphallm_env.types import Ending

ObsType = TypeVar("ObsType")
ActType = TypeVar("ActType")


class TokenBudget(EpisodeWrapper[ObsType, ActType, int]):
    """Truncates an episode once `max_tokens` tokens are used, after the step that uses them up.

    A token counts if it was written into the solution by an agent that acts with text, or by a model of the
    environment within `reset` or `step`: options that a policy proposed there, taken or not, and, with
    `count_critics`, what critics read and wrote. What a planner asks of models outside of them
    counts against its own `Budget`.

    `info` gains `tokens_used` and `tokens_left` (never below 0). An episode cut here ends with
    `ending="out_of_tokens"` and the verdict on the answer that its text states, if any. An episode that terminates
    is not truncated.

    Snapshots: `episode_state`, whose record is the number of tokens used.

    >>> import alphallm_env
    >>> env = TokenBudget(gym.make("AlphaLLM/GSMSymbolic-v1", reward="verifier", limit=1), max_tokens=4)
    >>> env.reset(seed=0)[1]["tokens_left"]
    4
    >>> *_, truncated, info = env.step("2 + 3 = 5\\n")
    >>> truncated, info["tokens_left"], info["ending"]
    (True, 0, 'out_of_tokens')
    """

    def __init__(self, env: gym.Env[ObsType, ActType], max_tokens: int, *, count_critics: bool = True) -> None:
        if max_tokens < 1:
            raise ValueError(f"max_tokens must be >= 1, got {max_tokens}")
        RecordConstructorArgs.__init__(self, max_tokens=max_tokens, count_critics=count_critics)
        super().__init__(env)
        if not isinstance(env.unwrapped, BaseReasoningEnv):
            raise TypeError(f"expected an environment of reasoning problems, got {type(env.unwrapped).__name__}")
        self._reasoning = env.unwrapped
        self.max_tokens = max_tokens
        self.count_critics = count_critics
        self._agent_writes = isinstance(env.unwrapped.action_space, UnicodeText)

    def reset(self, *, seed: int | None = None, options: dict[str, object] | None = None) -> tuple[ObsType, Info]:
        """Starts an episode with the whole budget, less what its first proposals cost."""
        with metering(Meter()) as meter:
            observation, info = self.env.reset(seed=seed, options=options)
        used = self._cost(meter.usage, 0)
        self._keep(used)
        return observation, self._with_tokens(info, used)

    def step(self, action: ActType) -> tuple[ObsType, float, bool, bool, Info]:
        """Takes a step, and truncates the episode if no token is left after it."""
        used, tokens_before = self._record(), self._state().num_tokens
        with metering(Meter()) as meter:
            observation, reward, terminated, truncated, info = self.env.step(action)
        used += self._cost(meter.usage, self._state().num_tokens - tokens_before)
        self._keep(used)
        info = self._with_tokens(info, used)
        if used >= self.max_tokens and not (terminated or truncated):
            truncated = True
            info |= self._reasoning.outcome(self._state(), Ending.OUT_OF_TOKENS)
        return observation, float(reward), terminated, truncated, info

    def _cost(self, usage: Usage, num_written: int) -> int:
        generated = usage.policy_tokens + usage.rollout_tokens + (num_written if self._agent_writes else 0)
        return generated + (usage.critic_tokens if self.count_critics else 0)

    def _with_tokens(self, info: dict[str, object], used: int) -> Info:
        return {**info, "tokens_used": used, "tokens_left": max(0, self.max_tokens - used)}
