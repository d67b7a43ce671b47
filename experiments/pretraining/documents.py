"""The texts that the tiny policy is pre-trained on: worked problems, and drills in arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import cast

import torch
from transformers import PreTrainedTokenizerFast

from alphallm_env.lm.local.vocabulary import padded
from alphallm_env.lm.word_tokenizer import END, QUESTION, SOLUTION
from alphallm_env.problems import gsm_symbolic
from experiments.pretraining.config import PretrainConfig


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
