"""Contracts that any environment, planner, language model, critic or fine-tuner can be run through.

Each function raises AssertionError, saying which law is broken, what was expected and what was found. They know
only the protocols, so they serve parts written elsewhere as well as ours:

    from alphallm_env.testing import check_planner

    def test_lucky_keeps_the_contract():
        check_planner(Lucky(), make_env, agents.Budget(tokens=500))
"""

from alphallm_env.testing.critics import check_critic
from alphallm_env.testing.environments import check_environment
from alphallm_env.testing.fine_tuners import check_fine_tuner
from alphallm_env.testing.language_models import check_language_model
from alphallm_env.testing.planners import check_planner

__all__ = ["check_critic", "check_environment", "check_fine_tuner", "check_language_model", "check_planner"]
