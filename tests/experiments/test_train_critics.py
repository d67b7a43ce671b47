"""Training critics: its real command on a handful of problems, and what it leaves behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from alphallm_env.critics.trained.notes import load_notes_limit
from alphallm_env.errors import ModelError, OverlapError, ProblemError, RunError
from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.loading import build_simulator, load_policy
from alphallm_env.mdp.dynamics import Rules
from alphallm_env.problems import gsm_symbolic
from alphallm_env.runtime.engine import Engine
from alphallm_env.runtime.metering import Meter, metering
from alphallm_env.training import critics as critic_lessons
from alphallm_env.types import Option
from experiments import train_critics
from experiments.critics import data as critic_data
from experiments.critics.config import CriticsConfig
from experiments.runs.settings import changed


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> CriticsConfig:
    return changed(
        CriticsConfig(tmp_path_factory.mktemp("critics")), train_problems=6, development_problems=4, test_problems=4,
        samples=4, min_visits=2, epochs=48, batch_sequences=4, muon_lr=0.008, adam_lr=1e-3, device="cpu",
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
    assert load_notes_limit(config.out / "critics") == config.data.max_tokens


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
    calibrated = train_critics.main(changed(config, out=tmp_path, calibrate=str(folder)))
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
        train_critics.main(changed(config, samples=5))


@pytest.mark.parametrize("wrong", [{"option_rule": "line"}, {"problems": "none.jsonl"}])
def test_settings_that_are_refused_leave_nothing_in_the_way_of_the_next_try(
    config: CriticsConfig, tmp_path: Path, wrong: dict[str, str]
):
    with pytest.raises((ValueError, ProblemError)):
        train_critics.main(changed(config, out=tmp_path / "run", **wrong))
    assert not (tmp_path / "run").exists()


def test_a_file_is_cut_into_splits_that_share_no_question(config: CriticsConfig, tmp_path: Path):
    path = tmp_path / "problems.jsonl"
    rows = [{"question": f"How many are {n}?", "answer": str(n)} for n in range(14)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = changed(config, problems=str(path))
    parts = train_critics.splits(config)
    assert {split: len(part) for split, part in parts.items()} == {"train": 6, "development": 4, "test": 4}
    assert len({problem.question for part in parts.values() for problem in part}) == 14
    with pytest.raises(ProblemError, match="expected 15 problems"):
        train_critics.splits(changed(config, train_problems=7))
    path.write_text("".join(json.dumps({"question": "How many?", "answer": "3"}) + "\n" for _ in range(14)))
    with pytest.raises(OverlapError):
        train_critics.splits(config)


def test_few_examples_are_one_batch_and_none_are_an_error():
    lm = load_policy(device="cpu").lm
    critic = TransformersLM.load(lm.name, "cpu", "float32")
    before = critic.model.get_input_embeddings().weight.detach().clone()
    head = torch.nn.Linear(critic.model.config.hidden_size, 1)
    labels = critic.label_ids(("True", "False"))
    settings, example = critic_lessons.CriticTraining(), critic_lessons.Example((1, 2, 3), truth=1.0)
    critic_lessons.train(critic, head, [example], labels, settings)
    assert not torch.equal(before, critic.model.get_input_embeddings().weight)
    with pytest.raises(ValueError, match="at least one example"):
        critic_lessons.train(critic, head, [], labels, settings)


def qwen_trunk(folder: Path) -> str:
    """Writes a random Qwen2 of four layers that reads bytes and has a chat template."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE({character: index for index, character in enumerate(alphabet)}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens(["<|end|>"])
    template = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}<|end|>{% endfor %}"
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|end|>", chat_template=template)
    config = Qwen2Config(
        vocab_size=len(tokenizer) + 6, hidden_size=16, intermediate_size=16, num_hidden_layers=4, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=8192, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("labels", ["prefixes", "binary_search"])
def test_critics_of_another_architecture_learn_in_their_last_layers(labels: str, tmp_path: Path):
    trunk = qwen_trunk(tmp_path / "trunk")
    config = changed(
        CriticsConfig(tmp_path / "out"), trunk=trunk, notes=False, last_layers=1, labels=labels, soft_labels=True,
        calibration="isotonic", train_problems=4, development_problems=6, test_problems=4, samples=4, min_visits=2,
        batch_sequences=8, device="cpu",
    )  # fmt: skip
    qualities = train_critics.main(config)
    assert set(qualities) == {"value", "prm", "orm"}
    folder = config.out / "critics"
    before, after = (load_file(Path(where) / "model.safetensors") for where in (trunk, folder))
    learnt = {name for name in before if not torch.equal(before[name].bfloat16(), after[name])}
    assert learnt
    assert all(name.startswith(("model.layers.3.", "model.norm.")) for name in learnt)
    assert not (folder / "reader").exists()
    with Engine() as engine:
        simulator = build_simulator(load_policy(device="cpu"), str(folder), Rules(), engine, device="cpu")
        [problem] = gsm_symbolic.problems("test", 1)
        state = simulator.initial_state(problem)
        state = simulator.transition(state, Option("1 + 1 = 2\n", 6)).state
        for critic in ("value", "prm", "orm"):
            [score] = engine.run(simulator.score(critic, [state]))
            assert 0.0 <= score <= 1.0
        provenance = simulator.critics.provenance()["orm"]
    assert provenance.prompt is not None
    assert provenance.prompt.startswith("chat@")
    assert '"isotonic"' in (provenance.calibration or "")


def test_changes_of_low_rank_end_up_in_the_weights(tmp_path: Path):
    pytest.importorskip("peft", reason="needs the extra alphallm-env[lora]")
    trunk = qwen_trunk(tmp_path / "trunk")
    critic = TransformersLM.load(trunk, "cpu", "float32")
    head = torch.nn.Linear(critic.model.config.hidden_size, 1)
    names = [name for name, _ in critic.model.named_modules()]
    before = {name: weight.clone() for name, weight in critic.model.state_dict().items()}
    data = [critic_lessons.Example((n, n + 1, n + 2), truth=1.0, value=0.9) for n in range(16)]
    settings = critic_lessons.CriticTraining(epochs=20, batch_sequences=8, adam_lr=0.02, lora_rank=2)

    def loss() -> float:
        with torch.no_grad():
            texts = critic_lessons.passages(data)
            return critic_lessons.loss_of(critic.model, head, texts, critic.vocabulary.pad_id, (1, 2)).item()

    started = loss()
    critic_lessons.train(critic, head, data, (1, 2), settings)
    assert loss() < 0.7 * started
    assert [name for name, _ in critic.model.named_modules()] == names
    after = critic.model.state_dict()
    changed = {name: after[name] - before[name] for name in before if not torch.equal(after[name], before[name])}
    assert set(changed) == {name for name in before if "_proj.weight" in name}
    for change in changed.values():
        sizes = torch.linalg.svdvals(change)
        assert (sizes[2:] < 1e-4 * sizes[0]).all()


def test_what_learns_is_chosen_once(tmp_path: Path):
    with pytest.raises(ValueError, match="0 with --last-layers, got 4 with 2 layers"):
        changed(CriticsConfig(tmp_path), lora_rank=4, last_layers=2)
    with pytest.raises(ValueError, match=r"lora_rank must be >= 0.*got -1"):
        changed(CriticsConfig(tmp_path), lora_rank=-1)


def test_more_layers_than_there_are_cannot_learn(tmp_path: Path):
    model = Qwen2ForCausalLM.from_pretrained(qwen_trunk(tmp_path))
    with pytest.raises(ModelError, match="at least 5 layers to train, got 4 of Qwen2ForCausalLM"):
        critic_lessons.freeze_but_last(model, 5)


def test_a_text_and_its_beginnings_are_read_in_one_pass_to_the_same_loss():
    critic = TransformersLM.load(load_policy(device="cpu").lm.name, "cpu", "float32")
    head = torch.nn.Linear(critic.model.config.hidden_size, 1)
    labels = critic.label_ids(("True", "False"))
    data = [
        critic_lessons.Example((5, 6), value=0.5),
        critic_lessons.Example((5, 6, 7), value=0.25),
        critic_lessons.Example((5, 6, 7, 9), truth=1.0),
        critic_lessons.Example((5, 6, 8), truth=0.0),
        critic_lessons.Example((5, 6, 7), truth=0.5),
    ]
    together = critic_lessons.passages(data)
    assert [passage.tokens for passage in together] == [(5, 6, 7, 9), (5, 6, 8)]
    assert sorted(len(passage.examples) for passage in together) == [1, 4]

    def loss(texts: list[critic_lessons.Passage]) -> float:
        return critic_lessons.loss_of(critic.model, head, texts, critic.vocabulary.pad_id, labels).item()

    apart = [critic_lessons.Passage(example.tokens, (example,)) for example in data]
    with torch.no_grad():
        assert loss(together) == pytest.approx(loss(apart), rel=2e-2)  # bfloat16 where the processor has it


def test_soft_labels_pull_towards_the_share():
    critic = TransformersLM.load(load_policy(device="cpu").lm.name, "cpu", "float32")
    head = torch.nn.Linear(critic.model.config.hidden_size, 1)
    labels = critic.label_ids(("True", "False"))

    def loss(truth: float) -> float:
        batch = critic_lessons.passages([critic_lessons.Example((1, 2, 3), truth=truth)])
        return critic_lessons.loss_of(critic.model, head, batch, critic.vocabulary.pad_id, labels).item()

    # Cross entropy is linear in its target.
    assert loss(0.25) == pytest.approx(0.25 * loss(1.0) + 0.75 * loss(0.0), abs=1e-4)
