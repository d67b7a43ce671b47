"""Measures of scores against outcomes: precision, recall, F1, AUC, Brier score, calibration error and its bins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from alphallm_env.runtime.files import Json

NUM_BINS = 10


@dataclass(frozen=True)
class Bin:
    """One bin of a reliability diagram: scores in [low, high), the last one with 1. Means are NaN where it is empty."""

    low: float
    high: float
    num_scores: int
    mean_score: float
    mean_outcome: float


def reliability_bins(scores: Sequence[float], outcomes: Sequence[float], num_bins: int = NUM_BINS) -> list[Bin]:
    """Returns equal-width bins of scores in [0, 1] with the mean outcome in each.

    >>> [bin.mean_outcome for bin in reliability_bins([0.1, 0.9, 1.0], [0.0, 1.0, 0.0], num_bins=2)]
    [0.0, 0.5]
    """
    score_array, outcome_array = np.asarray(scores, dtype=float), np.asarray(outcomes, dtype=float)
    indices = np.minimum((score_array * num_bins).astype(int), num_bins - 1)
    bins: list[Bin] = []
    for index in range(num_bins):
        inside = indices == index
        count = int(inside.sum())
        mean_score = float(score_array[inside].mean()) if count else math.nan
        mean_outcome = float(outcome_array[inside].mean()) if count else math.nan
        bins.append(Bin(index / num_bins, (index + 1) / num_bins, count, mean_score, mean_outcome))
    return bins


def expected_calibration_error(scores: Sequence[float], outcomes: Sequence[float], num_bins: int = NUM_BINS) -> float:
    """Returns Σ over equal-width bins of |mean score − mean outcome| · share. Naeini et al. 2015.

    >>> expected_calibration_error([0.9, 0.9], [1.0, 0.0])
    0.4
    """
    filled = [bin for bin in reliability_bins(scores, outcomes, num_bins) if bin.num_scores]
    total = sum(abs(bin.mean_score - bin.mean_outcome) * bin.num_scores for bin in filled)
    return round(total / len(scores), 12)


def area_under_roc(scores: Sequence[float], outcomes: Sequence[bool]) -> float:
    """Returns the probability that a correct item scores above an incorrect one, ties counting half.

    >>> area_under_roc([0.1, 0.4, 0.4, 0.8], [False, False, True, True])
    0.875
    """
    from scipy.stats import rankdata

    truths = np.asarray(outcomes, dtype=bool)
    positives, negatives = int(truths.sum()), int((~truths).sum())
    if not positives or not negatives:
        raise ValueError(f"expected outcomes of both kinds, got {positives} correct and {negatives} incorrect")
    ranks = rankdata(np.asarray(scores, dtype=float))
    return float((ranks[truths].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def brier_score(scores: Sequence[float], outcomes: Sequence[float]) -> float:
    """Returns the mean of (score − outcome)². Brier 1950.

    >>> brier_score([1.0, 0.5], [1.0, 0.0])
    0.125
    """
    return float(np.mean((np.asarray(scores, dtype=float) - np.asarray(outcomes, dtype=float)) ** 2))


def harmonic_mean(one: float, other: float) -> float:
    """Returns 2 · one · other / (one + other), 0 where both are 0: F1 of precision and recall.

    >>> round(harmonic_mean(0.5, 1.0), 3)
    0.667
    """
    return 2 * one * other / (one + other) if one + other > 0 else 0.0


@dataclass(frozen=True)
class Quality:
    """How well a critic's scores fit outcomes. Precision, recall and F1 are at a score of 0.5.

    A measure that these items do not define is NaN: precision where nothing is accepted, recall where nothing is
    correct, AUC where all outcomes are alike.
    """

    precision: float
    recall: float
    f1: float
    ece: float
    auc: float
    brier: float
    base_rate: float  # share of correct items
    num_scores: int

    def to_json(self) -> dict[str, Json]:
        """Returns the measures as JSON, which knows no NaN: null stands for it."""
        return {name: None if math.isnan(value) else value for name, value in asdict(self).items()}


def quality(scores: Sequence[float], outcomes: Sequence[bool]) -> Quality:
    """Returns the measures of one critic on held-out items. Raises ValueError where there are none."""
    if not scores or len(scores) != len(outcomes):
        raise ValueError(f"expected as many outcomes as scores, and some, got {len(scores)} and {len(outcomes)}")
    accepted = [score >= 0.5 for score in scores]
    hits = sum(a and o for a, o in zip(accepted, outcomes, strict=True))
    precision = hits / sum(accepted) if any(accepted) else math.nan
    recall = hits / sum(outcomes) if any(outcomes) else math.nan
    targets = [float(outcome) for outcome in outcomes]
    return Quality(
        precision=precision,
        recall=recall,
        f1=harmonic_mean(precision, recall),
        ece=expected_calibration_error(scores, targets),
        auc=area_under_roc(scores, outcomes) if any(outcomes) and not all(outcomes) else math.nan,
        brier=brier_score(scores, targets),
        base_rate=sum(targets) / len(targets),
        num_scores=len(scores),
    )
