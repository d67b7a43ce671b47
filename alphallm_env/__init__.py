"""Planning with language models as a Gymnasium environment.

Importing this package registers the environments and loads no model library.
"""

import gymnasium as gym

from alphallm_env.dynamics import Rules
from alphallm_env.env import EnvSnapshot, MathReasoningEnv
from alphallm_env.errors import (
    AlphaLLMError,
    CriticError,
    ModelError,
    OverlapError,
    ProblemError,
    RunError,
    SandboxError,
    ServerError,
    StateError,
)
from alphallm_env.problems import load_problems
from alphallm_env.simulator import Critics, Policy, Simulator
from alphallm_env.types import Ending, Option, Problem, State, StopReason, Trajectory, Transition

__all__ = [
    "ENVIRONMENTS",
    "AlphaLLMError",
    "CriticError",
    "Critics",
    "Ending",
    "EnvSnapshot",
    "MathReasoningEnv",
    "ModelError",
    "Option",
    "OverlapError",
    "Policy",
    "Problem",
    "ProblemError",
    "Rules",
    "RunError",
    "SandboxError",
    "ServerError",
    "Simulator",
    "State",
    "StateError",
    "StopReason",
    "Trajectory",
    "Transition",
    "load_problems",
]

# Real benchmarks have no default source: the user names a file or agrees to a download with problems=….
ENVIRONMENTS: dict[str, dict[str, str | int]] = {
    "AlphaLLM/GSMSymbolic-v0": {"problems": "gsm_symbolic"},
    "AlphaLLM/GSM8K-v0": {"problems": ""},
    "AlphaLLM/MATH-v0": {
        "problems": "",
        "option_rule": "option",
        "max_tokens": 1024,
        "max_option_tokens": 256,
    },
}

for _id, _arguments in ENVIRONMENTS.items():
    if _id not in gym.registry:
        gym.register(_id, entry_point="alphallm_env.env:MathReasoningEnv", kwargs=dict(_arguments))
