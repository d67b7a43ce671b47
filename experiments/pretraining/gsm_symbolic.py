"""What the policy of gsm_symbolic is taught: worked problems, and drills in arithmetic."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from random import Random

from transformers import PreTrainedTokenizerFast

from alphallm_env.lm.word_tokenizer import QUESTION, SOLUTION, build_tokenizer
from alphallm_env.problems import gsm_symbolic
from alphallm_env.types import Problem
from experiments.pretraining.config import PretrainConfig
from experiments.pretraining.documents import Document


def tokenizer_of(config: PretrainConfig) -> PreTrainedTokenizerFast:
    """Returns a tokenizer of the words that the problems use, those of the unseen templates too."""
    sample = itertools.islice(gsm_symbolic.stream("train", config.seed, config.level), 20_000)
    unseen = itertools.islice(gsm_symbolic.stream("unseen_templates", config.seed, config.level), 1_000)
    return build_tokenizer(text for p in itertools.chain(sample, unseen) for text in (p.question, p.solution or ""))


def development(config: PretrainConfig) -> list[Problem]:
    """Returns the problems that the greedy accuracy is measured on."""
    return gsm_symbolic.problems("development", config.development_problems, level=config.level)


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
            yield Document(QUESTION + problem.question + SOLUTION, problem.solution or "")
