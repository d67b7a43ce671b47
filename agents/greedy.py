"""The policy alone: one greedy solution, no search."""

from __future__ import annotations

from agents.answers import answer_key
from agents.base import AsyncPlanner, Budget, PlanResult
from alphallm_env.runtime.metering import Meter
from alphallm_env.simulator import Simulator
from alphallm_env.types import ScoreKind, State, Trajectory


class Greedy(AsyncPlanner):
    """Writes the solution that the policy finds most likely, token by token."""

    name = "greedy"

    async def search(self, simulator: Simulator, state: State, budget: Budget, seed: int, meter: Meter) -> PlanResult:
        """Returns the greedy solution, whatever the budget. No critic judges it: an answer scores 1, none 0."""
        del budget  # one solution is the least that a planner can spend
        options = await simulator.propose(state, 1, seed, to_the_end=True, temperature=0.0)
        ended = simulator.next_state(state, options[0])
        has_answer = answer_key(ended.text) is not None
        best = Trajectory(ended, float(has_answer), score_kind=ScoreKind.HAS_ANSWER)
        meter.simulated(1)
        return PlanResult(state, best, (best,), meter.usage)
