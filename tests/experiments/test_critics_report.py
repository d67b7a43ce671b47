"""The report on critics: what each is asked, by hand; the real command on a handful of problems."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace

import matplotlib.image
import numpy as np
import pytest

from alphallm_env.critics.calibration import load_calibration
from alphallm_env.critics.measures import quality
from alphallm_env.errors import RunError
from alphallm_env.runtime.seeds import derive_seed
from alphallm_env.training.graded import Item, LabelledStep, ProblemData, Sample, items_of, state_after
from experiments import critics_report
from experiments.critics.reliability import depth_picture, reliability_picture
from experiments.critics.scores import ScoredItems, cross_validated
from experiments.critics_report import ReportConfig


def test_what_each_critic_is_asked() -> None:
    data = ProblemData(
        (Sample("p", "Q?", ("a\n", "#### 1"), True),), (LabelledStep("Q?", ("a\n",), "b\n", 0.25),)
    )  # fmt: skip
    items = items_of([data], threshold=0.3)
    assert [(item.state.text, item.outcome) for item in items["value"]] == [
        ("", True),
        ("a\n", True),
        ("a\n#### 1", True),
    ]
    assert [(item.state.text, item.outcome) for item in items["orm"]] == [("a\n#### 1", True)]
    [step] = items["prm"]
    assert step.state.option is not None
    assert (step.state.parent.text, step.state.option.text, step.outcome) == ("a\n", "b\n", False)
    assert items_of([data], threshold=0.25)["prm"][0].outcome is True


def test_depths_are_options_taken() -> None:
    items = [
        Item(state_after("Q?", steps), outcome)
        for steps, outcome in ((("a",), True), (("a", "b"), False), (("c",), False))
    ]
    by_depth = ScoredItems(items, [0.1, 0.2, 0.3]).by_depth()
    assert {depth: part.scores for depth, part in by_depth.items()} == {1: [0.1, 0.3], 2: [0.2]}
    assert by_depth[1].outcomes == [True, False]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> ReportConfig:
    folder = tmp_path_factory.mktemp("report")
    return ReportConfig(
        json=folder / "figures.json", out=folder / "report", smoke=True, device="cpu", calibration="platt"
    )


@pytest.fixture(scope="module")
def reports(config: ReportConfig):
    return critics_report.main(config)


def test_every_figure_is_written(config: ReportConfig, reports) -> None:
    written = json.loads(config.json.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    for name in ("value", "prm", "orm"):
        for measure in ("precision", "recall", "f1", "ece", "auc", "brier", "ece_raw"):
            assert 0.0 <= written[f"{name}_{measure}"] <= 1.0
        assert set(written["critics"][name]["splits"]) == {"development", "test", "unseen_templates"}
        assert set(written["critics"][name]["splits"]["test"]) == {"raw", "kept", "temperature", "platt", "isotonic"}
        depths = written["critics"][name]["by_depth"]
        assert sum(depth["num_scores"] for depth in depths.values()) == reports[name].headline.num_scores
        assert written["provenance"][name]["calibration"]
    assert written["paper"]["prm"] == {"precision": 0.62, "recall": 0.90, "ece": 0.375}
    assert json.loads((config.out / "report.json").read_text()) == written


def test_the_fit_is_kept_and_better_on_what_it_was_fitted_to(config: ReportConfig, reports) -> None:
    fitted = load_calibration(config.out)
    assert fitted == {name: report.scaling for name, report in reports.items()}
    for report in reports.values():
        development = report.splits["development"]
        assert development["isotonic"].brier <= development["raw"].brier + 1e-9


def test_a_fold_is_measured_by_a_fit_that_did_not_see_it() -> None:
    # Two problems in different folds, with opposite outcomes at equal scores: each fold gets the other's mean.
    first = "Q0?"
    second = next(q for q in (f"Q{n}?" for n in range(1, 99)) if derive_seed(q) % 2 != derive_seed(first) % 2)
    items = [
        Item(state_after(question, ()), outcome)
        for question, outcomes in ((first, (True, True, True, False)), (second, (False, False, False, True)))
        for outcome in outcomes
    ]
    found = cross_validated("isotonic", ScoredItems(items, [0.5] * 8), num_folds=2)
    assert found.brier == pytest.approx((6 * 0.75**2 + 2 * 0.25**2) / 8)


def test_the_best_kind_is_chosen_without_the_test_split(config: ReportConfig, reports) -> None:
    best = critics_report.main(replace(config, calibration="best", only=("prm",)))["prm"]
    assert best.calibration == min(best.folds, key=lambda kind: best.folds[kind].brier)
    assert best.headline == best.splits["test"][best.calibration]


def test_data_are_collected_once_and_not_mixed(config: ReportConfig, reports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(critics_report.Sampler, "continuations", lambda *_: pytest.fail("sampled twice"))
    again = critics_report.main(replace(config, only=("orm",)))
    assert again["orm"].headline == reports["orm"].headline
    with pytest.raises(RunError, match="samples: 4 there, 5 now"):
        critics_report.main(replace(config, smoke=False, **{**critics_report.SMOKE, "samples": 5}))


def test_settings_that_name_no_critic_are_refused() -> None:
    with pytest.raises(ValueError, match="--only must name some of value, prm, orm, got judge"):
        ReportConfig(only=("orm", "judge"))


def picture(png: bytes) -> np.ndarray:
    return matplotlib.image.imread(io.BytesIO(png))


def test_pictures_show_curves(config: ReportConfig, reports) -> None:
    for name in ("reliability_test", "reliability_unseen_templates", "by_depth"):
        assert picture((config.out / f"{name}.png").read_bytes()).std() > 0.01
    outcomes, raw = [True, False] * 20, [0.9, 0.2] * 20
    one = picture(reliability_picture({"orm": (outcomes, raw, raw)}, "one"))
    other = picture(reliability_picture({"orm": (outcomes, raw, [0.5] * 40)}, "one"))
    assert one.shape == other.shape
    assert not np.array_equal(one, other)
    few = quality([0.9], [True])
    assert math.isnan(few.auc)
    assert picture(depth_picture({"orm": {1: few}})).shape[2] == 4
