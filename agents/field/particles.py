"""Particle filtering: partial solutions as samples of a distribution, resampled by their scores after every step."""

from __future__ import annotations

import math
from random import Random
from typing import Any

from agents.field.rounds import Round, RoundsPlanner
from alphallm_env.runtime.concurrency import gather
from alphallm_env.runtime.seeds import derive_seed
from alphallm_env.types import State

_EDGE = 1e-3  # scores are kept so far from 0 and 1, whose logits are infinite


class ParticleFilter(RoundsPlanner):
    """Particle filtering (Puri et al. 2025): each round moves `num_particles` solutions forward side by side.

    After every step all of them, ended ones too, are drawn anew with weights softmax(logit(score) / `sharpness`), in
    which a solution that could not go on has none. Unlike a beam, a low score is kept now and then: a critic that errs
    does not end what is right.
    """

    name = "particle_filter"

    def __init__(self, num_particles: int = 8, sharpness: float = 1.0, **settings: Any) -> None:
        if num_particles < 2:
            raise ValueError(f"num_particles must be >= 2, got {num_particles}")
        if sharpness <= 0:
            raise ValueError(f"sharpness must be > 0, got {sharpness}")
        super().__init__(**settings)
        self.num_particles = num_particles
        self.sharpness = sharpness

    async def play(self, this: Round) -> list[State]:
        """Returns the particles at the end of a round, running ones first where the budget cut it."""
        rng = Random(derive_seed(this.sampler.seed, "particles", this.number))
        particles = [this.start] * self.num_particles
        first = this.number * self.num_particles
        while any(state.ending is None for state in particles):
            moved = await gather(self._moved(this, state, first + place) for place, state in enumerate(particles))
            alive = [state for state in moved if state is not None]
            if not alive:
                return particles[:1]
            if not this.may_go_on:
                return sorted(alive, key=lambda state: state.ending is not None)
            scores = await this.simulator.score(self.critic, alive)
            particles = rng.choices(alive, weights_of(scores, self.sharpness), k=self.num_particles)
        return particles

    async def _moved(self, this: Round, state: State, index: int) -> State | None:
        return state if state.ending is not None else await this.sampler.step(state, index)


def weights_of(scores: list[float], sharpness: float) -> list[float]:
    """Returns softmax(logit(score) / sharpness).

    >>> weights_of([0.5, 0.5], 1.0)
    [0.5, 0.5]
    >>> [round(weight, 3) for weight in weights_of([0.8, 0.5], 1.0)]  # odds of 4 and of 1
    [0.8, 0.2]
    """
    bounded = [min(1.0 - _EDGE, max(_EDGE, score)) for score in scores]
    odds = [(score / (1.0 - score)) ** (1.0 / sharpness) for score in bounded]
    total = math.fsum(odds)
    return [odd / total for odd in odds]
