"""The contract of language models."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from alphallm_env.lm.base import (
    AsyncGeneration,
    AsyncLabelling,
    Completion,
    GenerationRequest,
    LanguageModel,
    is_reproducible,
)
from alphallm_env.mdp.options import SentenceRule
from alphallm_env.types import StopReason

PROMPTS = ("Question: What is 2 + 3?\nAnswer:", "Question: What is 7 * 6, more or less?\nAnswer:")


def check_language_model(lm: LanguageModel, prompts: Sequence[str] = PROMPTS, max_tokens: int = 12) -> None:
    """Checks order, repeatability, limits, token counts, and that a batch equals its items one by one.

    A seed is not used at temperature 0, and a text ends before its `stop_text`. Texts must be equal to the letter,
    where the model declares `is_reproducible = True`; log-probabilities and label probabilities within 0.001, since a
    batch may be computed in another order. A model that answers asynchronously too must do so on any event loop.
    """
    requests = [
        GenerationRequest(prompt, seed, max_tokens, SentenceRule(), temperature)
        for prompt in prompts
        for seed, temperature in ((1, 1.0), (2, 1.0), (1, 0.0))
    ]
    batch = lm.generate(requests)
    assert len(batch) == len(requests), f"expected {len(requests)} completions, got {len(batch)}"
    for request, completion in zip(requests, batch, strict=True):
        _check_completion(request, completion)
        _check_count(lm, completion)
    if is_reproducible(lm):
        _check_repeatable(lm, requests, batch)
        _check_greedy(lm, requests)
    _check_stop_text(lm, requests, batch)
    assert list(lm.generate([])) == [], "no requests must give no completions"
    assert lm.count_tokens("") < lm.count_tokens(prompts[0]), "a text must have more tokens than no text"
    _check_label_probs(lm, prompts)
    for _ in range(2):  # each time on a new event loop
        if isinstance(lm, AsyncGeneration):
            asyncio.run(_check_async_generation(lm, requests, batch))
        if isinstance(lm, AsyncLabelling):
            asyncio.run(_check_async_labelling(lm, prompts))


def _check_repeatable(lm: LanguageModel, requests: Sequence[GenerationRequest], batch: Sequence[Completion]) -> None:
    for request, completion in zip(requests, batch, strict=True):
        _check_same(request, completion, lm.generate([request])[0], "in a batch and alone")
    for request, completion in zip(reversed(requests), lm.generate(requests[::-1]), strict=True):
        _check_same(request, batch[requests.index(request)], completion, "in another order")


def _check_greedy(lm: LanguageModel, requests: Sequence[GenerationRequest]) -> None:
    greedy = next(request for request in requests if request.temperature == 0)
    one, other = lm.generate([greedy, replace(greedy, seed=greedy.seed + 1)])
    assert one.text == other.text, f"temperature 0 must not depend on the seed: {one.text!r} and {other.text!r}"


def _check_stop_text(lm: LanguageModel, requests: Sequence[GenerationRequest], batch: Sequence[Completion]) -> None:
    """Generates the longest text again, with a word from its middle as the stop text."""
    request, written = max(zip(requests, batch, strict=True), key=lambda pair: len(pair[1].text))
    words = written.text.split()
    if len(words) < 2:
        return
    stopped = replace(request, stop_text=words[len(words) // 2])
    [found] = lm.generate([stopped])
    assert stopped.stop_text not in found.text, f"a text must end before {stopped.stop_text!r}, got {found.text!r}"
    if is_reproducible(lm):
        expected = stopped.before_stop(written.text)
        assert found.text == expected, f"a text must be the same before its stop text: {expected!r}, got {found.text!r}"


def _check_count(lm: LanguageModel, completion: Completion) -> None:
    """Checks the reported count; the tokenizer may split the text into slightly more tokens than were generated."""
    counted = lm.count_tokens(completion.text) - lm.count_tokens("")
    assert counted <= 1.5 * completion.num_tokens + 1, (
        f"num_tokens must count every token: about {counted} are in the text, got {completion.num_tokens}: {completion}"
    )


async def _check_async_generation(
    lm: AsyncGeneration, requests: Sequence[GenerationRequest], batch: Sequence[Completion]
) -> None:
    answers = await asyncio.gather(*(lm.generate_async([request]) for request in requests))
    for request, expected, [completion] in zip(requests, batch, answers, strict=True):
        _check_completion(request, completion)
        if is_reproducible(lm):
            _check_same(request, expected, completion, "awaited and not")


async def _check_async_labelling(lm: AsyncLabelling, prompts: Sequence[str]) -> None:
    found = await lm.label_probs_async(prompts, ("True", "False"))
    assert len(found) == len(prompts), f"expected {len(prompts)} label probabilities, got {len(found)}"


def _check_completion(request: GenerationRequest, completion: Completion) -> None:
    shown = f"{completion} for {request}"
    assert 1 <= completion.num_tokens <= request.max_tokens, f"num_tokens must be in [1, max_tokens]: {shown}"
    assert math.isfinite(completion.log_prob), f"log_prob must be finite: {shown}"
    assert completion.log_prob <= 0.0, f"log_prob must be <= 0: {shown}"
    if completion.stop_reason is StopReason.RULE:
        assert request.rule.terminates(completion.text), f"stopped by a rule that does not fire: {shown}"
    if completion.stop_reason is StopReason.LENGTH:
        assert completion.num_tokens == request.max_tokens, f"cut before its token limit: {shown}"


def _check_same(request: GenerationRequest, one: Completion, other: Completion, how: str) -> None:
    same = (one.text, one.num_tokens, one.stop_reason) == (other.text, other.num_tokens, other.stop_reason)
    assert same, f"one request must give one completion {how}: {one} and {other} for {request}"
    assert math.isclose(one.log_prob, other.log_prob, rel_tol=1e-3, abs_tol=1e-3), (
        f"log_prob must be the same {how}: {one.log_prob} and {other.log_prob} for {request}"
    )


def _check_label_probs(lm: LanguageModel, prompts: Sequence[str], labels: Sequence[str] = ("True", "False")) -> None:
    batch = lm.label_probs(prompts, labels)
    assert len(batch) == len(prompts), f"expected {len(prompts)} label probabilities, got {len(batch)}"
    assert list(lm.label_probs([], labels)) == [], "no prompts must give no label probabilities"
    for prompt, found in zip(prompts, batch, strict=True):
        assert len(found.probs) == len(labels), f"expected {len(labels)} probabilities, got {found}"
        valid = all(0.0 <= prob <= 1.0 for prob in found.probs) and sum(found.probs) <= 1.001
        assert valid, f"label probabilities must be in [0, 1] and sum to at most 1, got {found}"
        alone = lm.label_probs([prompt], labels)[0]
        assert np.allclose(found.probs, alone.probs, atol=1e-3 if is_reproducible(lm) else 0.05), (
            f"a prompt must be judged the same in a batch and alone: {found} and {alone}"
        )
