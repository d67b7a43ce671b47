"""Gymnasium wrappers for the environments of this package: rewards, a token budget, episodes in TensorBoard.

Each works alone or with others, on one environment, whatever agent acts in it. Importing them loads no torch.
"""

from alphallm_env.envs.wrappers.base import EpisodeState, EpisodeWrapper
from alphallm_env.envs.wrappers.compose_reward import REWARD_PARTS, ComposeReward
from alphallm_env.envs.wrappers.tensorboard import TensorBoardEpisodes
from alphallm_env.envs.wrappers.token_budget import TokenBudget

__all__ = [
    "REWARD_PARTS",
    "ComposeReward",
    "EpisodeState",
    "EpisodeWrapper",
    "TensorBoardEpisodes",
    "TokenBudget",
]
