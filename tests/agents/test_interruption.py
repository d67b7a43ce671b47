"""A search that a failing server interrupts resumes, from memory or from bytes, and ends as if nothing had happened."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from scripted_world import START, make_simulator

from agents import eta_mcts
from agents.base import Budget, PlanResult
from agents.mcts import EtaMCTS
from agents.tree.node import render_tree
from agents.tree.search import SearchInterruptedError
from alphallm_env.errors import ServerError
from alphallm_env.lm.base import Completion, GenerationRequest
from alphallm_env.simulator import Simulator
from alphallm_env.types import State

BUDGET = Budget(simulations=20)
PLANNERS = {
    "one leaf": eta_mcts(num_rollouts=1),
    "leaves in flight": eta_mcts(num_rollouts=2, leaves_in_flight=3),
}


def count_calls(simulator: Simulator, fails_at: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lets the call with this number fail, of policy or critics. Returns the numbers of all calls, as they come."""
    calls: list[int] = []
    generate, score = type(simulator.policy.lm).generate, Simulator.score

    def count() -> None:
        calls.append(len(calls))
        if calls[-1] == fails_at:
            raise ServerError("http://127.0.0.1:1 is gone: the request with seed 3")

    def generating(self: object, requests: Sequence[GenerationRequest]) -> list[Completion]:
        count()
        return generate(self, requests)  # type: ignore[arg-type]

    async def scoring(self: Simulator, critic: str, states: Sequence[State]) -> list[float]:
        count()
        return await score(self, critic, states)

    monkeypatch.setattr(type(simulator.policy.lm), "generate", generating)
    monkeypatch.setattr(Simulator, "score", scoring)
    return calls


def searched(planner: EtaMCTS, simulator: Simulator, through_bytes: bool = False) -> tuple[PlanResult, int]:
    """Returns the result and how often the search was interrupted."""
    with simulator.engine as engine:
        try:
            return engine.run(planner.metered_search(simulator, START, BUDGET, 0)), 0
        except SearchInterruptedError as error:
            search = error.search
        if through_bytes:
            search = planner.load(search.to_bytes(), simulator)
        return search.run(), 1


def test_the_error_names_server_and_request():
    with pytest.MonkeyPatch.context() as patch:
        simulator = make_simulator()
        count_calls(simulator, 2, patch)
        with (
            simulator.engine as engine,
            pytest.raises(SearchInterruptedError, match=r"1:1 is gone: .* seed 3") as raised,
        ):
            engine.run(PLANNERS["one leaf"].metered_search(simulator, START, BUDGET, 0))
    assert raised.value.search.root.children


@pytest.mark.parametrize("through_bytes", [False, True])
@pytest.mark.parametrize("name", PLANNERS)
def test_an_interrupted_search_resumes(name: str, through_bytes: bool):
    planner = PLANNERS[name]
    with pytest.MonkeyPatch.context() as patch:
        simulator = make_simulator()
        num_calls = len_after(count_calls(simulator, -1, patch), lambda: searched(planner, simulator))
        undisturbed, _ = searched(planner, simulator)
    assert num_calls > 5
    for number in range(num_calls):
        with pytest.MonkeyPatch.context() as patch:
            simulator = make_simulator()
            count_calls(simulator, number, patch)
            result, num_interruptions = searched(planner, simulator, through_bytes)
        assert num_interruptions == 1
        assert result.root is not None
        assert undisturbed.root is not None
        assert render_tree(result.root) == render_tree(undisturbed.root)
        assert result.best == undisturbed.best
        assert result.finished == undisturbed.finished
        assert result.usage.simulations == undisturbed.usage.simulations


def len_after(calls: list[int], work: object) -> int:
    """Returns how many calls there were once the work is done."""
    work()  # type: ignore[operator]
    return len(calls)
