"""Trains the shipped policies from scratch: gsm_symbolic's questions and solutions, Countdown's rules and easy levels.

    python -m experiments.pretrain --out runs/policy              # resumes where it was stopped
    python -m experiments.pretrain --out runs/full --level full   # every template, any numbers
    python -m experiments.pretrain --out runs/countdown --world countdown

The shipped critics start from the first of these. What was trained is in `out/policy`, which `--policy` takes.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Sequence
from random import Random
from typing import cast

import torch
from safetensors.torch import load_file
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from alphallm_env.training.optimizers import MuonAndAdam
from alphallm_env.types import Problem
from experiments.pretraining import countdown, gsm_symbolic
from experiments.pretraining.config import PretrainConfig
from experiments.pretraining.documents import encode
from experiments.pretraining.model import build_model, export, greedy_accuracy, loss_of, recover, save
from experiments.runs.settings import settings_of

WORLDS = {"gsm_symbolic": gsm_symbolic, "countdown": countdown}


def main(config: PretrainConfig) -> None:
    """Trains until `tokens` are seen or the development accuracy is reached."""
    torch.set_num_threads(config.threads)
    folder = config.out / "checkpoint"
    world = WORLDS[config.world]
    development = world.development(config)
    tokens_seen = 0
    config.out.mkdir(parents=True, exist_ok=True)
    recover(folder)
    if (folder / "progress.json").exists():
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
        model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
        optimizer = MuonAndAdam(model.named_parameters(), config.muon_lr, config.adam_lr)
        optimizer.load_tensors(load_file(folder / "optimizers.safetensors"))
        tokens_seen = int(json.loads((folder / "progress.json").read_text())["tokens"])
    elif config.start is not None:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(config.start)
        model = LlamaForCausalLM.from_pretrained(config.start, dtype=torch.float32, attn_implementation="eager")
        optimizer = MuonAndAdam(model.named_parameters(), config.muon_lr, config.adam_lr)
    else:
        tokenizer = world.tokenizer_of(config)
        model = build_model(config, tokenizer)
        optimizer = MuonAndAdam(model.named_parameters(), config.muon_lr, config.adam_lr)
    print(f"{model.num_parameters():,} weights, vocabulary {len(tokenizer)}", flush=True)
    train(model, tokenizer, optimizer, config, tokens_seen, development)
    export(model, tokenizer, config.out / "policy")


def train(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    optimizer: MuonAndAdam,
    config: PretrainConfig,
    tokens_seen: int,
    development: Sequence[Problem],
) -> None:
    """Runs the training loop, saving and evaluating every `save_every` tokens."""
    start = time.monotonic()
    model.train()
    forward = cast(LlamaForCausalLM, torch.compile(model, dynamic=True)) if config.compile else model
    while tokens_seen < config.tokens:
        segment_start = time.monotonic()
        tokens, loss = train_segment(forward, tokenizer, optimizer, config, tokens_seen)
        rate = (tokens - tokens_seen) / (time.monotonic() - segment_start)
        tokens_seen = tokens
        accuracy = greedy_accuracy(model, tokenizer, development)
        save(
            config.out / "checkpoint",
            model,
            tokenizer,
            optimizer,
            {"tokens": tokens, "development_greedy": accuracy},
        )
        entry = {
            "tokens": tokens,
            "loss": loss,
            "development_greedy": accuracy,
            "seconds": time.monotonic() - start,
        }
        with (config.out / "curve.jsonl").open("a") as file:
            file.write(json.dumps(entry) + "\n")
        print(f"{tokens:>10,} tokens  loss {loss:.4f}  greedy {accuracy:.3f}  {rate:,.0f} tokens/s", flush=True)
        if accuracy >= config.stop_at_accuracy:
            break


def lr_factor(tokens_seen: int, config: PretrainConfig) -> float:
    """Returns the share of the peak learning rate: warm-up, constant, then linear decay to 0 after `anneal_from`."""
    rising = min(1.0, (tokens_seen + 1) / config.warmup_tokens)
    if config.anneal_from is None or tokens_seen < config.anneal_from:
        return rising
    return max(0.0, (config.tokens - tokens_seen) / (config.tokens - config.anneal_from))


def train_segment(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    optimizer: MuonAndAdam,
    config: PretrainConfig,
    tokens_seen: int,
) -> tuple[int, float]:
    """Trains up to the next multiple of `save_every` and returns tokens seen and the segment's mean loss.

    The documents of a segment depend on the seed and on where it begins only.
    """
    stream = WORLDS[config.world].documents(config, Random(f"{config.seed}:{tokens_seen}"), tokens_seen)
    target = (tokens_seen // config.save_every + 1) * config.save_every
    losses: list[float] = []
    while tokens_seen < target:
        batch = list(itertools.islice(stream, config.batch_documents))
        parts = encode(batch, tokenizer, config.question_weight)
        losses.append(optimizer.step(loss_of(model, parts), lr_factor(tokens_seen, config)))
        tokens_seen += sum(int((weights > 0).sum()) for _, weights in parts)
    return tokens_seen, sum(losses) / len(losses)


if __name__ == "__main__":
    main(settings_of(PretrainConfig))
