"""The tiny policy while it is pre-trained: a fresh model, its loss and accuracy, its checkpoints, its export."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import save_file
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from alphallm_env.lm.base import GenerationRequest
from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.lm.prompts import TinyTemplate
from alphallm_env.lm.word_tokenizer import SOLUTION
from alphallm_env.mdp.rewards import CORRECT, verdict_of
from alphallm_env.training.optimizers import MuonAndAdam
from alphallm_env.training.precision import mixed_precision
from alphallm_env.types import Problem
from experiments.pretraining.config import PretrainConfig


def build_model(config: PretrainConfig, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Returns a freshly initialised Llama of the configured size."""
    torch.manual_seed(config.seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=config.hidden_size,
            intermediate_size=config.intermediate_size,
            num_hidden_layers=config.num_layers,
            num_attention_heads=config.num_heads,
            num_key_value_heads=config.num_kv_heads,
            max_position_embeddings=512,
            tie_word_embeddings=True,
            initializer_range=0.02,
            bos_token_id=None,
            eos_token_id=cast(int, tokenizer.eos_token_id),
            pad_token_id=cast(int, tokenizer.pad_token_id),
        )
    )
    model.set_attn_implementation("eager")  # on short sequences its backward pass is twice as fast as sdpa's
    return model


def loss_of(model: LlamaForCausalLM, batch: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
    """Returns the weighted mean negative log-likelihood of the parts of a batch, in nats per token."""
    total, weights = torch.zeros(()), torch.zeros(())
    for ids, weight in batch:
        with mixed_precision(model.device):
            logits = model(input_ids=ids).logits
        losses = torch.nn.functional.cross_entropy(
            logits[:, :-1].float().flatten(0, 1), ids[:, 1:].flatten(), reduction="none"
        )
        total = total + (losses * weight[:, 1:].flatten()).sum()
        weights = weights + weight[:, 1:].sum()
    return total / weights


def greedy_accuracy(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, problems: Sequence[Problem]) -> float:
    """Returns the share of problems whose greedy solution is correct."""
    lm = TransformersLM(model, tokenizer, "pretraining")
    template = TinyTemplate()
    requests = [GenerationRequest(template.solve(p.question, ""), 0, 120, temperature=0.0) for p in problems]
    completions = lm.generate(requests)
    model.train()
    verdicts = [verdict_of(c.text, p) for c, p in zip(completions, problems, strict=True)]
    return verdicts.count(CORRECT) / len(problems)


def save(
    folder: Path,
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    optimizer: MuonAndAdam,
    progress: dict[str, float],
) -> None:
    """Writes a checkpoint beside the last one and then moves it into its place."""
    fresh, old = folder.with_suffix(".new"), folder.with_suffix(".old")
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    model.save_pretrained(fresh)
    tokenizer.save_pretrained(fresh)
    save_file(optimizer.tensors(), fresh / "optimizers.safetensors")
    (fresh / "progress.json").write_text(json.dumps(progress))
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def recover(folder: Path) -> None:
    """Puts a whole checkpoint back in its place where `save` was killed between its two renames."""
    fresh, old = folder.with_suffix(".new"), folder.with_suffix(".old")
    if not folder.exists() and old.exists():
        (fresh if fresh.exists() else old).rename(folder)


def export(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Writes the policy as it is shipped: bfloat16 weights; a question, too, ends where its solution begins."""
    solution_id = cast(int, tokenizer.convert_tokens_to_ids(SOLUTION))
    model.generation_config = GenerationConfig(
        eos_token_id=[tokenizer.eos_token_id, solution_id], pad_token_id=tokenizer.pad_token_id
    )
    model.set_attn_implementation("sdpa")
    model.bfloat16().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    print(f"{folder}: {model.num_parameters():,} weights, sha256 {digest}", flush=True)
