"""How several scores become one: the scores of a solution's steps, or those of several critics."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from alphallm_env.critics.base import CompositeCritic, Critic, checked_scores
from alphallm_env.critics.provenance import Provenance, provenance_of
from alphallm_env.errors import CriticError
from alphallm_env.runtime.concurrency import gather
from alphallm_env.types import State

AGGREGATIONS: dict[str, Callable[[Sequence[float]], float]] = {
    "min": min,  # Math-Shepherd (Wang et al. 2024): a chain is as strong as its weakest step
    "product": math.prod,  # Lightman et al. 2023: the probability that every step is right
    "last": lambda scores: scores[-1],  # the step just taken, or a PRM trained to predict the outcome
    "mean": lambda scores: math.fsum(scores) / len(scores),
}


def aggregate(scores: Sequence[float], aggregation: str) -> float:
    """Returns one score in [0, 1] from those of a solution's steps: their min, product, last or mean.

    Raises CriticError where there is no step, ValueError for an unknown aggregation.

    >>> aggregate([0.5, 1.0, 0.75], "product"), aggregate([0.5, 1.0, 0.75], "mean")
    (0.375, 0.75)
    """
    check_aggregation(aggregation)
    if not scores:
        raise CriticError("expected the scores of at least one step, got none")
    return AGGREGATIONS[aggregation](scores)


def check_aggregation(aggregation: str) -> None:
    """Raises ValueError for an unknown aggregation."""
    if aggregation not in AGGREGATIONS:
        raise ValueError(f"aggregation must be one of {', '.join(AGGREGATIONS)}, got {aggregation!r}")


class MixedCritic(CompositeCritic):
    """Σ weight · score / Σ weight over its critics. If one of them raises, so does the mix.

    Scores of different critics are comparable only after calibration, so calibrate them first.
    """

    def __init__(self, critics: Sequence[tuple[Critic, float]], name: str = "mixed") -> None:
        if not critics or any(not weight > 0 for _, weight in critics):
            weights = [weight for _, weight in critics]
            raise ValueError(f"expected critics with weights > 0, got weights {weights}")
        super().__init__(*(critic for critic, _ in critics))
        self.name = name
        self._critics = tuple(critics)

    @property
    def provenance(self) -> Provenance:
        """The weights, and the provenance of each critic."""
        weights = ", ".join(f"{critic.name} {weight:g}" for critic, weight in self._critics)
        parts = tuple(provenance_of(critic) for critic, _ in self._critics)
        return Provenance(self.name, aggregation=f"weighted mean ({weights})", parts=parts)

    async def evaluate(self, states: Sequence[State]) -> list[float]:
        """Returns the weighted mean in [0, 1] of the critics' scores of each state. The critics run concurrently."""
        asked = await gather([critic.evaluate(states) for critic, _ in self._critics])
        scores = [checked_scores(s, states, c.name) for s, (c, _) in zip(asked, self._critics, strict=True)]
        weights = [weight for _, weight in self._critics]
        total = sum(weights)
        return [sum(w * s for w, s in zip(weights, row, strict=True)) / total for row in zip(*scores, strict=True)]
