"""Best of n: independent samples, and the answer by majority (self-consistency), by the ORM's score, or by both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import comb
from typing import Literal, get_args

from agents.answers import answer_key
from agents.base import AsyncPlanner, Budget, PlanResult, check_stop_at
from agents.field.steps import StepSampler, check_redraws
from agents.tree.answering import best_scored, vote
from agents.tree.evaluation import OutcomeScorer
from alphallm_env.runtime.concurrency import gather
from alphallm_env.runtime.metering import Meter, Usage
from alphallm_env.simulator import Simulator
from alphallm_env.types import ScoreKind, State, Trajectory

FIRST_CHUNK = 4
LARGEST_CHUNK = 64
MOST_SAMPLES = 10_000  # whatever the budget: for models that cost nothing

Pick = Literal["majority", "orm", "weighted"]


class BestOfN(AsyncPlanner):
    """Samples whole solutions until the budget is spent.

    `majority` takes the answer of most samples (Wang et al. 2022) and asks no critic; a trajectory's score
    is its answer's share of all samples. `orm` takes the sample that the ORM scores highest, `weighted` the answer
    whose samples' ORM scores add up highest (Li et al. 2023).

    With `redraws`, samples are drawn step by step, and a step that `Simulator.is_sound` refuses is drawn anew so many
    times; a sample that cannot go on is dropped. With `stop_at`, sampling ends once the answer is sure: for `orm` and
    `weighted` at a sample of that ORM score, for `majority` where the posterior probability that the answer in front
    stays in front of the second one has reached it (Aggarwal et al. 2023).
    """

    def __init__(
        self,
        pick: Pick = "majority",
        *,
        num_samples: int | None = None,
        temperature: float | None = None,
        redraws: int | None = None,
        stop_at: float | None = None,
        name: str | None = None,
    ) -> None:
        if pick not in get_args(Pick):
            raise ValueError(f"pick must be one of {', '.join(get_args(Pick))}, got {pick!r}")
        if num_samples is not None and num_samples < 1:
            raise ValueError(f"num_samples must be >= 1 or None, got {num_samples}")
        check_redraws(redraws)
        check_stop_at(stop_at)
        self.pick = pick
        self.num_samples = num_samples
        self.temperature = temperature
        self.redraws = redraws
        self.stop_at = stop_at
        self.name = name or {"majority": "majority", "orm": "orm_rerank", "weighted": "weighted_vote"}[pick]

    async def search(self, simulator: Simulator, state: State, budget: Budget, seed: int, meter: Meter) -> PlanResult:
        """Returns the chosen sample and all samples. There is always one, whatever the budget."""
        scorer = OutcomeScorer(simulator)
        samples: list[State] = []
        scores: list[float] = []
        num_drawn = 0
        while (size := self._next_chunk(budget, meter.usage, num_drawn, simulator.rules.max_tokens)) > 0:
            chunk = await self._drawn(simulator, state, budget, size, num_drawn, seed, meter)
            if self.pick != "majority":
                scores += await scorer.score(chunk)
            samples += chunk
            num_drawn += size
            meter.simulated(size)
            if self._is_sure(samples, scores):
                break
        if not samples:  # every one was dropped: an answer that is not sound is better than none
            unchecked = StepSampler(simulator, seed, meter, redraws=None, temperature=self.temperature)
            samples = [await unchecked.solution(state, num_drawn)]
            scores = [] if self.pick == "majority" else await scorer.score(samples)
        best, finished = self._picked(samples, scores)
        return PlanResult(state, best, finished, meter.usage)

    async def _drawn(
        self, simulator: Simulator, state: State, budget: Budget, size: int, first_index: int, seed: int, meter: Meter
    ) -> list[State]:
        """Returns the ends of up to `size` samples."""
        if self.redraws is None:
            options = await simulator.propose(
                state, size, seed, first_index=first_index, to_the_end=True, temperature=self.temperature
            )
            return [simulator.next_state(state, option) for option in options]
        sampler = StepSampler(simulator, seed, meter, budget, self.redraws, self.temperature)
        ends = await gather(sampler.solution(state, first_index + place) for place in range(size))
        return [end for end in ends if end.ending is not None]

    def _is_sure(self, samples: Sequence[State], scores: Sequence[float]) -> bool:
        if self.stop_at is None or not samples:
            return False
        return (lead_posterior(samples) if self.pick == "majority" else max(scores)) >= self.stop_at

    def _picked(self, samples: Sequence[State], scores: Sequence[float]) -> tuple[Trajectory, tuple[Trajectory, ...]]:
        if self.pick == "majority":
            finished = with_scores(samples, answer_shares(samples), ScoreKind.VOTE_SHARE)
            return vote(finished, [1.0] * len(finished)), finished
        finished = with_scores(samples, scores, ScoreKind.ORM)
        return (best_scored(finished) if self.pick == "orm" else vote(finished, scores)), finished

    def _next_chunk(self, budget: Budget, usage: Usage, num_drawn: int, most_tokens: int) -> int:
        """Returns how many samples to draw next, so that the last one just reaches the budget; 0 to stop.

        The first samples are budgeted at their maximal length, `most_tokens`. Later chunks at most double the number
        of samples: the mean length of a few short ones predicts that of the rest badly.
        """
        limit = min(self.num_samples or MOST_SAMPLES, budget.simulations or MOST_SAMPLES) - num_drawn
        if num_drawn == 0:
            if budget.flops is not None or budget.seconds is not None:  # what a sample costs is not known before one
                return min(1, limit)
            known = [tokens for tokens in (budget.tokens, budget.computed) if tokens is not None]
            affordable = max(1, min(known) // most_tokens) if known else FIRST_CHUNK
            return min(FIRST_CHUNK, limit, affordable)
        if limit <= 0 or not budget.allows(usage):
            return 0
        most = LARGEST_CHUNK if self.stop_at is None else FIRST_CHUNK
        return min(limit, max(1, int(min(budget.affordable(usage, num_drawn), num_drawn, most))))


def with_scores(states: Sequence[State], scores: Sequence[float], kind: ScoreKind) -> tuple[Trajectory, ...]:
    """Returns the states as trajectories with their scores."""
    return tuple(Trajectory(state, score, score_kind=kind) for state, score in zip(states, scores, strict=True))


def answer_shares(states: Sequence[State]) -> list[float]:
    """Returns, per ended state, the share of all states that give its answer; 0 for one without an answer."""
    keys = [answer_key(state.text) for state in states]
    counts = Counter(key for key in keys if key is not None)
    return [0.0 if key is None else counts[key] / len(keys) for key in keys]


def lead_posterior(states: Sequence[State]) -> float:
    """Returns the posterior probability that the answer of most states is the more probable one of the first two.

    With v and w votes for them this is P(X > 1/2) for X ~ Beta(v + 1, w + 1) (the Beta criterion of Aggarwal et al.).
    """
    counts = Counter(key for key in (answer_key(state.text) for state in states) if key is not None)
    (most, second) = [*(votes for _, votes in counts.most_common(2)), 0, 0][:2]
    num = most + second + 1
    return sum(comb(num, k) for k in range(most + 1)) / 2**num
