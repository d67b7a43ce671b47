"""Stochastic backtracking: solutions go on from a pool of prefixes, good ones more often."""

from __future__ import annotations

import math
from random import Random
from typing import Any

from agents.field.rounds import Round, RoundsPlanner
from alphallm_env.runtime.seeds import derive_seed
from alphallm_env.types import State


class Pool:
    """Prefixes by text, each with the number and the sum of the scores of the solutions that went through it."""

    def __init__(self, start: State) -> None:
        self.states = [start]
        self._places = {start.text: 0}
        self._counts = [0]
        self._sums = [0.0]

    def add(self, start: State, end: State, score: float) -> None:
        """Counts a solution's score for every prefix that it went through, from the start on."""
        state: State | None = end
        while state is not None:
            if state.ending is None:
                place = self._places.setdefault(state.text, len(self.states))
                if place == len(self.states):
                    self.states.append(state)
                    self._counts.append(0)
                    self._sums.append(0.0)
                self._counts[place] += 1
                self._sums[place] += score
            state = None if state.depth == start.depth else state.parent

    def means(self) -> list[float]:
        """Returns the mean score of each prefix, shrunk towards the pool's own as if seen once more.

        One solution through a prefix says little of it.
        """
        overall = self._sums[0] / max(1, self._counts[0])
        return [(total + overall) / (count + 1) for total, count in zip(self._sums, self._counts, strict=True)]


class Backtracking(RoundsPlanner):
    """Draws a prefix of what it has written, with weights exp(mean score / temperature), and goes on from there.

    Prefixes are the states between options, the start too; a mean is of the ORM's scores of the solutions through a
    prefix. At a high `softness` it begins anew as often as at any other prefix; at a low one it stays with the best.
    """

    name = "backtracking"

    def __init__(self, softness: float = 0.3, **settings: Any) -> None:
        if softness <= 0:
            raise ValueError(f"softness must be > 0, got {softness}")
        super().__init__(**settings)
        self.softness = softness

    def remember(self, start: State) -> Pool:
        """Returns the pool, with nothing but the start."""
        return Pool(start)

    async def play(self, this: Round) -> list[State]:
        """Returns the solution that was written from a prefix; it is no end where no step was sound."""
        pool: Pool = this.memory
        rng = Random(derive_seed(this.sampler.seed, "backtracking", this.number))
        [prefix] = rng.choices(pool.states, weights_of(pool.means(), self.softness))
        end = await this.sampler.solution(prefix, this.number, by_steps=True)
        score = 0.0 if end.ending is None else (await this.outcomes.score([end]))[0]
        pool.add(this.start, end, score)
        return [end]


def weights_of(means: list[float], softness: float) -> list[float]:
    """Returns exp(mean / softness), the largest scaled to 1.

    >>> [round(weight, 3) for weight in weights_of([1.0, 0.0], softness=1.0)]
    [1.0, 0.368]
    """
    most = max(means)
    return [math.exp((mean - most) / softness) for mean in means]
