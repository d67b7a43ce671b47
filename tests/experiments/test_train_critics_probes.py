"""Training critics as probes of the policy: the real command on a handful of problems."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from alphallm_env.critics.context import CriticContext
from alphallm_env.critics.loading import load_critics
from alphallm_env.loading import load_policy
from alphallm_env.runtime.engine import Engine
from alphallm_env.training.graded import state_after
from experiments import train_critics
from experiments.critics.config import CriticsConfig
from experiments.runs.settings import changed


def test_probes_are_fitted_or_critics_calibrated(tmp_path: Path):
    with pytest.raises(ValueError, match=r"takes critics as they are, got 'tiny' with --probe-layers \(2, 4\)"):
        changed(CriticsConfig(tmp_path), calibrate="tiny", probe_layers=(2, 4))


def test_layers_that_do_not_exist_are_refused_before_anything_is_sampled(tmp_path: Path):
    with pytest.raises(ValueError, match=r"from 1 or more to at most 6, got \[2, 7\]"):
        train_critics.main(changed(CriticsConfig(tmp_path), probe_layers=(2, 7), device="cpu"))
    assert not list(tmp_path.iterdir())


def test_the_command_fits_measures_and_keeps_them(tmp_path: Path):
    config = changed(
        CriticsConfig(tmp_path), train_problems=12, development_problems=6, test_problems=6, samples=4, min_visits=1,
        probe_layers=(2, 4), device="cpu",
    )  # fmt: skip
    qualities = train_critics.main(config)
    report = json.loads((tmp_path / "quality.json").read_text())
    assert report["quality"]["orm"]["auc"] == qualities["orm"].auc
    assert report["reranking"]["num_problems"] == 6
    assert sorted(path.name for path in (tmp_path / "critics").iterdir()) == [
        "calibration.json", "probes.json", "probes.safetensors"
    ]  # fmt: skip
    with Engine() as engine:
        critics = load_critics(tmp_path / "critics", CriticContext(load_policy(device="cpu"), engine, "cpu"))
        assert critics.value is not None
        [score] = engine.run(critics.value.evaluate([state_after("2 + 3?", ())]))
        assert 0.0 < score < 1.0
