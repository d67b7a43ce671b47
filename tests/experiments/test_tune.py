"""Tuning on development problems: the real command on a few games, stopped and resumed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from experiments import tune
from experiments.tune import TuneConfig, space_of

SPACE = "c: {low: 0.1, high: 1.0, log: true}\nc_min_root: {low: 2, high: 6}\ngrowth: [0.0, 0.5]\n"


def written(folder: Path, text: str) -> Path:
    file = folder / "space.yaml"
    file.write_text(text)
    return file


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TuneConfig:
    folder = tmp_path_factory.mktemp("tune")
    return TuneConfig(
        space=written(folder, SPACE), problems=("countdown:3", "countdown:4"), limit=3, multiple=4, trials=3, threads=1,
        out=folder / "run",
    )  # fmt: skip


@pytest.fixture(scope="module")
def results(config: TuneConfig):
    return tune.main(config)


def test_the_best_trial_stands_beside_the_planners_own_settings(config: TuneConfig, results):
    assert len(results["trials"]) == 3
    assert results["accuracy"] == results["trials"][0]["accuracy"] == max(t["accuracy"] for t in results["trials"])
    assert results["gain"] == pytest.approx(results["accuracy"] - results["own"], abs=1e-3)
    assert results["gain_ci95"][0] <= results["gain"] <= results["gain_ci95"][1]
    for trial in results["trials"]:
        assert 0.1 <= trial["c"] <= 1.0
        assert trial["c_min_root"] in range(2, 7)
        assert trial["growth"] in (0.0, 0.5)
    assert json.loads((config.out / "results.json").read_text()) == results


def test_a_study_goes_on_where_it_was_stopped(config: TuneConfig, results, tmp_path: Path):
    assert tune.main(config) == results
    storage = JournalStorage(JournalFileBackend(str(config.out / "study.log")))
    optuna.load_study(study_name="tune", storage=storage).ask()  # a trial that was killed
    more = tune.main(replace(config, trials=4))
    assert all(trial in more["trials"] for trial in results["trials"])
    assert tune.main(replace(config, trials=4, out=tmp_path / "at once")) == more


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("c: 3\n", "c needs a list of values, or low and high, got 3"),
        ("c: {low: 3}\n", "c needs a list of values, or low and high"),
        ("- 3\n", "must be a YAML file of settings by name"),
        ("a: [\n", "must be a YAML file of settings, got"),
    ],
)
def test_a_space_that_is_none_is_refused(tmp_path: Path, text: str, said: str):
    with pytest.raises(SystemExit, match=said):
        space_of(written(tmp_path, text))


def test_what_cannot_be_tuned_is_refused(config: TuneConfig, tmp_path: Path):
    with pytest.raises(ValueError, match="tuned on development problems, got split test"):
        replace(config, split="test")
    with pytest.raises(SystemExit, match="must be a tree search, got 'majority'"):
        tune.main(replace(config, planner="majority", out=tmp_path / "run"))
    with pytest.raises(SystemExit, match=r"must name settings among .*growth.*, got depth"):
        tune.main(replace(config, space=written(tmp_path, "depth: [3]\n"), out=tmp_path / "run"))
    assert not (tmp_path / "run").exists()
