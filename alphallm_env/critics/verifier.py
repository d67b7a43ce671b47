"""Verifiers as critics: a problem's own, which every planner may use, and an oracle with the gold answers.

A verifier that judges by the question alone, as Countdown's, knows nothing that a planner may not know. One with gold
answers is for upper bounds, not for comparisons of planners.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from alphallm_env.critics.base import Critics, last_option
from alphallm_env.critics.context import CriticContext
from alphallm_env.critics.provenance import Provenance
from alphallm_env.errors import CriticError
from alphallm_env.grading import Verdict
from alphallm_env.mdp.rewards import CORRECT, verdict_of
from alphallm_env.problems.verifiers import is_legal
from alphallm_env.types import Problem, State


class Verifier:
    """Scores a finished solution 1 if it solves the problem, else 0."""

    name = "verifier"
    is_reproducible = True

    def __init__(self, problems: Iterable[Problem] = ()) -> None:
        """`problems` hold those of the states to score that have a gold answer; a state's own verifier needs none."""
        self._problems = {problem.id: problem for problem in problems if problem.is_gradable}

    @property
    def provenance(self) -> Provenance:
        """The grader."""
        return Provenance(self.name, model="grader")

    async def evaluate(self, states: Sequence[State]) -> list[float]:
        """Returns 1.0 or 0.0 for each ended state.

        Raises CriticError for a running state, a problem without a gold answer, and an answer that cannot be graded.
        """
        if all(state.verifier for state in states):
            return list(map(self._score, states))
        return await asyncio.to_thread(lambda: list(map(self._score, states)))  # grading blocks on its workers

    def _score(self, state: State) -> float:
        if state.ending is None:
            raise CriticError(
                "a verifier judges finished solutions; expected a state that has ended, got a running one"
            )
        verdict = verdict_of(state.text, self._problem_of(state))
        if verdict == Verdict.UNGRADABLE.value:
            raise CriticError(
                f"the answer of {state.problem_id!r} could not be graded, which is not to say it is wrong"
            )
        return float(verdict == CORRECT)

    def _problem_of(self, state: State) -> Problem:
        if state.verifier:
            return Problem(state.problem_id, state.question, verifier=state.verifier)
        if state.problem_id not in self._problems:
            raise CriticError(f"expected a problem with a gold answer or a verifier, got {state.problem_id!r} without")
        return self._problems[state.problem_id]


class StepVerifier:
    """Scores a state 1 if every line of it is legal, as the problem's verifier reads it, else 0."""

    name = "step_verifier"
    is_reproducible = True

    @property
    def provenance(self) -> Provenance:
        """The verifier."""
        return Provenance(self.name, model="verifier")

    async def evaluate(self, states: Sequence[State]) -> list[float]:
        """Returns 1.0 or 0.0 for each state after an option. Raises CriticError for a problem without a verifier."""
        return list(map(self._score, states))

    def _score(self, state: State) -> float:
        last_option(state)
        found = is_legal(state)
        if found is None:
            raise CriticError(f"expected a problem with a verifier, got {state.problem_id!r} without")
        return float(found)


def verifier_critics(_: CriticContext) -> Critics:
    """Returns the problem's verifiers: of lines as the PRM, of solutions as the ORM."""
    return Critics(prm=StepVerifier(), orm=Verifier())
