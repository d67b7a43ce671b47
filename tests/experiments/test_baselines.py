"""The comparison of standard agents, from its command's settings to its table, its picture and its files."""

import inspect
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from paths import ROOT

from agents.sb3 import ALGORITHMS
from alphallm_env.errors import RunError
from experiments import baselines
from experiments.choice import comparison
from experiments.choice import training as baseline_training
from experiments.choice.comparison import BaselinesConfig
from experiments.choice.report import row_of, scores_by_template, success_by_problem
from experiments.choice.rules import Played
from experiments.choice.training import ENV_ID, ZOO, read_zoo, recipe

SMOKE = BaselinesConfig(algorithms=("ppo", "dqn"), planners=("greedy",), smoke=True)
RULES = ["random", "most_probable", "highest_prm", "highest_value"]


def played(problem_id, is_success, num_tokens=10, num_invalid=0):
    return Played(problem_id, is_success, num_tokens, 2, num_invalid)


RUNS = [
    [played("t/1/a", True), played("t/2/a", False), played("t/1/b", False, num_invalid=1)],
    [played("t/1/a", True), played("t/2/a", True, num_tokens=40), played("t/1/b", False)],
]


def test_scores_are_success_rates_of_templates():
    np.testing.assert_array_equal(scores_by_template(RUNS), [[0.5, 0.0], [0.5, 1.0]])
    np.testing.assert_array_equal(success_by_problem(RUNS), [1.0, 0.5, 0.0])


def test_a_row_by_hand():
    row = row_of("agent", "trained", RUNS, [RUNS[0], RUNS[0]])
    assert row.mean.value == 0.5
    assert row.interquartile_mean.value == 0.5
    assert row.gain.value == pytest.approx(0.5 / 3)  # one of three problems, in one of two runs
    assert row.tokens_per_problem == pytest.approx(90 / 6)
    assert row.invalid_rate == pytest.approx(1 / 12)
    with pytest.raises(ValueError, match="expected the same problems in every run of agent"):
        row_of("agent", "trained", RUNS, [RUNS[0][:2]])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("baselines")
    rows = baselines.main(replace(SMOKE, out=folder / "run", json=folder / "results.json"))
    return folder, rows


def test_everything_is_left_behind(run):
    folder, rows = run
    assert [row.agent for row in rows] == [*RULES, "ppo", "dqn", "greedy"]
    assert (folder / "run" / "results.json").read_text() == (folder / "results.json").read_text()
    results = json.loads((folder / "results.json").read_text())
    assert results["budget"] == baselines.mean_tokens([[_stage(folder, f"{name}-{seed}") for seed in (0, 1)]
                                                       for name in ("ppo", "dqn")])  # fmt: skip
    assert [point["num_steps"] for point in results["curves"]["ppo"][0]] == [0, 32, 64]
    assert sorted(file.name for file in (folder / "run" / "checkpoints" / "ppo-0").iterdir()) == [
        "curve.json",
        "policy.safetensors",
    ]
    assert not [*folder.rglob("*.zip"), *folder.rglob("*.pkl")]
    assert (folder / "run" / "curves.png").read_bytes()[:4] == b"\x89PNG"


def _stage(folder, name):
    return [Played(**episode) for episode in json.loads((folder / "run" / "stages" / f"{name}.json").read_text())]


def test_learning_is_in_tensorboard(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run[0] / "run" / "tensorboard" / "ppo-1"))
    events.Reload()
    assert {"development/success", "rollout/ep_rew_mean", "rollout/success_rate"} <= set(events.Tags()["scalars"])
    assert [event.step for event in events.Scalars("development/success")] == [0, 32, 64]


def test_the_same_command_goes_on_and_ends_with_the_same_results(run, monkeypatch):
    folder, _ = run
    before = (folder / "results.json").read_text()
    stages = folder / "run" / "stages"
    (stages / "dqn-1.json").unlink()
    (stages / "random-0.json").unlink()
    shutil.rmtree(folder / "run" / "checkpoints" / "dqn-1")
    trained = []
    train = baseline_training.train
    monkeypatch.setattr(comparison, "train", lambda *given: (trained.append(given[3]), train(*given)))
    baselines.main(replace(SMOKE, out=folder / "run", json=folder / "results.json"))
    assert trained == [1]
    assert (folder / "results.json").read_text() == before


def test_other_settings_are_refused(run):
    with pytest.raises(RunError, match="num_options: 4 there, 3 now"):
        baselines.main(replace(SMOKE, num_options=3, out=run[0] / "run"))
    with pytest.raises(ValueError, match="num_seeds must be >= 1, got 0"):
        BaselinesConfig(num_seeds=0)


def test_nobody_learns_from_what_is_tested(tmp_path):
    file = tmp_path / "problems.jsonl"
    file.write_text('{"question": "1 + 1?", "answer": "2"}\n{"question": "1 + 2?", "answer": "3"}\n')
    with pytest.raises(RunError, match="no problem both to learn from and to test on, got 2"):
        baselines.main(replace(SMOKE, problems=str(file), out=tmp_path / "run"))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_zoo_names_what_the_algorithms_take(algorithm):
    found = recipe(algorithm)
    accepted = inspect.signature(ALGORITHMS[algorithm].__init__).parameters
    assert found.hyperparameters.keys() <= accepted.keys()
    assert (found.num_envs, found.num_steps) == (16, 40_000)
    assert recipe(algorithm, 10).num_steps == 10
    import gymnasium as gym

    environment = inspect.signature(gym.envs.registration.load_env_creator(gym.spec(ENV_ID).entry_point).__init__)
    assert read_zoo(algorithm)["env_kwargs"].keys() <= environment.parameters.keys()


def test_an_unknown_algorithm_is_refused():
    with pytest.raises(ValueError, match="algorithm must be one of a2c, dqn, maskable_ppo, ppo, got 'sac'"):
        read_zoo("sac")


@pytest.mark.parametrize("algorithm", ["ppo", "dqn"])
def test_rl_zoo3_trains_with_it(algorithm, tmp_path):
    pytest.importorskip("rl_zoo3")
    less = {"ppo": ["n_steps:8", "batch_size:8"], "dqn": ["learning_starts:4"]}[algorithm]
    command = [sys.executable, "-m", "rl_zoo3.train", "--algo", algorithm, "--env", ENV_ID, "--gym-packages",
               "alphallm_env", "--conf-file", str(ZOO / f"{algorithm}.yml"), "--n-timesteps", "8", "--eval-freq", "-1",
               "--device", "cpu", "--seed", "0", "--log-folder", str(tmp_path), "--hyperparams", "n_envs:1", *less,
               "env_kwargs:dict(split='train', limit=2, reward='verifier', embedding=False)"]  # fmt: skip
    path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, timeout=300
    )
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-2_000:]
    assert list(tmp_path.rglob("config.yml"))
