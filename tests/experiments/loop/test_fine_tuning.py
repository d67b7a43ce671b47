"""The loop teaches a chat model problem → solution, and asks it likewise from then on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from alphallm_env.training import sft
from alphallm_env.training.base import Lesson
from experiments.loop.config import PRESETS, smoke
from experiments.loop.improvement import SelfImprovement
from experiments.runs.models import Models

CHAT = (
    "{% for turn in messages %}<{{ turn.role }}>{{ turn.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
QUESTION = "A kid has 3 books. His sister has 2 more. How many does she have?"
SOLUTION = "She has 3 + 2 = 5 books.\n" * 25 + "The final answer is \\boxed{5}."


@pytest.fixture
def chat_model(tmp_path: Path) -> str:
    """The folder of a chat model of random weights that reads bytes: three worked examples are 1,500 tokens to it."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    byte_level = Tokenizer(models.BPE({letter: n for n, letter in enumerate([*alphabet, "<end>"])}, []))
    byte_level.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    byte_level.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=byte_level, eos_token="<end>", pad_token="<end>")
    tokenizer.chat_template = CHAT
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=4096, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    folder = tmp_path / "model"
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


class Learnt(sft.SFTTrainer):
    """The trainer, which keeps the texts that it learns from."""

    texts: list[str]

    def compute_loss(self, model, inputs, *arguments, **settings):
        self.texts += [self.processing_class.decode(ids) for ids in inputs["input_ids"]]
        return super().compute_loss(model, inputs, *arguments, **settings)


def test_a_chat_model_is_taught_without_worked_examples(
    chat_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Learnt, "texts", [], raising=False)
    monkeypatch.setattr(sft, "SFTTrainer", Learnt)
    preset = smoke(PRESETS["gsm8k"])
    problems = replace(preset.problems, train_problems="gsm_symbolic", test_problems="gsm_symbolic")
    config = replace(preset, models=Models(policy=chat_model), problems=problems)
    with SelfImprovement(config, tmp_path / "run") as run:
        models = run.config.models
        before = run.simulator(models).policy
        taught = run.fine_tune(1, models, [Lesson(QUESTION, SOLUTION)])
        after = run.simulator(models.with_policy(taught)).policy
        again = run.fine_tune(2, models.with_policy(taught), [Lesson(QUESTION, SOLUTION)])
    assert "pencils" in before.template.solve(QUESTION, "")
    prompt = after.template.solve(QUESTION, "")
    assert prompt.count("<user>") == 1
    assert "pencils" not in prompt
    assert set(Learnt.texts) == {f"{prompt}{SOLUTION}<end>"}
    assert (Path(again) / "model.safetensors").is_file()
