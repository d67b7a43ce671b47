"""The ledger adds up: what searches say they cost is what the models did."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agents import eta_mcts
from agents.base import Budget
from agents.best_of_n import BestOfN
from agents.running import run_episodes
from alphallm_env.critics.base import Critics
from alphallm_env.critics.loading import TINY_CRITICS
from alphallm_env.critics.prompted.generative import OutcomeRewardModel, ProcessRewardModel
from alphallm_env.critics.trained.notes import NoteTaker
from alphallm_env.critics.trained.value import CriticModel, LearnedValue
from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.lm.policy import Policy
from alphallm_env.lm.prompts import TinyTemplate
from alphallm_env.lm.shipped import TINY_POLICY
from alphallm_env.mdp.dynamics import Rules
from alphallm_env.mdp.options import SentenceRule
from alphallm_env.problems import gsm_symbolic
from alphallm_env.runtime.engine import Engine
from alphallm_env.runtime.metering import Usage
from alphallm_env.simulator import Simulator

PROBLEMS = gsm_symbolic.problems("test", 6)
TEMPLATE = TinyTemplate()


@pytest.fixture(scope="module")
def policy() -> TransformersLM:
    return TransformersLM.load(TINY_POLICY, device="cpu")


@pytest.fixture(scope="module")
def judge() -> CriticModel:
    return CriticModel.load_with_head(TINY_CRITICS, device="cpu")


@pytest.mark.parametrize("concurrency", [1, 6])
@pytest.mark.parametrize("planner", [eta_mcts(leaves_in_flight=2), BestOfN("orm")], ids=["eta_mcts", "best_of_n"])
def test_the_ledgers_of_all_searches_add_up_to_the_models_work(
    policy: TransformersLM, judge: CriticModel, planner: object, concurrency: int
):
    with Engine() as engine:
        notes = NoteTaker(policy, TEMPLATE, engine)
        critics = Critics(
            LearnedValue(judge, TEMPLATE, engine, notes),
            ProcessRewardModel(judge, TEMPLATE, engine, notes),
            OutcomeRewardModel(judge, TEMPLATE, engine, notes),
        )
        simulator = Simulator(Policy(policy, TEMPLATE), critics, Rules(SentenceRule(), max_tokens=80), engine=engine)
        simulator.clear_cache()
        models = (policy, judge)
        before = [replace(model.prefixes.statistics) for model in models]
        episodes = run_episodes(planner, simulator, PROBLEMS, Budget(tokens=900), 0, concurrency=concurrency)  # type: ignore[arg-type]
        total = sum((result.usage for _, result in episodes), Usage())
        model_seconds = engine.statistics.model_seconds
    computed = [m.prefixes.statistics.computed_tokens - b.computed_tokens for m, b in zip(models, before, strict=True)]
    assert total.policy.generated == total.policy_tokens > 0
    assert total.rollout.generated == total.rollout_tokens
    written = total.policy.prefilled + total.rollout.prefilled
    assert written + total.critic.prefilled == sum(computed)  # the policy reads too: it takes the critics' notes
    assert total.critic.prefilled > computed[1] > 0
    assert total.prompt_tokens == written + total.policy.saved + total.rollout.saved
    assert total.policy.saved + total.rollout.saved > 0
    assert total.critic.generated + total.critic.prefilled + total.critic.saved == total.critic_tokens
    roles = (total.policy, total.rollout, total.critic)
    assert sum(work.model_seconds for work in roles) == pytest.approx(model_seconds)
    assert all(work.waiting_seconds >= work.model_seconds / 2 for work in roles)
    assert total.rejected_tokens <= total.policy_tokens
