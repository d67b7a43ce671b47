"""Planning with language models as a Gymnasium environment.

Importing this package registers the environments and loads no model library.
"""

from alphallm_env.critics.base import Critics
from alphallm_env.envs.base import EnvSnapshot
from alphallm_env.envs.choice.env import OptionChoiceEnv
from alphallm_env.envs.choice.state import ChoiceState
from alphallm_env.envs.proposals import Proposals
from alphallm_env.envs.snapshots import WrappedSnapshot, clone_wrapped, restore_wrapped
from alphallm_env.envs.text import MathReasoningEnv
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
from alphallm_env.lm.policy import Policy
from alphallm_env.mdp.dynamics import Rules, initial_state, transition
from alphallm_env.problems import load_problems
from alphallm_env.registration import ENVIRONMENTS, register
from alphallm_env.simulator import Simulator
from alphallm_env.types import Ending, Option, Problem, ScoreKind, State, StopReason, Trajectory, Transition

__all__ = [
    "ENVIRONMENTS",
    "AlphaLLMError",
    "ChoiceState",
    "CriticError",
    "Critics",
    "Ending",
    "EnvSnapshot",
    "MathReasoningEnv",
    "ModelError",
    "Option",
    "OptionChoiceEnv",
    "OverlapError",
    "Policy",
    "Problem",
    "ProblemError",
    "Proposals",
    "Rules",
    "RunError",
    "SandboxError",
    "ScoreKind",
    "ServerError",
    "Simulator",
    "State",
    "StateError",
    "StopReason",
    "Trajectory",
    "Transition",
    "WrappedSnapshot",
    "clone_wrapped",
    "initial_state",
    "load_problems",
    "restore_wrapped",
    "transition",
]

register()
