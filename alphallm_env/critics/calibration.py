"""Calibration: scalings that turn a critic's scores into probabilities, fitted on a development split.

Three kinds, by number of parameters: temperature (one, Guo et al. 2017), Platt (two, Platt 1999), isotonic (one per
knot, Zadrozny & Elkan 2002). Scores of different critics are comparable only after this.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal, cast, get_args

import numpy as np

from alphallm_env.critics.base import CompositeCritic, Critic, checked_scores
from alphallm_env.critics.provenance import Provenance, provenance_of
from alphallm_env.errors import ModelError
from alphallm_env.types import State

CALIBRATION_FILE = "calibration.json"
ScalingKind = Literal["temperature", "platt", "isotonic"]
SCALING_KINDS: tuple[str, ...] = get_args(ScalingKind)
_EDGE = 1e-6  # scores are clipped to [_EDGE, 1 - _EDGE] before their logit is taken


def _sigmoid_of(score: float, slope: float, intercept: float) -> float:
    """Returns σ(slope · logit(score) + intercept)."""
    score = min(max(score, _EDGE), 1.0 - _EDGE)
    scaled = slope * math.log(score / (1.0 - score)) + intercept
    return 1.0 / (1.0 + math.exp(-scaled)) if scaled >= 0 else 1.0 - 1.0 / (1.0 + math.exp(scaled))


@dataclass(frozen=True)
class PlattScaling:
    """σ(slope · logit(score) + intercept). The default is the identity."""

    slope: float = 1.0
    intercept: float = 0.0
    kind: Literal["platt"] = "platt"

    def __call__(self, score: float) -> float:
        """Returns the calibrated score in (0, 1).

        >>> PlattScaling()(0.25)
        0.25
        """
        return _sigmoid_of(score, self.slope, self.intercept)


@dataclass(frozen=True)
class TemperatureScaling:
    """σ(logit(score) / temperature). The default is the identity, and 0.5 stays 0.5."""

    temperature: float = 1.0
    kind: Literal["temperature"] = "temperature"

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError(f"temperature must be > 0, got {self.temperature}")

    def __call__(self, score: float) -> float:
        """Returns the calibrated score in (0, 1).

        >>> round(TemperatureScaling(0.5)(0.75), 6)  # odds of 3, squared
        0.9
        """
        return _sigmoid_of(score, 1.0 / self.temperature, 0.0)


@dataclass(frozen=True)
class IsotonicScaling:
    """Linear interpolation between knots: `scores` increase, `values` do not decrease. Constant beyond the knots."""

    scores: tuple[float, ...]
    values: tuple[float, ...]
    kind: Literal["isotonic"] = "isotonic"

    def __post_init__(self) -> None:
        object.__setattr__(self, "scores", tuple(self.scores))  # JSON has lists
        object.__setattr__(self, "values", tuple(self.values))
        if not self.scores or len(self.scores) != len(self.values):
            raise ValueError(f"expected as many values as scores, got {len(self.values)} and {len(self.scores)}")
        if any(a >= b for a, b in pairwise(self.scores)):
            raise ValueError(f"expected scores that increase, got {self.scores}")
        if any(a > b for a, b in pairwise(self.values)):
            raise ValueError(f"expected values that do not decrease, got {self.values}")
        if not (self.values[0] >= 0.0 and self.values[-1] <= 1.0):
            raise ValueError(f"expected values in [0, 1], got {self.values}")

    def __call__(self, score: float) -> float:
        """Returns the calibrated score in [0, 1].

        >>> round(IsotonicScaling((0.2, 0.6), (0.1, 0.5))(0.3), 6)
        0.2
        """
        return float(np.interp(score, self.scores, self.values))


# Maps a raw score in [0, 1] to a calibrated one; monotonic: never reverses the order of two scores.
Scaling = TemperatureScaling | PlattScaling | IsotonicScaling


def fit_scaling(kind: str, scores: Sequence[float], outcomes: Sequence[float]) -> Scaling:
    """Returns the scaling of that kind that fits `scores` in [0, 1] to `outcomes` in [0, 1].

    Temperature and Platt minimise the log loss, isotonic the squared error. Raises ValueError for an unknown kind,
    fewer than two scores, or outcomes that are all equal.
    """
    fits: dict[str, Callable[[Sequence[float], Sequence[float]], Scaling]] = {
        "temperature": fit_temperature, "platt": fit_platt, "isotonic": fit_isotonic,
    }  # fmt: skip
    if kind not in fits:
        raise ValueError(f"calibration must be one of {', '.join(fits)}, got {kind!r}")
    return fits[kind](scores, outcomes)


def fit_platt(scores: Sequence[float], outcomes: Sequence[float]) -> PlattScaling:
    """Returns the Platt scaling that minimises the log loss. Raises ValueError as `fit_scaling` does."""
    slope, intercept = _least_log_loss(scores, outcomes, lambda parameters: (parameters[0], parameters[1]), [1.0, 0.0])
    return PlattScaling(float(slope), float(intercept))


def fit_temperature(scores: Sequence[float], outcomes: Sequence[float]) -> TemperatureScaling:
    """Returns the temperature that minimises the log loss. Raises ValueError as `fit_scaling` does.

    Also raises it where no temperature > 0 fits, because higher scores come with worse outcomes.
    """
    [slope] = _least_log_loss(scores, outcomes, lambda parameters: (parameters[0], 0.0), [1.0])
    if slope <= 0:
        raise ValueError(f"expected scores that increase with outcomes, got a best slope of {slope:.3f}")
    return TemperatureScaling(1.0 / float(slope))


def fit_isotonic(scores: Sequence[float], outcomes: Sequence[float]) -> IsotonicScaling:
    """Returns the isotonic regression of outcomes on scores. Raises ValueError as `fit_scaling` does.

    Equal scores are one point, weighted by their number; every constant segment has a knot at both ends.
    """
    from scipy.optimize import isotonic_regression

    targets = _checked_outcomes(scores, outcomes)
    points, places, counts = np.unique(np.asarray(scores, dtype=float), return_inverse=True, return_counts=True)
    means = np.bincount(places, weights=targets) / counts
    values = np.clip(isotonic_regression(means, weights=counts).x, 0.0, 1.0)
    level = np.concatenate([[True], values[1:] != values[:-1]])  # a new segment starts here
    kept = level | np.concatenate([level[1:], [True]])
    return IsotonicScaling(tuple(points[kept].tolist()), tuple(np.maximum.accumulate(values[kept]).tolist()))


def _checked_outcomes(scores: Sequence[float], outcomes: Sequence[float]) -> np.ndarray:
    targets = np.asarray(outcomes, dtype=float)
    if len(scores) != len(targets):
        raise ValueError(f"expected as many outcomes as scores, got {len(targets)} and {len(scores)}")
    if len(targets) < 2 or targets.min() == targets.max():
        mean = targets.mean() if len(targets) else math.nan
        raise ValueError(f"expected outcomes of both kinds, got {len(targets)} of mean {mean:.3f}")
    return targets


def _least_log_loss(
    scores: Sequence[float],
    outcomes: Sequence[float],
    line: Callable[[np.ndarray], tuple[float, float]],
    start: Sequence[float],
) -> np.ndarray:
    """Returns the parameters whose `line` (slope, intercept) on the logits minimises the log loss."""
    from scipy.optimize import minimize

    targets = _checked_outcomes(scores, outcomes)
    clipped = np.clip(np.asarray(scores, dtype=float), _EDGE, 1.0 - _EDGE)
    logits = np.log(clipped / (1.0 - clipped))

    def log_loss(parameters: np.ndarray) -> float:
        slope, intercept = line(parameters)
        scaled = slope * logits + intercept
        return float(np.mean(np.logaddexp(0.0, scaled) - targets * scaled) + 1e-6 * slope**2)

    return cast(np.ndarray, minimize(log_loss, np.asarray(start), method="BFGS").x)


class CalibratedCritic(CompositeCritic):
    """A critic whose scores pass through a fitted scaling."""

    def __init__(self, critic: Critic, scaling: Scaling) -> None:
        super().__init__(critic)
        self.name = critic.name
        self.critic = critic
        self.scaling = scaling

    @property
    def provenance(self) -> Provenance:
        """The critic's own provenance, with this calibration."""
        return replace(provenance_of(self.critic), calibration=json.dumps(asdict(self.scaling)))

    async def evaluate(self, states: Sequence[State]) -> list[float]:
        """Returns the calibrated scores in [0, 1], in order. Raises CriticError where a raw one is invalid."""
        # Checked before they are scaled: a scaling maps any number into [0, 1].
        scores = checked_scores(await self.critic.evaluate(states), states, self.name)
        return [self.scaling(score) for score in scores]


def raw(critic: Critic) -> Critic:
    """Returns the critic without its calibration, itself where it has none."""
    return critic.critic if isinstance(critic, CalibratedCritic) else critic


def save_calibration(folder: Path, scalings: dict[str, Scaling]) -> None:
    """Writes scalings, by the critic's name, into the folder of the critics."""
    text = json.dumps({name: asdict(s) for name, s in scalings.items()}, indent=2)
    (folder / CALIBRATION_FILE).write_text(text + "\n")


def load_calibration(folder: Path) -> dict[str, Scaling]:
    """Returns the scalings that `save_calibration` wrote. The default kind is Platt's.

    Raises ModelError where the file is missing or malformed.
    """
    path = folder / CALIBRATION_FILE
    if not path.is_file():
        raise ModelError(f"expected the critics' calibration at {path}, found none")
    kinds = {"platt": PlattScaling, "temperature": TemperatureScaling, "isotonic": IsotonicScaling}
    try:
        return {
            name: kinds[values.get("kind", "platt")](**values) for name, values in json.loads(path.read_text()).items()
        }
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"expected scalings of kinds {', '.join(kinds)} in {path}: {error!r}") from error
