"""Planners that play rounds: each ends some solutions, the ORM judges them, and the budget says how many rounds."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from agents.base import AsyncPlanner, Budget, PlanResult, check_stop_at
from agents.best_of_n import MOST_SAMPLES, with_scores
from agents.field.steps import REDRAWS, StepSampler, check_redraws
from agents.tree.answering import best_scored
from agents.tree.evaluation import OutcomeScorer
from alphallm_env.runtime.metering import Meter
from alphallm_env.simulator import Simulator
from alphallm_env.types import ScoreKind, State


@dataclass(frozen=True)
class Round:
    """What one round of a search works with. `number` counts from 0: no two rounds draw the same samples.

    `memory` is what the planner's `remember` made for this search: rounds may leave there what later ones build on.
    """

    number: int
    memory: Any
    start: State
    simulator: Simulator
    sampler: StepSampler
    budget: Budget
    meter: Meter
    outcomes: OutcomeScorer  # the ORM's scores of ended states, each different text judged once

    @property
    def may_go_on(self) -> bool:
        """Whether there is something left to spend."""
        return self.budget.allows(self.meter.usage)


class RoundsPlanner(AsyncPlanner):
    """Plays rounds until the budget is spent, and answers with the solution that the ORM scores highest.

    `critic` judges partial solutions: prm or value. `redraws` is how often a step that `Simulator.is_sound` refuses is
    drawn anew, None for no checks. `stop_at` is an ORM score at which the search ends, None for none.
    """

    def __init__(
        self,
        *,
        critic: str = "prm",
        redraws: int | None = REDRAWS,
        temperature: float | None = None,
        stop_at: float | None = None,
        name: str | None = None,
    ) -> None:
        if critic not in ("prm", "value"):
            raise ValueError(f"critic must be prm or value, got {critic!r}")
        check_redraws(redraws)
        check_stop_at(stop_at)
        self.critic = critic
        self.redraws = redraws
        self.temperature = temperature
        self.stop_at = stop_at
        self.name = name or type(self).name

    def remember(self, start: State) -> Any:
        """Returns what the rounds of one search share; nothing by default."""
        del start

    def has_more(self, memory: Any) -> bool:
        """Returns whether another round may find something new; True by default."""
        del memory
        return True

    @abstractmethod
    async def play(self, this: Round) -> list[State]:
        """Returns the states in which a round ended, of solutions that are finished or were given up."""

    async def search(self, simulator: Simulator, state: State, budget: Budget, seed: int, meter: Meter) -> PlanResult:
        """Returns the best solution and all that were finished. There is always one, whatever the budget."""
        scorer = OutcomeScorer(simulator)
        sampler = StepSampler(simulator, seed, meter, budget, self.redraws, self.temperature)
        ended: list[State] = []
        scores: list[float] = []
        found: list[State] = []
        memory = self.remember(state)
        for number in range(MOST_SAMPLES):
            found = await self.play(Round(number, memory, state, simulator, sampler, budget, meter, scorer))
            whole = [end for end in found if end.ending is not None]
            scores += await scorer.score(whole)
            ended += whole
            meter.simulated(max(1, len(whole)))
            if not budget.allows(meter.usage) or self._is_sure(scores) or not self.has_more(memory):
                break
        if not ended:  # every solution was cut by the budget or given up: the last one goes on, unchecked
            ended = [await replace(sampler, redraws=None).solution(found[-1] if found else state, 0)]
            scores = await scorer.score(ended)
        finished = with_scores(ended, scores, ScoreKind.ORM)
        return PlanResult(state, best_scored(finished), finished, meter.usage)

    def _is_sure(self, scores: Sequence[float]) -> bool:
        return self.stop_at is not None and max(scores, default=0.0) >= self.stop_at
