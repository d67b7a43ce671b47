"""Contracts that parts of your own can be run through, and stand-ins to test them with.

Each `check_…` raises AssertionError that says which law is broken, what was expected and what was found. The
contracts use only the protocols, so they serve parts written elsewhere as well as ours:

    from alphallm_env.testing import check_planner

    def test_lucky_keeps_the_contract():
        check_planner(Lucky(), make_env, agents.Budget(tokens=500))

`ScriptedLM` is a language model that follows a script; `FaultServer` is an HTTP server that fails on demand.
"""

from alphallm_env.testing.critics import check_critic
from alphallm_env.testing.environments import check_environment
from alphallm_env.testing.faulty_server import FaultServer
from alphallm_env.testing.fine_tuners import check_fine_tuner
from alphallm_env.testing.forward_pass import check_forward_pass
from alphallm_env.testing.language_models import check_language_model
from alphallm_env.testing.planners import check_planner
from alphallm_env.testing.problem_sets import check_problem_set
from alphallm_env.testing.rewards import check_reward
from alphallm_env.testing.rules import check_merge_rule, check_selection_rule, check_termination_rule
from alphallm_env.testing.scripted import ScriptedLM

__all__ = [
    "FaultServer",
    "ScriptedLM",
    "check_critic",
    "check_environment",
    "check_fine_tuner",
    "check_forward_pass",
    "check_language_model",
    "check_merge_rule",
    "check_planner",
    "check_problem_set",
    "check_reward",
    "check_selection_rule",
    "check_termination_rule",
]
