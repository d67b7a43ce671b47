"""Trains the tiny policy from scratch on gsm_symbolic questions and solutions.

    python -m experiments.pretrain --out runs/trunk               # goes on where it was stopped
    python -m experiments.pretrain --out runs/full --level full   # every template, any numbers

The policy is left middling on purpose, as the paper's was. It is a trunk that has learnt to reason, and then
a short stretch of training in which some solutions are bare answers without the reasoning:

    python -m experiments.pretrain --out runs/trunk
    python -m experiments.pretrain --out runs/policy --start runs/trunk/policy --bare-share 0.55 \\
        --tokens 240000 --save-every 60000 --anneal-from 0 --muon-lr 0.003 --adam-lr 3e-4 --drill-tokens 0

The shipped critics start from the trunk too. What was trained is in `out/policy`, which `--policy` takes.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import cast

import torch
import tyro
from safetensors.torch import load_file, save_file
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from alphallm_env.grading import Verdict, extract_answer, grade
from alphallm_env.lm.base import GenerationRequest
from alphallm_env.lm.local.padding import padded
from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.lm.prompts import TinyTemplate
from alphallm_env.lm.word_tokenizer import END, QUESTION, SOLUTION, build_tokenizer
from alphallm_env.problems import gsm_symbolic
from alphallm_env.training.optimizers import MuonAndAdam
from alphallm_env.training.precision import mixed_precision
from alphallm_env.types import Problem


@dataclass(frozen=True)
class PretrainConfig:
    """Settings of one pre-training run. Token counts include padding-free text only."""

    out: Path
    start: Path | None = None  # the folder of a model to begin with; a fresh one where None
    level: str = "easy"
    tokens: int = 8_500_000
    batch_documents: int = 48
    hidden_size: int = 192
    num_layers: int = 6
    num_heads: int = 6
    num_kv_heads: int = 1
    intermediate_size: int = 512
    muon_lr: float = 0.02
    adam_lr: float = 2e-3
    warmup_tokens: int = 300_000
    bare_share: float = 0.0  # solutions of which only the answer is shown
    anneal_from: int | None = 6_000_000  # tokens after which the learning rate falls to 0, linearly
    question_weight: float = 0.3
    drill_share: float = 0.5  # arithmetic drills among the documents at the start
    drill_share_after: float = 0.1
    drill_tokens: int = 1_000_000  # how long the start is
    save_every: int = 500_000
    development_problems: int = 200
    stop_at_accuracy: float = 1.0  # greedy, on the development split
    seed: int = 0
    threads: int = 2


@dataclass(frozen=True)
class Document:
    """One training text: `prompt` is read with a small weight, `completion` with weight 1."""

    prompt: str
    completion: str


def drill(rng: Random) -> Document:
    """Returns eight lines of arithmetic within 100, spaced as the templates space it."""
    return Document(SOLUTION, "\n".join(_equation(rng) for _ in range(8)))


def _equation(rng: Random) -> str:
    kind = rng.choice("+-*/")
    if kind in "+-":
        low, high = sorted((rng.randint(0, 100), rng.randint(0, 100)))
        left, right, result = (low, high - low, high) if kind == "+" else (high, low, high - low)
    else:
        right = rng.randint(1, 20)
        other = rng.randint(1, 100 // right)
        left, result = (other, other * right) if kind == "*" else (other * right, other)
    sign = rng.choice("*x") if kind == "*" else kind
    space = rng.choice(("", " "))
    return f"{left}{' x ' if sign == 'x' else space + sign + space}{right}{space}={space}{result}"


def documents(config: PretrainConfig, rng: Random, tokens_seen: int) -> Iterator[Document]:
    """Yields documents for ever: worked problems of the train split, and drills."""
    problems = gsm_symbolic.stream("train", config.seed + tokens_seen, config.level)
    share = config.drill_share if tokens_seen < config.drill_tokens else config.drill_share_after
    while True:
        if rng.random() < share:
            yield drill(rng)
        else:
            problem = next(problems)
            solution = problem.solution or ""
            if rng.random() < config.bare_share:
                solution = solution[solution.rindex("####") :]
            yield Document(QUESTION + problem.question + SOLUTION, solution)


def encode(
    batch: list[Document], tokenizer: PreTrainedTokenizerFast, question_weight: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns token ids and loss weights of a batch, each [documents, longest], padded on the right."""
    prompts = tokenizer([d.prompt for d in batch])["input_ids"]
    completions = tokenizer([d.completion + END for d in batch])["input_ids"]
    texts = [prompt + completion for prompt, completion in zip(prompts, completions, strict=True)]
    ids = padded(texts, cast(int, tokenizer.pad_token_id))
    weights = torch.zeros(ids.shape)
    for row, (prompt, completion) in enumerate(zip(prompts, completions, strict=True)):
        weights[row, : len(prompt)] = question_weight
        weights[row, len(prompt) : len(prompt) + len(completion)] = 1.0
    return ids, weights


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


def loss_of(model: LlamaForCausalLM, ids: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Returns the weighted mean negative log-likelihood, in nats per token."""
    with mixed_precision(model.device):
        logits = model(input_ids=ids).logits
    losses = torch.nn.functional.cross_entropy(
        logits[:, :-1].float().flatten(0, 1), ids[:, 1:].flatten(), reduction="none"
    )
    weight = weights[:, 1:].flatten()
    return (losses * weight).sum() / weight.sum()


def greedy_accuracy(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, problems: Sequence[Problem]) -> float:
    """Returns the share of problems whose greedy solution is graded correct."""
    lm = TransformersLM(model, tokenizer, "pretraining")
    template = TinyTemplate()
    requests = [GenerationRequest(template.solve(p.question, ""), 0, 120, temperature=0.0) for p in problems]
    completions = lm.generate(requests)
    model.train()
    verdicts = [grade(extract_answer(c.text), p.answer or "") for c, p in zip(completions, problems, strict=True)]
    return verdicts.count(Verdict.CORRECT) / len(problems)


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


def main(config: PretrainConfig) -> None:
    """Trains until `tokens` are seen or the development accuracy is reached."""
    torch.set_num_threads(config.threads)
    folder = config.out / "checkpoint"
    development = gsm_symbolic.problems("development", config.development_problems, level=config.level)
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
        sample = itertools.islice(gsm_symbolic.stream("train", config.seed, config.level), 20_000)
        unseen = itertools.islice(gsm_symbolic.stream("unseen_templates", config.seed, config.level), 1_000)
        tokenizer = build_tokenizer(
            text for p in itertools.chain(sample, unseen) for text in (p.question, p.solution or "")
        )
        model = build_model(config, tokenizer)
        optimizer = MuonAndAdam(model.named_parameters(), config.muon_lr, config.adam_lr)
    print(f"{model.num_parameters():,} weights, vocabulary {len(tokenizer)}", flush=True)
    train(model, tokenizer, optimizer, config, tokens_seen, development)
    export(model, tokenizer, config.out / "policy")


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
    while tokens_seen < config.tokens:
        segment_start = time.monotonic()
        tokens, loss = train_segment(model, tokenizer, optimizer, config, tokens_seen)
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
    """Returns the share of the peak learning rate: warm-up, then constant, then a linear way to 0 if asked for."""
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
    stream = documents(config, Random(f"{config.seed}:{tokens_seen}"), tokens_seen)
    target = (tokens_seen // config.save_every + 1) * config.save_every
    losses: list[float] = []
    while tokens_seen < target:
        batch = list(itertools.islice(stream, config.batch_documents))
        ids, weights = encode(batch, tokenizer, config.question_weight)
        loss = loss_of(model, ids, weights)
        losses.append(optimizer.step(loss, lr_factor(tokens_seen, config)))
        tokens_seen += int((weights > 0).sum())
    return tokens_seen, sum(losses) / len(losses)


if __name__ == "__main__":
    main(tyro.cli(PretrainConfig))
