"""How the scores of a solution's steps become one score: the one place where this is defined."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from alphallm_env.errors import CriticError

AGGREGATIONS: dict[str, Callable[[Sequence[float]], float]] = {
    "min": min,  # Math-Shepherd (Wang et al. 2024): a chain is as strong as its weakest step
    "product": math.prod,  # Lightman et al. 2023: the chance that every step is right
    "last": lambda scores: scores[-1],  # the step just taken, or a PRM trained to foretell the outcome
    "mean": lambda scores: math.fsum(scores) / len(scores),
}


def aggregate(scores: Sequence[float], aggregation: str) -> float:
    """Returns one score in [0, 1] for those of a solution's steps, by min, product, last or mean.

    Raises CriticError where there is no step, ValueError for another aggregation.

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
