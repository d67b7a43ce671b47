"""A synchronous planner that uses `clone_state`, `restore_state` and `step`, and no language model.

python -m experiments.evaluate --planner docs.examples.flat_monte_carlo:FlatMonteCarlo
"""

import re

import agents
from alphallm_env import ScoreKind, Trajectory
from alphallm_env.runtime.metering import Meter, metering


class FlatMonteCarlo(agents.Planner):
    """Tries random calculations with the question's numbers until the budget is spent. The ORM decides."""

    def plan(self, env, budget, rng):
        """Returns the best of the episodes played. The environment is left where it was."""
        world, finished = env.unwrapped, []
        start = world.clone_state()
        with metering(Meter()) as meter:
            while not finished or (budget.allows(meter.usage) and len(finished) < 200):  # cached scores are free
                world.restore_state(start)
                *_, info = world.step(self.guess(start.question, rng))
                finished.append(Trajectory(world.clone_state(), info["reward_orm"], score_kind=ScoreKind.ORM))
                meter.simulated(1)
        world.restore_state(start)
        best = max(finished, key=lambda trajectory: trajectory.score)
        return agents.PlanResult(start, best, tuple(finished), meter.usage)

    def guess(self, question, rng):
        """Returns some lines of arithmetic and an answer, all as one option."""
        numbers, lines = [int(number) for number in re.findall(r"\d+", question)] or [0], []
        while len(numbers) > 1 and (not lines or rng.random() < 0.8):
            a, b = sorted((numbers.pop(rng.integers(len(numbers))) for _ in range(2)), reverse=True)
            sign, result = [("+", a + b), ("-", a - b), ("*", a * b), ("/", a // max(b, 1))][rng.integers(4)]
            lines.append(f"{a} {sign} {b} = {result}\n")
            numbers.append(result)
        return "".join(lines) + f"#### {numbers[-1]}\n"
