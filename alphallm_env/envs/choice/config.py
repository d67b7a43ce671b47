"""The keywords of a Choice environment: those of every environment, and its own."""

from __future__ import annotations

from dataclasses import dataclass

from alphallm_env.envs.choice.masks import InvalidAction, checked_invalid_action
from alphallm_env.envs.config import EnvConfig


@dataclass(frozen=True, kw_only=True)
class ChoiceConfig(EnvConfig):
    """The settings of a Choice environment. The docstring of `OptionChoiceEnv` explains each."""

    num_options: int = 4
    invalid_action: InvalidAction = "penalty"
    invalid_penalty: float = 0.1
    embedding: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_options < 1:
            raise ValueError(f"num_options must be >= 1, got {self.num_options}")
        if not self.invalid_penalty >= 0.0:
            raise ValueError(f"invalid_penalty must be >= 0, got {self.invalid_penalty}")
        checked_invalid_action(self.invalid_action)
