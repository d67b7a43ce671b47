"""The environments' ids, in one table."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

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

_LATEST: dict[str, Registered] = {
    "AlphaLLM/GSMSymbolic": _text(problems="gsm_symbolic"),
    "AlphaLLM/GSM8K": _text(**_GSM8K),
    "AlphaLLM/MATH": _text(**_MATH),
    "AlphaLLM/GSMSymbolicChoice": _choice(problems="gsm_symbolic"),
    "AlphaLLM/GSM8KChoice": _choice(**_GSM8K),
    "AlphaLLM/MATHChoice": _choice(**_MATH),
}
# No gold answer is needed: the PRM is learned, and the ORM replays the lines as its tool, which decides.
_COUNTDOWN: dict[str, Argument] = {
    "problems": "countdown",
    "policy": "tiny_countdown",
    "critics": "verifier,prm=learned",
    "max_tokens": 128,
    "max_option_tokens": 32,
}

# Version 1: the reward telescopes. Version 0 pays the sum of PRM scores, which grows with the length of a solution.
ENVIRONMENTS: dict[str, Registered] = {
    **{f"{name}-v1": entry for name, entry in _LATEST.items()},
    **{
        f"{name}-v0": replace(entry, arguments={**entry.arguments, "reward": "critics"})
        for name, entry in _LATEST.items()
    },
    "AlphaLLM/Countdown-v0": _text(**_COUNTDOWN),
    "AlphaLLM/CountdownChoice-v0": _choice(**_COUNTDOWN),
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
