"""The verifier: an oracle with the gold answers. For upper bounds, not for comparisons of planners."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from alphallm_env.critics.provenance import Provenance
from alphallm_env.errors import CriticError
from alphallm_env.grading import Verdict, extract_answer, grade
from alphallm_env.types import Problem, State


class Verifier:
    """Scores a finished solution 1 if its answer is the gold answer, else 0."""

    name = "verifier"
    is_reproducible = True

    def __init__(self, problems: Iterable[Problem]) -> None:
        """`problems` hold those of all states to score, each with a gold answer; others are ignored."""
        self._answers = {problem.id: problem.answer for problem in problems if problem.answer is not None}

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
        if state.problem_id not in self._answers:
            raise CriticError(f"expected a problem with a gold answer, got {state.problem_id!r} without")
        verdict = grade(extract_answer(state.text), self._answers[state.problem_id])
        if verdict is Verdict.UNGRADABLE:
            raise CriticError(
                f"the answer of {state.problem_id!r} could not be graded, which is not to say it is wrong"
            )
        return 1.0 if verdict is Verdict.CORRECT else 0.0
