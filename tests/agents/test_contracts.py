"""Every planner by name, and the examples of the documentation, keep the planners' contract."""

import numpy as np
import pytest
from scripted_world import PROBLEM, asked, make_simulator, search

from agents.base import Budget, Planner
from agents.registry import PLANNERS, make_planner
from alphallm_env import MathReasoningEnv
from alphallm_env.testing import check_planner
from docs.examples.flat_monte_carlo import FlatMonteCarlo
from docs.examples.step_best_of_n import StepBestOfN

EXAMPLES = {
    "docs.examples.flat_monte_carlo:FlatMonteCarlo": FlatMonteCarlo,
    "docs.examples.step_best_of_n:StepBestOfN": StepBestOfN,
}


def make_env() -> MathReasoningEnv:
    return MathReasoningEnv.from_parts(make_simulator(), [PROBLEM])


@pytest.mark.parametrize("name", [*PLANNERS, *EXAMPLES])
def test_the_contract(name: str):
    # A solution is 13 tokens here: a budget of 100 is overrun by a step of some solutions and their scores at most.
    check_planner(make_planner(name), make_env, Budget(tokens=100), overrun=100)


@pytest.mark.parametrize(("name", "kind"), EXAMPLES.items())
def test_examples_go_by_their_names(name: str, kind: type[Planner]):
    assert isinstance(make_planner(name), kind)


def test_flat_monte_carlo_finds_what_the_orm_likes_without_a_language_model():
    env = make_env()
    env.reset(seed=0)
    plan = FlatMonteCarlo().plan(env, Budget(tokens=400), np.random.default_rng(0))
    assert (plan.answer, plan.best.score) == ("7", 0.9)
    assert plan.usage.policy_tokens == 0
    assert plan.usage.simulations == len(plan.finished) == 200  # the budget was not spent, as known states are free
    different = {trajectory.state.text for trajectory in plan.finished}
    assert plan.usage.critic_tokens == len(different) < 200  # one token a score


def test_step_best_of_n_takes_the_option_that_the_prm_likes_best():
    simulator = make_simulator(prm=lambda text: 0.9 if text.endswith("2 + 3 = 5\n") else 0.2)
    plan = search(StepBestOfN(), simulator, Budget(tokens=1), seed=1)  # seed 0 proposes 2 * 3 four times
    assert plan.best.state.text.startswith("2 + 3 = 5\n")
    assert (len(plan.finished), len(asked(simulator, "prm"))) == (1, 12)  # four options at three steps
    assert plan.best.score == 0.1
