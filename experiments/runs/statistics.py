"""Means with 95 % intervals: over problems, and over a few runs of many tasks.

The latter are as in rliable: Agarwal et al. 2021, Deep Reinforcement Learning at the Edge of the Statistical Precipice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NUM_RESAMPLES = 2_000
_RESAMPLES_OF_PROBLEMS = 10_000
Statistic = Callable[[NDArray[np.float64]], float]


@dataclass(frozen=True)
class Estimate:
    """A statistic and its 95 % interval."""

    value: float
    low: float
    high: float


def interquartile_mean(scores_RT: NDArray[np.float64]) -> float:
    """Returns the mean of the middle half of all scores, of R runs and T tasks together.

    >>> interquartile_mean(np.array([[0.0, 0.4, 0.6, 1.0]]))
    0.5
    """
    from scipy.stats import trim_mean  # here, as it takes a second to load

    return float(trim_mean(scores_RT.ravel(), proportiontocut=0.25))


def mean(scores_RT: NDArray[np.float64]) -> float:
    """Returns the mean of all scores, every task weighing the same."""
    return float(np.mean(scores_RT))


def stratified_bootstrap(
    scores_RT: NDArray[np.float64],
    statistic: Statistic,
    rng: np.random.Generator,
    num_resamples: int = NUM_RESAMPLES,
) -> Estimate:
    """Returns a statistic of [runs, tasks] scores with its percentile interval.

    Runs are drawn with replacement, for each task by itself: a task is a stratum, and never missing. Raises
    ValueError for scores that are not [runs, tasks].
    """
    if scores_RT.ndim != 2 or not scores_RT.size:
        raise ValueError(f"expected scores of shape [runs, tasks], got {scores_RT.shape}")
    num_runs, num_tasks = scores_RT.shape
    drawn = rng.integers(num_runs, size=(num_resamples, num_runs, num_tasks))
    resampled = np.take_along_axis(scores_RT[None], drawn, axis=1)
    low, high = np.percentile([statistic(scores) for scores in resampled], (2.5, 97.5))
    return Estimate(statistic(scores_RT), float(low), float(high))


def bootstrap_mean(values: Sequence[float]) -> tuple[float, float]:
    """Returns the 95 % percentile bootstrap interval of the mean of `values`, one value a problem.

    For a difference of two planners, pass the differences problem by problem: that is the paired interval.
    """
    array = np.asarray(values, dtype=float)
    if not len(array):
        raise ValueError("expected at least one value, got none")
    if len(array) < 2 or array.min() == array.max():
        return (round(float(array.mean()), 4), round(float(array.mean()), 4))
    from scipy.stats import bootstrap  # here, as it takes a second to load

    interval = bootstrap(
        (array,),
        np.mean,
        method="percentile",
        n_resamples=_RESAMPLES_OF_PROBLEMS,
        rng=np.random.default_rng(0),
        batch=1_000,
    ).confidence_interval
    return (round(float(interval.low), 4), round(float(interval.high), 4))
