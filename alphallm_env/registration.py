"""The environments' ids, in one table."""

from __future__ import annotations

from dataclasses import dataclass, field

import gymnasium as gym

Argument = str | int


@dataclass(frozen=True)
class Registered:
    """What `gym.make` and `gym.make_vec` call for an id, and the keywords that differ from the defaults."""

    entry_point: str
    vector_entry_point: str
    arguments: dict[str, Argument] = field(default_factory=dict[str, Argument])


def _text(**arguments: Argument) -> Registered:
    return Registered("alphallm_env.envs.text:MathReasoningEnv", "alphallm_env.envs.vector:text_vector", arguments)


def _choice(**arguments: Argument) -> Registered:
    return Registered(
        "alphallm_env.envs.choice.env:OptionChoiceEnv", "alphallm_env.envs.vector:choice_vector", arguments
    )


# Real benchmarks have no default source: the user names a file or agrees to a download with problems=….
_GSM8K: dict[str, Argument] = {"problems": ""}
_MATH: dict[str, Argument] = {
    "problems": "",
    "option_rule": "option",
    "max_tokens": 1024,
    "max_option_tokens": 256,
}

ENVIRONMENTS: dict[str, Registered] = {
    "AlphaLLM/GSMSymbolic-v0": _text(problems="gsm_symbolic"),
    "AlphaLLM/GSM8K-v0": _text(**_GSM8K),
    "AlphaLLM/MATH-v0": _text(**_MATH),
    "AlphaLLM/GSMSymbolicChoice-v0": _choice(problems="gsm_symbolic"),
    "AlphaLLM/GSM8KChoice-v0": _choice(**_GSM8K),
    "AlphaLLM/MATHChoice-v0": _choice(**_MATH),
}


def register() -> None:
    """Registers the ids with Gymnasium, except those that are registered already."""
    for name, entry in ENVIRONMENTS.items():
        if name not in gym.registry:
            gym.register(
                name,
                entry_point=entry.entry_point,
                vector_entry_point=entry.vector_entry_point,
                kwargs=dict(entry.arguments),
            )
