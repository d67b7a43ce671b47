"""Training critics: its real command on a handful of problems, and what it leaves behind."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from alphallm_env.critics.notes import load_notes_limit
from alphallm_env.dynamics import Rules
from alphallm_env.engine import Engine
from alphallm_env.errors import OverlapError, ProblemError, RunError
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
    assert load_notes_limit(config.out / "critics") == config.max_tokens


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


def test_critics_that_are_only_calibrated_keep_their_weights(config: CriticsConfig, qualities, tmp_path: Path):
    folder = config.out / "critics"
    before = load_file(folder / "model.safetensors")
    calibrated = train_critics.main(replace(config, out=tmp_path, calibrate=str(folder)))
    assert not (tmp_path / "train.jsonl").exists()
    after = load_file(tmp_path / "critics" / "model.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)
    # The same policy and problems: what was measured before is measured again.
    assert calibrated["orm"].auc == pytest.approx(qualities["orm"].auc, abs=1e-6)


def test_data_is_collected_once(config: CriticsConfig, qualities, monkeypatch: pytest.MonkeyPatch):
    def again(*_: object) -> None:
        pytest.fail("sampled twice")

    monkeypatch.setattr(critic_data.Sampler, "continuations", again)
    assert {name: quality.num_scores for name, quality in train_critics.main(config).items()} == {
        name: quality.num_scores for name, quality in qualities.items()
    }


def test_data_of_other_settings_are_refused(config: CriticsConfig, qualities):
    with pytest.raises(RunError, match="samples: 4 there, 5 now"):
        train_critics.main(replace(config, samples=5))


def test_a_file_is_cut_into_splits_that_share_no_question(config: CriticsConfig, tmp_path: Path):
    path = tmp_path / "problems.jsonl"
    rows = [{"question": f"How many are {n}?", "answer": str(n)} for n in range(14)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = replace(config, problems=str(path))
    parts = train_critics.splits(config)
    assert {split: len(part) for split, part in parts.items()} == {"train": 6, "development": 4, "test": 4}
    assert len({problem.question for part in parts.values() for problem in part}) == 14
    with pytest.raises(ProblemError, match="expected 15 problems"):
        train_critics.splits(replace(config, train_problems=7))
    path.write_text("".join(json.dumps({"question": "How many?", "answer": "3"}) + "\n" for _ in range(14)))
    with pytest.raises(OverlapError):
        train_critics.splits(config)


def test_few_examples_are_one_batch_and_none_are_an_error(config: CriticsConfig):
    lm = load_policy(device="cpu").lm
    critic = train_critics.TransformersLM.load(lm.name, "cpu", "float32")
    before = critic.model.get_input_embeddings().weight.detach().clone()
    head = torch.nn.Linear(critic.model.config.hidden_size, 1)
    labels = critic.label_ids(("True", "False"))
    train_critics.train(critic, head, [train_critics.Example((1, 2, 3), label=labels[0])], labels, config)
    assert not torch.equal(before, critic.model.get_input_embeddings().weight)
    with pytest.raises(ValueError, match="at least one example"):
        train_critics.train(critic, head, [], labels, config)
