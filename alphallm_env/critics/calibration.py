"""Makes a critic's scores mean what they say: Platt scaling, fitted on a development split.

A calibrated score is σ(a·logit(score) + b), Platt 1999. Measures of how well scores fit outcomes are
here too: expected calibration error, area under the ROC curve, precision and recall.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from alphallm_env.critics.base import Critic
from alphallm_env.lm.base import forget
from alphallm_env.types import State

_EDGE = 1e-6  # scores are kept this far from 0 and 1 before their logit is taken


@dataclass(frozen=True)
class PlattScaling:
    """σ(slope · logit(score) + intercept). The default changes nothing."""

    slope: float = 1.0
    intercept: float = 0.0

    def __call__(self, score: float) -> float:
        """Returns the calibrated score in (0, 1).

        >>> PlattScaling()(0.25)
        0.25
        """
        score = min(max(score, _EDGE), 1.0 - _EDGE)
        scaled = self.slope * math.log(score / (1.0 - score)) + self.intercept
        return 1.0 / (1.0 + math.exp(-scaled)) if scaled >= 0 else 1.0 - 1.0 / (1.0 + math.exp(scaled))


def fit_platt(scores: Sequence[float], outcomes: Sequence[float]) -> PlattScaling:
    """Returns the scaling that minimises the log loss of `scores` in [0, 1] on `outcomes` in [0, 1].

    Raises ValueError where there are fewer than two scores or all outcomes are alike.
    """
    from scipy.optimize import minimize

    targets = np.asarray(outcomes, dtype=float)
    if len(targets) < 2 or targets.min() == targets.max():
        raise ValueError(f"expected outcomes of both kinds, got {len(targets)} of mean {targets.mean():.3f}")
    clipped = np.clip(np.asarray(scores, dtype=float), _EDGE, 1.0 - _EDGE)
    logits = np.log(clipped / (1.0 - clipped))

    def log_loss(parameters: np.ndarray) -> float:
        scaled = parameters[0] * logits + parameters[1]
        return float(np.mean(np.logaddexp(0.0, scaled) - targets * scaled) + 1e-6 * parameters[0] ** 2)

    slope, intercept = minimize(log_loss, np.array([1.0, 0.0]), method="BFGS").x
    return PlattScaling(float(slope), float(intercept))


class CalibratedCritic:
    """A critic whose scores pass through a fitted scaling."""

    def __init__(self, critic: Critic, scaling: PlattScaling) -> None:
        self.name = critic.name
        self._critic = critic
        self._scaling = scaling

    def forget(self) -> None:
        """Lets the critic forget."""
        forget(self._critic)

    async def evaluate(self, states: Sequence[State]) -> list[float]:
        """Returns the calibrated scores in [0, 1], in order."""
        return [self._scaling(score) for score in await self._critic.evaluate(states)]


def expected_calibration_error(scores: Sequence[float], outcomes: Sequence[float], bins: int = 10) -> float:
    """Returns Σ over equal-width bins of |mean score − mean outcome| · share. Naeini et al. 2015.

    >>> expected_calibration_error([0.9, 0.9], [1.0, 0.0])
    0.4
    """
    score_array, outcome_array = np.asarray(scores, dtype=float), np.asarray(outcomes, dtype=float)
    indices = np.minimum((score_array * bins).astype(int), bins - 1)
    gaps = [
        abs(score_array[indices == b].mean() - outcome_array[indices == b].mean()) * (indices == b).mean()
        for b in range(bins)
        if (indices == b).any()
    ]
    return float(round(sum(gaps), 12))


def area_under_roc(scores: Sequence[float], outcomes: Sequence[bool]) -> float:
    """Returns the chance that a correct item scores above an incorrect one, ties counting half.

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


@dataclass(frozen=True)
class Quality:
    """How well a critic's scores fit outcomes. Precision and recall are at a score of 0.5."""

    precision: float
    recall: float
    ece: float
    auc: float
    num_scores: int


def quality(scores: Sequence[float], outcomes: Sequence[bool]) -> Quality:
    """Returns the measures of one critic on held-out items. Precision is NaN where nothing is accepted."""
    accepted = [score >= 0.5 for score in scores]
    hits = sum(a and o for a, o in zip(accepted, outcomes, strict=True))
    return Quality(
        precision=hits / sum(accepted) if any(accepted) else math.nan,
        recall=hits / sum(outcomes) if any(outcomes) else math.nan,
        ece=expected_calibration_error(scores, [float(o) for o in outcomes]),
        auc=area_under_roc(scores, outcomes),
        num_scores=len(scores),
    )
