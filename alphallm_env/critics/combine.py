"""Several critics as one: a weighted mean of their scores, which must mean the same, so calibrate them first."""

from __future__ import annotations

from collections.abc import Sequence

from alphallm_env.critics.base import Critic, checked_scores
from alphallm_env.critics.provenance import Provenance, provenance_of
from alphallm_env.lm.base import clear_caches, is_reproducible
from alphallm_env.runtime.concurrency import gather
from alphallm_env.types import State


class MixedCritic:
    """Σ weight · score / Σ weight over its critics. One that cannot score a state raises, and so does the mix."""

    def __init__(self, critics: Sequence[tuple[Critic, float]], name: str = "mixed") -> None:
        if not critics or any(not weight > 0 for _, weight in critics):
            weights = [weight for _, weight in critics]
            raise ValueError(f"expected critics with weights > 0, got weights {weights}")
        self.name = name
        self._critics = tuple(critics)

    @property
    def is_reproducible(self) -> bool:
        """Whether every critic's scores are."""
        return is_reproducible(*(critic for critic, _ in self._critics))

    @property
    def provenance(self) -> Provenance:
        """The weights, and where the scores of each critic come from."""
        weights = ", ".join(f"{critic.name} {weight:g}" for critic, weight in self._critics)
        parts = tuple(provenance_of(critic) for critic, _ in self._critics)
        return Provenance(self.name, aggregation=f"weighted mean ({weights})", parts=parts)

    def clear_cache(self) -> None:
        """Clears the cache of every critic."""
        clear_caches(*(critic for critic, _ in self._critics))

    async def evaluate(self, states: Sequence[State]) -> list[float]:
        """Returns the weighted mean in [0, 1] of the critics' scores of each state; all are asked at once."""
        asked = await gather([critic.evaluate(states) for critic, _ in self._critics])
        scores = [checked_scores(s, states, c.name) for s, (c, _) in zip(asked, self._critics, strict=True)]
        weights = [weight for _, weight in self._critics]
        total = sum(weights)
        return [sum(w * s for w, s in zip(weights, row, strict=True)) / total for row in zip(*scores, strict=True)]
