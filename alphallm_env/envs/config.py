"""The keywords of the environments, in one place: what `gym.make` takes, a spec records and `help` shows."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, fields
from functools import wraps
from typing import Concatenate, ParamSpec, Self, TypeVar

from alphallm_env.errors import ProblemError
from alphallm_env.mdp.dynamics import Rules
from alphallm_env.mdp.options import TERMINATION_RULES
from alphallm_env.mdp.rewards import REWARDS, RewardFunction, as_reward
from alphallm_env.problems import load_problems
from alphallm_env.types import Problem

RENDER_MODES = ("ansi", "human", "rgb_array")

Keywords = ParamSpec("Keywords")
Config = TypeVar("Config")
Env = TypeVar("Env")
Value = str | int | float | bool | Sequence[str] | RewardFunction | None

_NAMES_OF_PARTS = ("problems", "policy", "critics", "backend", "option_rule")


@dataclass(frozen=True)
class EnvConfig:
    """The settings of an environment, as names and numbers: JSON, unless `reward` is a function itself.

    The docstring of `MathReasoningEnv` explains each.
    """

    problems: str = "gsm_symbolic"
    split: str = "test"
    limit: int | None = None
    _: KW_ONLY
    policy: str = "tiny"
    critics: str = "tiny"
    rollout_policy: str = ""
    backend: str = "transformers"
    backend_settings: Sequence[str] = ()
    device: str = "auto"
    dtype: str = "auto"
    option_rule: str = "sentence"
    max_options: int = 32
    max_tokens: int = 512
    max_option_tokens: int = 128
    gamma: float = 1.0
    discount_per_token: bool = False
    reward: str | RewardFunction = "potential"
    render_mode: str | None = "ansi"

    def __post_init__(self) -> None:
        for name in _NAMES_OF_PARTS:
            if not isinstance(value := getattr(self, name), str):
                raise TypeError(f"{name} must be a name, as a str, got {value!r}: from_parts takes parts themselves")
        if isinstance(self.backend_settings, str):
            raise TypeError(f"backend_settings must be a sequence of NAME=VALUE, got {self.backend_settings!r}")
        object.__setattr__(self, "backend_settings", tuple(self.backend_settings))  # a list where it was JSON
        if self.render_mode not in (None, *RENDER_MODES):
            raise ValueError(f"render_mode must be one of {(None, *RENDER_MODES)}, got {self.render_mode!r}")

    @classmethod
    def for_parts(cls, keywords: Mapping[str, Value]) -> Self:
        """Returns the config of an environment over given models and problems.

        Raises TypeError for a keyword that is unknown, or that names one of the given parts.
        """
        own = [name for name in _names_of(cls) if name not in _KEYWORDS_OF_PARTS]
        _refuse_others(keywords, own)
        return _called(cls, keywords)

    def load_problems(self) -> Sequence[Problem]:
        """Returns the problems. Raises ProblemError where `problems` is empty."""
        if not self.problems:
            raise ProblemError(
                'this environment needs problems=…: the path of a .jsonl file, or "gsm8k", "math" or another '
                "data set of the Hugging Face hub, which downloads"
            )
        return load_problems(self.problems, self.split, self.limit)

    def rules(self) -> Rules:
        """Returns the rules of an episode. Raises ValueError for an unknown termination rule, or a wrong number."""
        return Rules(
            option_rule=TERMINATION_RULES.resolve(self.option_rule),
            max_options=self.max_options,
            max_tokens=self.max_tokens,
            max_option_tokens=self.max_option_tokens,
            gamma=self.gamma,
            discount_per_token=self.discount_per_token,
        )

    def reward_function(self) -> RewardFunction:
        """Returns the reward function. Raises ValueError for an unknown name, TypeError for what is no reward."""
        if isinstance(self.reward, str):
            return REWARDS.resolve(self.reward)
        try:
            return as_reward(self.reward)
        except TypeError as error:
            raise TypeError(f"reward must be one of {REWARDS.choices}, or a RewardFunction: {error}") from error


# The keywords for models, problems and rules: an environment over given ones takes none of them.
_KEYWORDS_OF_PARTS = frozenset(field.name for field in fields(EnvConfig)) - {"reward", "render_mode"}


def keywords_of(config: Callable[Keywords, Config]) -> Callable[
    [Callable[[Env, Config], None]], Callable[Concatenate[Env, Keywords], None]
]:  # fmt: skip
    """Returns a decorator for a method that takes a `config`: its callers pass the config's keywords instead.

    Types, defaults and `help` come from the config; an unknown keyword raises TypeError, which lists the right ones.
    """

    def decorate(method: Callable[[Env, Config], None]) -> Callable[Concatenate[Env, Keywords], None]:
        @wraps(method)
        def from_keywords(self: Env, *args: Keywords.args, **kwargs: Keywords.kwargs) -> None:
            _refuse_others(kwargs, list(inspect.signature(config).parameters))
            method(self, config(*args, **kwargs))

        shown = inspect.signature(config)
        instance = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        signature = shown.replace(parameters=[instance, *shown.parameters.values()], return_annotation=None)
        vars(from_keywords)["__signature__"] = signature
        return from_keywords

    return decorate


def _names_of(config: type[EnvConfig]) -> list[str]:
    return [field.name for field in fields(config)]


def _refuse_others(keywords: Mapping[str, object], known: Sequence[str]) -> None:
    if unknown := [name for name in keywords if name not in known]:
        raise TypeError(f"keywords must be among {', '.join(known)}, got {', '.join(unknown)}")


def _called(config: Callable[..., Config], keywords: Mapping[str, Value]) -> Config:
    return config(**keywords)
