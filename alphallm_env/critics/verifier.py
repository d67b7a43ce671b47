"""The verifier as a critic: a problem's own, or an oracle with the gold answers.

With gold answers it is for upper bounds, not for comparisons of planners. A verifier that judges by the question alone,
as Countdown's, knows nothing that a planner may not know.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from alphallm_env.critics.provenance import Provenance
from alphallm_env.errors import CriticError
from alphallm_env.grading import Verdict
from alphallm_env.mdp.rewards import CORRECT, verdict_of
from alphallm_env.types import Problem, State


class Verifier:
    """Scores a finished solution 1 if it solves the problem, else 0."""

    name = "verifier"
    is_reproducible = True

    def __init__(self, problems: Iterable[Problem]) -> None:
        """`problems` hold those of all states to score; those that cannot be judged are ignored."""
        self._problems = {problem.id: problem for problem in problems if problem.is_gradable}

    @property
    def provenance(self) -> Provenance:
        """The grader."""
        return Provenance(self.name, model="grader")

    async def evaluate(self, states: Sequence[State]) -> list[float]:
        """Returns 1.0 or 0.0 for each ended state.

        Raises CriticError for a running state, a problem without a gold answer, and an answer that cannot be graded.
        """
        return await asyncio.to_thread(lambda: list(map(self._score, states)))  # grading blocks on its workers

    def _score(self, state: State) -> float:
        if state.ending is None:
            raise CriticError(
                "a verifier judges finished solutions; expected a state that has ended, got a running one"
            )
        if state.problem_id not in self._problems:
            raise CriticError(f"expected a problem with a gold answer, got {state.problem_id!r} without")
        verdict = verdict_of(state.text, self._problems[state.problem_id])
        if verdict == Verdict.UNGRADABLE.value:
            raise CriticError(
                f"the answer of {state.problem_id!r} could not be graded, which is not to say it is wrong"
            )
        return float(verdict == CORRECT)
