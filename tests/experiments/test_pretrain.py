"""Pre-training: its real command on a model of a few thousand weights, stopped and resumed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.lm.shipped import TINY_POLICY
from experiments import pretrain
from experiments.pretraining import gsm_symbolic
from experiments.pretraining.config import PretrainConfig
from experiments.pretraining.documents import Document, encode
from experiments.pretraining.gsm_symbolic import drill
from experiments.pretraining.model import recover


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return AutoTokenizer.from_pretrained(TINY_POLICY)


@pytest.fixture
def config(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PretrainConfig]:
    # Counting the words of 20,000 problems takes longer than the rest: the shipped vocabulary will do.
    monkeypatch.setattr(gsm_symbolic, "tokenizer_of", lambda config: tokenizer)
    threads = torch.get_num_threads()
    yield PretrainConfig(
        out=tmp_path / "run", tokens=2_000, save_every=1_000, batch_documents=4, hidden_size=32, num_layers=1,
        num_heads=2, intermediate_size=32, warmup_tokens=500, development_problems=2, threads=1,
    )  # fmt: skip
    torch.set_num_threads(threads)


def progress(out: Path) -> dict[str, float]:
    return json.loads((out / "checkpoint" / "progress.json").read_text())


def curve(out: Path) -> list[dict[str, float]]:
    entries = [json.loads(line) for line in (out / "curve.jsonl").read_text().splitlines()]
    return [{key: value for key, value in entry.items() if key != "seconds"} for entry in entries]


def test_training_that_was_stopped_goes_on_and_ends_like_one_that_was_not(config: PretrainConfig, tmp_path: Path):
    pretrain.main(config)
    stopped = progress(config.out)
    assert 2_000 <= stopped["tokens"] < 3_000
    pretrain.main(replace(config, tokens=4_000))
    whole = replace(config, tokens=4_000, out=tmp_path / "whole")
    pretrain.main(whole)
    assert progress(config.out) == progress(whole.out)
    assert progress(whole.out)["tokens"] >= 4_000
    assert curve(config.out) == curve(whole.out)
    assert len(curve(whole.out)) >= 3
    for file in ("model.safetensors", "optimizers.safetensors"):
        one, other = (load_file(out / "checkpoint" / file) for out in (config.out, whole.out))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(("left", "restored"), [(("new", "old"), "new"), (("old",), "old"), (("new",), None)])
def test_a_kill_between_two_renames_loses_no_checkpoint(tmp_path: Path, left: tuple[str, ...], restored: str | None):
    folder = tmp_path / "checkpoint"
    for suffix in left:
        folder.with_suffix(f".{suffix}").mkdir()
        (folder.with_suffix(f".{suffix}") / "progress.json").write_text(suffix)
    recover(folder)  # a first checkpoint may not be whole: it has no old one beside it
    assert ((folder / "progress.json").read_text() if folder.exists() else None) == restored


def test_what_is_exported_is_a_policy(config: PretrainConfig):
    pretrain.main(config)
    lm = TransformersLM.load(config.out / "policy", device="cpu")
    solution, end = (lm.tokenizer.convert_tokens_to_ids(token) for token in ("<|solution|>", "<|end|>"))
    assert lm.vocabulary.end_ids == {solution, end}
    weights = load_file(config.out / "policy" / "model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.bfloat16}


def test_training_starts_from_a_model_where_one_is_named(config: PretrainConfig, tmp_path: Path):
    pretrain.main(config)
    start = config.out / "policy"
    pretrain.main(replace(config, out=tmp_path / "second", start=start, muon_lr=0.0, adam_lr=0.0, tokens=1_000))
    before, after = (load_file(folder / "model.safetensors") for folder in (start, tmp_path / "second" / "policy"))
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_it_stops_at_the_accuracy_that_was_asked_for(config: PretrainConfig):
    pretrain.main(replace(config, tokens=100_000, stop_at_accuracy=0.0))
    assert len(curve(config.out)) == 1


def test_the_learning_rate_rises_stays_and_falls():
    config = PretrainConfig(out=Path("unused"), tokens=1_000, warmup_tokens=100, anneal_from=600)
    rates = [pretrain.lr_factor(tokens, config) for tokens in (49, 99, 599, 600, 800, 1_000, 1_200)]
    assert rates == [0.5, 1.0, 1.0, 1.0, 0.5, 0.0, 0.0]
    assert pretrain.lr_factor(10_000, replace(config, anneal_from=None)) == 1.0


def test_a_question_weighs_less_than_its_solution_and_padding_nothing(tokenizer: PreTrainedTokenizerFast):
    batch = [Document("<|question|>1<|solution|>", "2 + 3"), Document("<|solution|>", "4")]
    [(ids, weights)] = encode(batch, tokenizer, question_weight=0.3, num_parts=1)
    assert weights.tolist() == [  # the shorter one comes first
        pytest.approx([0.3, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]),
        pytest.approx([0.3] * 3 + [1.0] * 4),  # 2, +, 3 and the end
    ]
    assert tokenizer.decode(ids[1]) == "<|question|>1<|solution|>2 + 3<|end|>"
    assert ids[0, 3:].tolist() == [tokenizer.pad_token_id] * 4


def test_parts_of_a_batch_spare_padding_and_lose_no_document(tokenizer: PreTrainedTokenizerFast):
    batch = [Document("<|solution|>", " ".join("1" * length)) for length in (9, 1, 8, 2, 5)]
    parts = encode(batch, tokenizer, question_weight=0.3)
    assert [len(ids) for ids, _ in parts] == [3, 2]
    assert sum(int((ids != tokenizer.pad_token_id).sum()) for ids, _ in parts) == 5 * 2 + 2 * 25 - 5
    assert parts[0][0].shape[1] < parts[1][0].shape[1]


def test_drills_are_right():
    rng = Random(0)
    compute = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__, "x": int.__mul__, "/": int.__floordiv__}
    for line in "\n".join(drill(rng).completion for _ in range(50)).split("\n"):
        left, result = line.split("=")
        sign = next(sign for sign in compute if sign in left)
        one, other = map(int, left.split(sign))
        assert compute[sign](one, other) == int(result)
        assert 0 <= int(result) <= 100
