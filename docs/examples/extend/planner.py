"""A planner: beam search. At every step the states that the value function scores highest are extended.

python -m experiments.evaluate --planner docs.examples.extend.planner:BeamSearch eta_mcts --limit 20
"""

import agents
from alphallm_env import ScoreKind, Simulator, State, Trajectory
from alphallm_env.runtime.metering import Meter


class BeamSearch(agents.AsyncPlanner):
    """Keeps the best states, and extends each by several options until all have ended or the budget is spent."""

    name = "beam_search"
    width, num_options = 3, 4

    async def search(
        self, simulator: Simulator, state: State, budget: agents.Budget, seed: int, meter: Meter
    ) -> agents.PlanResult:
        """Returns the ended state that the ORM scores highest; the budget's last step is a greedy completion."""
        beam, ended = [state], list[State]()
        while beam and budget.allows(meter.usage):
            running = list[State]()
            for parent in beam:
                for option in await simulator.propose(parent, self.num_options, seed):
                    child = simulator.transition(parent, option).state
                    (running if child.ending is None else ended).append(child)
            values = await simulator.score("value", running) if running else []
            ranked = sorted(zip(values, running, strict=True), key=lambda pair: -pair[0])
            beam = [child for _, child in ranked[: self.width]]
            meter.simulated(1)
        if not ended:
            [option] = await simulator.propose(beam[0], 1, seed, temperature=0.0, to_the_end=True)
            ended.append(simulator.transition(beam[0], option).state)
        scores = await agents.OutcomeScorer(simulator).score(ended)
        finished = [Trajectory(s, score, score_kind=ScoreKind.ORM) for s, score in zip(ended, scores, strict=True)]
        return agents.PlanResult(state, max(finished, key=lambda t: t.score), tuple(finished), meter.usage)
