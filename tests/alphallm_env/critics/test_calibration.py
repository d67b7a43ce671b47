"""Calibration and the measures of critics, by hand; fits as properties."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphallm_env.critics.calibration import (
    CALIBRATION_FILE,
    SCALING_KINDS,
    CalibratedCritic,
    IsotonicScaling,
    PlattScaling,
    Scaling,
    TemperatureScaling,
    fit_isotonic,
    fit_platt,
    fit_scaling,
    fit_temperature,
    load_calibration,
    raw,
    save_calibration,
)
from alphallm_env.critics.measures import (
    area_under_roc,
    brier_score,
    expected_calibration_error,
    harmonic_mean,
    quality,
    reliability_bins,
)
from alphallm_env.errors import CriticError, ModelError
from alphallm_env.types import State


def test_platt_scaling_by_hand() -> None:
    assert PlattScaling(slope=2.0, intercept=0.0)(0.5) == 0.5
    assert PlattScaling(slope=2.0)(0.75) == pytest.approx(0.9)  # odds 3 squared are 9
    assert PlattScaling(slope=1.0, intercept=math.log(3))(0.5) == pytest.approx(0.75)
    assert 0.0 < PlattScaling()(0.0) < PlattScaling()(1.0) < 1.0


def test_fitting_repairs_overconfident_scores() -> None:
    scores = [0.99] * 100 + [0.01] * 100
    outcomes = [1.0] * 80 + [0.0] * 20 + [1.0] * 20 + [0.0] * 80
    scaling = fit_platt(scores, outcomes)
    assert scaling(0.99) == pytest.approx(0.8, abs=1e-3)
    assert scaling(0.01) == pytest.approx(0.2, abs=1e-3)
    with pytest.raises(ValueError, match="both kinds"):
        fit_platt([0.1, 0.2], [1.0, 1.0])


def test_temperature_scaling_by_hand() -> None:
    assert TemperatureScaling(2.0)(0.9) == pytest.approx(0.75)  # odds of 9, their root
    assert TemperatureScaling(2.0)(0.5) == 0.5
    with pytest.raises(ValueError, match="> 0, got 0"):
        TemperatureScaling(0.0)
    # odds of 99 where 4 to 1 are right: log 99 / T = log 4
    scores = [0.99] * 100 + [0.01] * 100
    outcomes = [1.0] * 80 + [0.0] * 20 + [1.0] * 20 + [0.0] * 80
    assert fit_temperature(scores, outcomes).temperature == pytest.approx(math.log(99) / math.log(4), abs=1e-3)
    with pytest.raises(ValueError, match="increase with outcomes"):
        fit_temperature([0.9, 0.8, 0.2, 0.1], [0.0, 0.0, 1.0, 1.0])


def test_isotonic_regression_by_hand() -> None:
    # Pool adjacent violators: 0.2 (worth 1) and 0.3 (worth 0, twice) are pooled to 1/3; ties at 0.3 are one point.
    scaling = fit_isotonic([0.1, 0.2, 0.3, 0.3, 0.8], [0.0, 1.0, 0.0, 0.0, 1.0])
    assert scaling.scores == (0.1, 0.2, 0.3, 0.8)
    assert scaling.values == pytest.approx((0.0, 1 / 3, 1 / 3, 1.0))
    assert scaling(0.25) == pytest.approx(1 / 3)
    assert scaling(0.0) == 0.0
    assert scaling(0.55) == pytest.approx(2 / 3)
    assert scaling(1.0) == 1.0
    for scores, values, message in (
        ((), (), "as many"),
        ((0.2, 0.1), (0.0, 1.0), "increase"),
        ((0.1, 0.2), (1.0, 0.0), "not decrease"),
        ((0.1,), (1.5,), r"in \[0, 1\]"),
    ):
        with pytest.raises(ValueError, match=message):
            IsotonicScaling(scores, values)


@pytest.mark.parametrize("kind", SCALING_KINDS)
def test_every_kind_refuses_what_it_cannot_fit(kind: str) -> None:
    for scores, outcomes in (([0.1, 0.2], [1.0, 1.0]), ([0.5], [1.0]), ([], [])):
        with pytest.raises(ValueError, match="both kinds"):
            fit_scaling(kind, scores, outcomes)
    with pytest.raises(ValueError, match="as many outcomes"):
        fit_scaling(kind, [0.1, 0.2], [1.0, 0.0, 1.0])
    with pytest.raises(ValueError, match="temperature, platt, isotonic, got 'beta'"):
        fit_scaling("beta", [0.1, 0.9], [0.0, 1.0])


PAIRS = st.lists(st.tuples(st.floats(0.0, 1.0), st.booleans()), min_size=4, max_size=60)


@given(pairs=PAIRS)
def test_fitted_scalings_keep_the_order_and_the_range(pairs: list[tuple[float, bool]]) -> None:
    scores, outcomes = [s for s, _ in pairs] + [0.0, 1.0], [float(o) for _, o in pairs] + [0.0, 1.0]
    scaling = fit_isotonic(scores, outcomes)
    mapped = [scaling(score) for score in sorted(scores)]
    assert all(0.0 <= value <= 1.0 for value in mapped)
    assert mapped == sorted(mapped)
    # Least squares: on its own data no other monotone map is better, so neither is the identity or the mean.
    error = brier_score([scaling(s) for s in scores], outcomes)
    assert error <= brier_score(scores, outcomes) + 1e-9
    assert error <= float(np.var(outcomes)) + 1e-9


@pytest.mark.parametrize("scaling", [
    PlattScaling(0.7, -0.2), TemperatureScaling(1.7), IsotonicScaling((0.1, 0.5), (0.0, 0.9)),
])  # fmt: skip
def test_a_scaling_comes_back_from_its_file(scaling: Scaling, tmp_path: Path) -> None:
    save_calibration(tmp_path, {"orm": scaling})
    assert load_calibration(tmp_path) == {"orm": scaling}


def test_a_file_without_kinds_is_platts_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    file = tmp_path / CALIBRATION_FILE
    with pytest.raises(ModelError, match="found none"):
        load_calibration(tmp_path)
    file.write_text(json.dumps({"prm": {"slope": 0.5, "intercept": 0.1}}))
    assert load_calibration(tmp_path) == {"prm": PlattScaling(0.5, 0.1)}
    for damaged in ("{", '{"prm": {"kind": "beta"}}', '{"prm": {"slope": 1, "offset": 2}}', '{"prm": 3}', "[]"):
        file.write_text(damaged)
        with pytest.raises(ModelError, match="expected scalings of kinds"):
            load_calibration(tmp_path)


class Fixed:
    name = "fixed"

    async def evaluate(self, states: Sequence[State]) -> list[float]:
        return [0.75 for _ in states]


def test_a_calibrated_critic_scales_every_score() -> None:
    critic = CalibratedCritic(Fixed(), PlattScaling(slope=2.0))
    assert asyncio.run(critic.evaluate([State("p", "q")])) == [pytest.approx(0.9)]


def test_a_score_out_of_range_is_an_error_before_calibration() -> None:
    class Wrong(Fixed):
        def __init__(self, score: float) -> None:
            self.score = score

        async def evaluate(self, states: Sequence[State]) -> list[float]:
            return [self.score for _ in states]

    for score in (1.5, -0.1, math.nan):
        for scaling in (PlattScaling(), IsotonicScaling((0.2, 0.6), (0.1, 0.5))):
            with pytest.raises(CriticError, match=rf"in \[0, 1\], got {score}"):
                asyncio.run(CalibratedCritic(Wrong(score), scaling).evaluate([State("p", "q")]))


def test_a_calibrated_critic_can_be_had_without_its_calibration() -> None:
    critic = Fixed()
    assert raw(CalibratedCritic(critic, PlattScaling())) is critic
    assert raw(critic) is critic


def test_quality_by_hand() -> None:
    scores, outcomes = [0.9, 0.8, 0.3, 0.6], [True, True, True, False]
    measured = quality(scores, outcomes)
    assert measured.precision == pytest.approx(2 / 3)
    assert measured.recall == pytest.approx(2 / 3)
    assert measured.auc == pytest.approx(2 / 3)  # 0.3 lies below the incorrect 0.6
    # four bins of one item each: gaps 0.1, 0.2, 0.7, 0.6, a quarter each
    assert expected_calibration_error(scores, [float(o) for o in outcomes]) == pytest.approx(0.4)
    with pytest.raises(ValueError, match="both kinds"):
        area_under_roc([0.5], [True])


def test_the_bins_of_a_reliability_diagram_by_hand() -> None:
    low, middle, high = reliability_bins([0.1, 0.3, 1.0], [0.0, 1.0, 1.0], num_bins=3)
    assert (low.num_scores, low.mean_score, low.mean_outcome) == (2, pytest.approx(0.2), 0.5)
    assert middle.num_scores == 0
    assert math.isnan(middle.mean_score)
    assert (high.low, high.high, high.num_scores, high.mean_outcome) == (2 / 3, 1.0, 1, 1.0)


def test_f1_and_brier_by_hand() -> None:
    measured = quality([0.9, 0.8, 0.3, 0.6], [True, True, True, False])
    assert measured.f1 == pytest.approx(2 / 3)
    assert measured.brier == pytest.approx((0.01 + 0.04 + 0.49 + 0.36) / 4)
    assert measured.base_rate == 0.75
    assert harmonic_mean(0.25, 0.75) == pytest.approx(0.375)
    assert harmonic_mean(0.0, 0.0) == 0.0


def test_what_the_items_do_not_define_is_nan() -> None:
    right = quality([0.2, 0.3], [True, True])
    assert math.isnan(right.precision)
    assert math.isnan(right.auc)
    assert right.recall == 0.0
    assert math.isnan(quality([0.2], [False]).recall)
    with pytest.raises(ValueError, match="got 0 and 0"):
        quality([], [])
    with pytest.raises(ValueError, match="got 1 and 2"):
        quality([0.1], [True, False])
