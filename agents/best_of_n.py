"""Best of n: independent samples, and the answer by majority (self-consistency) or by the ORM's score."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from agents.answers import answer_key
from agents.base import AsyncPlanner, Budget, PlanResult
from agents.tree.answering import best_scored, vote
from agents.tree.evaluation import OutcomeScorer
from alphallm_env.runtime.metering import Meter, Usage
from alphallm_env.simulator import Simulator
from alphallm_env.types import ScoreKind, State, Trajectory

FIRST_CHUNK = 4
LARGEST_CHUNK = 64
MOST_SAMPLES = 10_000  # whatever the budget: for models that cost nothing


class BestOfN(AsyncPlanner):
    """Samples whole solutions until the budget is spent.

    `majority` takes the answer of most samples (Wang et al. 2022) and asks no critic; a trajectory's score
    is its answer's share of all samples. `orm` takes the sample that the ORM scores highest.
    """

    def __init__(
        self,
        pick: Literal["majority", "orm"] = "majority",
        *,
        num_samples: int | None = None,
        temperature: float | None = None,
        name: str | None = None,
    ) -> None:
        if pick not in ("majority", "orm"):
            raise ValueError(f"pick must be majority or orm, got {pick!r}")
        if num_samples is not None and num_samples < 1:
            raise ValueError(f"num_samples must be >= 1 or None, got {num_samples}")
        self.pick = pick
        self.num_samples = num_samples
        self.temperature = temperature
        self.name = name or {"majority": "majority", "orm": "orm_rerank"}[pick]

    async def search(self, simulator: Simulator, state: State, budget: Budget, seed: int, meter: Meter) -> PlanResult:
        """Returns the chosen sample and all samples. There is always one, whatever the budget."""
        started = time.perf_counter()
        scorer = OutcomeScorer(simulator)
        samples: list[State] = []
        scores: list[float] = []
        while (size := self._next_chunk(budget, meter.usage, len(samples), simulator.rules.max_tokens)) > 0:
            options = await simulator.propose(
                state, size, seed, first_index=len(samples), to_the_end=True, temperature=self.temperature
            )
            chunk = [simulator.next_state(state, option) for option in options]
            if self.pick == "orm":
                scores += await scorer.score(chunk)
            samples += chunk
            meter.add(Usage(simulations=len(chunk)))
        if self.pick == "orm":
            finished = with_scores(samples, scores, ScoreKind.ORM)
            best = best_scored(finished)
        else:
            finished = with_scores(samples, answer_shares(samples), ScoreKind.VOTE_SHARE)
            best = vote(finished, [1.0] * len(finished))
        meter.add(Usage(seconds=time.perf_counter() - started))
        return PlanResult(state, best, finished, meter.usage)

    def _next_chunk(self, budget: Budget, usage: Usage, num_drawn: int, most_tokens: int) -> int:
        """Returns how many samples to draw next, so that the last one just reaches the budget; 0 to stop.

        The first samples are budgeted at their maximal length, `most_tokens`. Later chunks at most double the number
        of samples: the mean length of a few short ones predicts that of the rest badly.
        """
        limit = min(self.num_samples or MOST_SAMPLES, budget.simulations or MOST_SAMPLES) - num_drawn
        if num_drawn == 0:
            affordable = FIRST_CHUNK if budget.tokens is None else max(1, budget.tokens // most_tokens)
            return min(FIRST_CHUNK, limit, affordable)
        if limit <= 0 or not budget.allows(usage):
            return 0
        affordable = budget.tokens_left(usage) / max(1.0, usage.tokens / num_drawn)
        return min(limit, max(1, int(min(affordable, num_drawn, LARGEST_CHUNK))))


def with_scores(states: Sequence[State], scores: Sequence[float], kind: ScoreKind) -> tuple[Trajectory, ...]:
    """Returns the states as trajectories with their scores."""
    return tuple(Trajectory(state, score, score_kind=kind) for state, score in zip(states, scores, strict=True))


def answer_shares(states: Sequence[State]) -> list[float]:
    """Returns, per ended state, the share of all states that give its answer; 0 for one without an answer."""
    keys = [answer_key(state.text) for state in states]
    counts = Counter(key for key in keys if key is not None)
    return [0.0 if key is None else counts[key] / len(keys) for key in keys]
