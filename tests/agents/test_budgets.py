"""What a search may spend: of tokens, computed tokens, FLOPs, seconds and simulations."""

from __future__ import annotations

import math

import pytest
from scripted_world import START, make_simulator, search

from agents import eta_mcts
from agents.base import Budget
from agents.best_of_n import BestOfN
from agents.registry import PLANNERS, make_planner
from alphallm_env.runtime.metering import Usage
from alphallm_env.testing.scripted import ScriptedLM

COSTS = {"tokens": "tokens", "computed": "computed_tokens", "flops": "flops"}
BATCH = {"tokens": 100, "computed": 200, "flops": 400}  # some solutions of 13 tokens, each behind a question of 7
BY_BUDGET = [name for name in PLANNERS if name != "greedy"]  # which writes one solution whatever it may spend


@pytest.mark.parametrize("axis", COSTS)
@pytest.mark.parametrize("name", BY_BUDGET)
def test_every_planner_spends_its_budget_and_overruns_it_by_a_batch_at_most(name: str, axis: str):
    limit = {"tokens": 150, "computed": 150, "flops": 300}[axis]
    result = search(make_planner(name), make_simulator(), Budget(**{axis: limit}), seed=3)
    spent = getattr(result.usage, COSTS[axis])
    assert spent <= limit + BATCH[axis]
    is_spent = spent >= limit / 2
    ends_early = name in ("self_consistency", "without_replacement")  # sure, or without anything new
    assert is_spent or ends_early or result.root is not None  # or with a small tree


def test_the_first_limit_that_is_reached_ends_a_search():
    usage = Usage(policy_tokens=10, computed_tokens=20, flops=40, seconds=2.0, simulations=3)
    assert Budget(tokens=11, computed=21, flops=41, seconds=2.1, simulations=4).allows(usage)
    for spent in ({"tokens": 10}, {"computed": 20}, {"flops": 40}, {"seconds": 2.0}, {"simulations": 3}):
        assert not Budget(**spent).allows(usage), spent


def test_what_is_affordable_goes_by_the_cost_so_far():
    usage = Usage(policy_tokens=10, computed_tokens=20, flops=40, seconds=2.0, simulations=3)
    assert Budget(tokens=30).affordable(usage, 4) == 8
    assert Budget(tokens=30, computed=25).affordable(usage, 4) == 1
    assert Budget(flops=30).affordable(usage, 4) == 0
    assert Budget(seconds=3.0).affordable(usage, 4) == 2
    assert Budget(simulations=9).affordable(usage, 4) == math.inf


@pytest.mark.parametrize("limit", ["tokens", "computed", "flops", "simulations", "seconds"])
def test_a_limit_of_nothing_is_refused(limit: str):
    with pytest.raises(ValueError, match=f"{limit} must be > ?=? ?[01] or None, got 0"):
        Budget(**{limit: 0})


def test_flops_of_a_model_of_unknown_size_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ScriptedLM, "size", None)
    assert search(BestOfN(), make_simulator(), Budget(computed=100)).usage.unsized_tokens >= 100
    with pytest.raises(ValueError, match=r"needs the size of every model, got \d+ tokens .* weights=NUMBER"):
        search(BestOfN(), make_simulator(), Budget(flops=100))


@pytest.mark.parametrize(
    "planner", [BestOfN(), BestOfN("orm", redraws=2), eta_mcts(c_min_root=8)], ids=lambda p: p.name
)
def test_a_search_ends_when_its_seconds_are_over(planner):
    result = search(planner, make_simulator(), Budget(seconds=1e-9))
    assert result.usage.simulations <= 1
    assert 0.0 < result.usage.seconds < 10.0


def test_steps_of_one_search_read_a_prefix_once():
    whole = search(BestOfN(num_samples=1), make_simulator(), Budget(), seed=1)
    stepwise = search(BestOfN(num_samples=1, redraws=0), make_simulator(), Budget(), seed=1)
    assert whole.usage.prompt_tokens < stepwise.usage.prompt_tokens  # once, and once a step
    assert stepwise.usage.computed_tokens - stepwise.usage.policy_tokens == whole.usage.prompt_tokens
    assert stepwise.usage.flops == 2 * stepwise.usage.computed_tokens


def test_a_search_from_bytes_goes_on_with_what_its_models_have_read():
    planner = eta_mcts(num_rollouts=1, c_min_root=8)
    spent = []
    for through_bytes in (False, True):
        simulator = make_simulator()
        with simulator.engine:
            found = planner.begin(simulator, START, budget=Budget(simulations=20))
            found.simulate(6)
            if through_bytes:
                found = planner.load(found.to_bytes(), simulator)
            spent.append((found.run().usage.computed_tokens, found.usage.flops))
    assert spent[0] == spent[1]
