"""Training critics: its real command on a handful of problems, and what it leaves behind."""

from __future__ import annotations

import json

import pytest

from alphallm_env.dynamics import Rules
from alphallm_env.engine import Engine
from alphallm_env.loading import build_simulator, load_policy
from alphallm_env.metering import Meter, metering
from alphallm_env.problems import gsm_symbolic
from alphallm_env.types import Option
from experiments import critic_data, train_critics
from experiments.train_critics import CriticsConfig


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> CriticsConfig:
    return CriticsConfig(
        out=tmp_path_factory.mktemp("critics"), train_problems=6, development_problems=4, test_problems=4,
        samples=4, min_visits=2, epochs=1, batch_sequences=8, device="cpu",
    )  # fmt: skip


@pytest.fixture(scope="module")
def qualities(config: CriticsConfig):
    return train_critics.main(config)


def test_every_critic_is_measured_on_held_out_trajectories(config: CriticsConfig, qualities):
    assert set(qualities) == {"value", "prm", "orm"}
    for quality in qualities.values():
        assert 0.0 <= quality.auc <= 1.0
        assert 0.0 <= quality.ece <= 1.0
        assert quality.num_scores > 0
    assert qualities["orm"].num_scores <= 4 * 4
    written = json.loads((config.out / "quality.json").read_text())
    assert written["quality"]["orm"]["auc"] == qualities["orm"].auc
    assert written["config"]["samples"] == 4


def test_what_was_trained_is_loaded_by_its_folder(config: CriticsConfig, qualities):
    with Engine() as engine:
        policy = load_policy(device="cpu")
        simulator = build_simulator(policy, str(config.out / "critics"), Rules(), engine, device="cpu")
        [problem] = gsm_symbolic.problems("test", 1)
        state = simulator.initial_state(problem)
        state = simulator.transition(state, Option("1 + 1 = 2\n", 6)).state
        with metering(Meter()) as meter:
            for critic in ("value", "prm", "orm"):
                [score] = engine.run(simulator.score(critic, [state]))
                assert 0.0 < score < 1.0
    assert meter.usage.tokens == meter.usage.critic_tokens > 0


def test_data_is_collected_once(config: CriticsConfig, qualities, monkeypatch: pytest.MonkeyPatch):
    def again(*_: object) -> None:
        pytest.fail("sampled twice")

    monkeypatch.setattr(critic_data.Sampler, "continuations", again)
    assert {name: quality.num_scores for name, quality in train_critics.main(config).items()} == {
        name: quality.num_scores for name, quality in qualities.items()
    }
