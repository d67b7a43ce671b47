"""The observation of a Choice environment: numeric features of a state and of the options on offer in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from alphallm_env.envs.choice.masks import action_mask
from alphallm_env.envs.proposals import Proposals
from alphallm_env.mdp.dynamics import Rules

Features = dict[str, NDArray[np.float32] | NDArray[np.int8]]

LOG_PROB_UNIT = 10.0  # nats
LOWEST_LOG_PROB = -3.0  # in that unit: below it all options are as unlikely as each other


def feature_space(num_actions: int, embedding_size: int) -> spaces.Space[Features]:
    """Returns the `Dict` space of `features`: named and bounded vectors, which `FlattenObservation` can flatten."""
    found: dict[str, spaces.Space[NDArray[np.float32]] | spaces.Space[NDArray[np.int8]]] = {
        "action_mask": spaces.MultiBinary(num_actions),
        "log_prob": spaces.Box(LOWEST_LOG_PROB, 0.0, (num_actions,), np.float32),
        **{name: spaces.Box(0.0, 1.0, (num_actions,), np.float32) for name in ("length", "prm", "value", "ends")},
        **{name: spaces.Box(0.0, 1.0, (1,), np.float32) for name in ("depth", "budget_left")},
    }
    if embedding_size:
        found["embedding"] = spaces.Box(-1.0, 1.0, (embedding_size,), np.float32)
    return cast("spaces.Space[Features]", spaces.Dict(cast("dict[str, spaces.Space[NDArray[np.generic]]]", found)))


def features(
    proposals: Proposals, num_steps: int, num_tokens: int, rules: Rules, num_actions: int, embedding_size: int
) -> Features:
    """Returns the observation, in fresh arrays. What belongs to an action that is not on offer is 0.

    `num_steps` and `num_tokens` are what the episode has used up of `max_options` and `max_tokens`.
    """

    def by_action(values: Sequence[float]) -> NDArray[np.float32]:
        padded = np.zeros(num_actions, dtype=np.float32)
        padded[: len(values)] = values
        return padded

    options = proposals.options
    log_probs = [(option.log_prob or 0.0) / LOG_PROB_UNIT for option in options]
    found: Features = {
        "action_mask": action_mask(len(options), num_actions),
        "log_prob": by_action([min(0.0, max(LOWEST_LOG_PROB, log_prob)) for log_prob in log_probs]),
        "length": by_action([min(1.0, option.num_tokens / rules.max_option_tokens) for option in options]),
        "prm": by_action(proposals.prm),
        "value": by_action(proposals.value),
        "ends": by_action(proposals.ends),
        "depth": _share(num_steps / rules.max_options),
        "budget_left": _share(1.0 - num_tokens / rules.max_tokens),
    }
    if embedding_size:
        found["embedding"] = proposals.embedding.copy()
    return found


def _share(value: float) -> NDArray[np.float32]:
    return np.array([min(1.0, max(0.0, value))], dtype=np.float32)
