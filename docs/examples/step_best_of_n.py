"""An asynchronous planner: at every step the best of n options. Searches side by side share the models' batches.

python -m experiments.evaluate --planner docs.examples.step_best_of_n:StepBestOfN
"""

import agents
from alphallm_env import ScoreKind, Simulator, State, Trajectory
from alphallm_env.runtime.metering import Meter
from alphallm_env.runtime.seeds import derive_seed


class StepBestOfN(agents.AsyncPlanner):
    """Takes the option that the PRM scores highest until the episode ends. The ORM picks among several episodes."""

    num_options = 4

    async def search(
        self, simulator: Simulator, state: State, budget: agents.Budget, seed: int, meter: Meter
    ) -> agents.PlanResult:
        """Returns the best of the episodes that the budget allows; there is always one."""
        scorer, finished = agents.OutcomeScorer(simulator), list[Trajectory]()
        while not finished or (budget.allows(meter.usage) and budget.affordable(meter.usage, len(finished)) >= 1):
            ended = await self.write(simulator, state, derive_seed(seed, len(finished)))
            [score] = await scorer.score([ended])
            finished.append(Trajectory(ended, score, score_kind=ScoreKind.ORM))
            meter.simulated(1)
        best = max(finished, key=lambda trajectory: trajectory.score)
        return agents.PlanResult(state, best, tuple(finished), meter.usage)

    async def write(self, simulator: Simulator, state: State, seed: int) -> State:
        """Returns the ended state that is reached from `state` by the best of n options at every step."""
        while state.ending is None:
            options = await simulator.propose(state, self.num_options, seed)
            children = [simulator.transition(state, option).state for option in options]
            scores = await simulator.score("prm", children)
            state = max(zip(scores, children, strict=True), key=lambda pair: pair[0])[1]
        return state
