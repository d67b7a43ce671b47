"""Vector environments whose model queries are batched."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, repeat
from typing import Any, cast

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.vector.utils import iterate
from numpy.typing import NDArray

from alphallm_env.envs.base import BaseReasoningEnv, ModelQuery
from alphallm_env.envs.choice.env import OptionChoiceEnv
from alphallm_env.envs.text import MathReasoningEnv


class BatchedVectorEnv(SyncVectorEnv[Any, Any]):
    """A `SyncVectorEnv` whose environments share their models, and query them in common batches.

    Before the environments step or reset, one by one as Gymnasium defines it for each autoreset mode, the model
    queries of all are prefetched together. So an episode is the same as in a single environment, only faster. If a
    model fails, or an action is refused, no environment changes its state.

    `env` is the first environment; the others are copies of it. `max_episode_steps` puts each under a `TimeLimit`.
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        num_envs: int,
        *,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        max_episode_steps: int | None = None,
    ) -> None:
        if num_envs < 1:
            raise ValueError(f"num_envs must be >= 1, got {num_envs}")
        sources = iter([env, *(copy.deepcopy(env) for _ in range(num_envs - 1))])

        def make() -> gym.Env[Any, Any]:
            made = next(sources)
            return made if max_episode_steps is None else gym.wrappers.TimeLimit(made, max_episode_steps)

        super().__init__(list(repeat(make, num_envs)), autoreset_mode=autoreset_mode)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Resets every environment, or those of `options["reset_mask"]`, with one batch of model queries."""
        if isinstance(seed, int):
            seeds: Sequence[int | None] = range(seed, seed + self.num_envs)
        else:
            seeds = list(repeat(None, self.num_envs)) if seed is None else seed
        others = dict(options or {})
        chosen = others.pop("reset_mask", None)
        if len(seeds) == self.num_envs and (chosen is None or np.shape(chosen) == (self.num_envs,)):
            everyone = np.ones(self.num_envs, dtype=np.bool_)
            self._prefetch(
                env.queries_of_reset(single_seed, others)
                for env, single_seed, asked in zip(
                    self._inner, seeds, everyone if chosen is None else chosen, strict=True
                )
                if asked
            )  # for seeds and masks of another length, Gymnasium raises below
        return super().reset(seed=seed, options=options)

    def step(
        self, actions: Any
    ) -> tuple[Any, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Steps every environment, with one batch of model queries. Raises ValueError unless each has an action."""
        each = list(iterate(self.action_space, actions))
        if len(each) != self.num_envs:
            raise ValueError(f"expected {self.num_envs} actions, got {len(each)}")
        same_step = self.autoreset_mode is AutoresetMode.SAME_STEP
        resets = self._autoreset_envs if self.autoreset_mode is AutoresetMode.NEXT_STEP else repeat(False)
        self._prefetch(
            env.queries_of_reset() if reset else env.queries_of_step(action, then_reset=same_step)
            for env, action, reset in zip(self._inner, each, resets, strict=False)
        )
        return super().step(actions)

    @property
    def _inner(self) -> list[BaseReasoningEnv[Any, Any, Any]]:
        return [cast("BaseReasoningEnv[Any, Any, Any]", env.unwrapped) for env in self.envs]

    def _prefetch(self, queries: Iterable[Sequence[ModelQuery]]) -> None:
        """Computes the results of all queries in common batches, which fills the caches."""
        if every := list(chain.from_iterable(queries)):
            first = self._inner[0]
            first.simulator.engine.run(first.prefetch(every))

    def action_masks(self) -> NDArray[np.bool_]:
        """Returns bool [num_envs, num_actions] where the environments have masks, as MaskablePPO asks for them."""
        return np.stack(self.call("action_masks"))


def _made(
    create: Callable[..., gym.Env[Any, Any]],
    num_envs: int,
    autoreset_mode: str | AutoresetMode,
    max_episode_steps: int | None,
    arguments: dict[str, Any],
) -> BatchedVectorEnv:
    return BatchedVectorEnv(
        create(**arguments), num_envs, autoreset_mode=autoreset_mode, max_episode_steps=max_episode_steps
    )


def text_vector(
    num_envs: int = 1,
    *,
    autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
    max_episode_steps: int | None = None,
    **arguments: Any,
) -> BatchedVectorEnv:
    """Returns `num_envs` of `MathReasoningEnv(**arguments)` side by side: what `gymnasium.make_vec` calls."""
    return _made(MathReasoningEnv, num_envs, autoreset_mode, max_episode_steps, arguments)


def choice_vector(
    num_envs: int = 1,
    *,
    autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
    max_episode_steps: int | None = None,
    **arguments: Any,
) -> BatchedVectorEnv:
    """Returns `num_envs` of `OptionChoiceEnv(**arguments)` side by side: what `gymnasium.make_vec` calls."""
    return _made(OptionChoiceEnv, num_envs, autoreset_mode, max_episode_steps, arguments)
