import numpy as np
import pytest

from experiments.runs.statistics import Estimate, bootstrap_mean, interquartile_mean, mean, stratified_bootstrap


def test_the_interquartile_mean_leaves_out_the_lowest_and_the_highest_quarter():
    scores = np.array([[0.0, 0.9, 0.4, 0.5], [0.2, 1.0, 0.6, 0.5]])
    assert interquartile_mean(scores) == pytest.approx((0.4 + 0.5 + 0.5 + 0.6) / 4)
    assert mean(scores) == pytest.approx(4.1 / 8)


def test_tasks_are_strata():
    """Two runs that agree on each task leave nothing to chance, however different the tasks are."""
    same = np.array([[0.0, 1.0, 0.5]] * 2)
    assert stratified_bootstrap(same, mean, np.random.default_rng(0)) == Estimate(0.5, 0.5, 0.5)


def test_two_runs_of_one_task_span_the_interval():
    """Two draws of 0 and 1 give means 0, 0.5, 1 with chances 1/4, 1/2, 1/4: 95 % reaches from 0 to 1."""
    found = stratified_bootstrap(np.array([[0.0], [1.0]]), mean, np.random.default_rng(0))
    assert found == Estimate(0.5, 0.0, 1.0)


def test_the_interval_of_many_tasks_is_the_normal_one():
    """64 tasks of two runs, 0 and 1: their mean has a standard deviation of √(1/8 / 64) = 0.0442."""
    found = stratified_bootstrap(np.tile([[0.0], [1.0]], 64), mean, np.random.default_rng(0))
    assert found.low == pytest.approx(0.5 - 1.96 * 0.0442, abs=0.01)
    assert found.high == pytest.approx(0.5 + 1.96 * 0.0442, abs=0.01)


@pytest.mark.parametrize("shape", [(3,), (0, 2)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"expected scores of shape \[runs, tasks\], got"):
        stratified_bootstrap(np.zeros(shape), mean, np.random.default_rng(0))


def test_the_interval_of_a_mean():
    # The mean of 100 fair coins lies within 1/2 ± 1.96 · √(1/4 / 100) = 0.402 to 0.598.
    low, high = bootstrap_mean([0.0] * 50 + [1.0] * 50)
    assert low == pytest.approx(0.402, abs=0.015)
    assert high == pytest.approx(0.598, abs=0.015)
    assert bootstrap_mean([0.0, 1.0, 0.5]) == bootstrap_mean([0.0, 1.0, 0.5])  # no chance in it
    assert bootstrap_mean([0.25]) == bootstrap_mean([0.25] * 9) == (0.25, 0.25)
    with pytest.raises(ValueError, match="at least one value"):
        bootstrap_mean([])
