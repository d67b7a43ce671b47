"""Where a device's memory runs out, batches are read in halves, and nothing is lost."""

from __future__ import annotations

import logging

import pytest
import torch

from alphallm_env.lm.base import GenerationRequest, Passage
from alphallm_env.lm.local import llama, prefill
from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.lm.prompts import TinyTemplate
from alphallm_env.lm.shipped import TINY_POLICY
from alphallm_env.problems import gsm_symbolic

PROMPTS = [TinyTemplate().solve(problem.question, "") for problem in gsm_symbolic.problems("test", 7)]
PASSAGES = [Passage(prompt, ("1 + 1 = 2\n", "#### 2")) for prompt in PROMPTS]
REQUESTS = [GenerationRequest(prompt, seed, 10) for seed, prompt in enumerate(PROMPTS)]


def small_device(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """Lets a forward pass fail for more texts than `most`, as a device does."""
    layout = llama._Layout  # what every pass over texts begins with

    def limited(mask: torch.Tensor, num_new: int) -> object:
        if len(mask) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return layout(mask, num_new)

    monkeypatch.setattr(llama, "_Layout", limited)


def test_what_does_not_fit_is_read_in_halves(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    lm = TransformersLM.load(TINY_POLICY, device="cpu")
    labels = lm.label_probs(PROMPTS, ("True", "False"))
    lm.clear_cache()
    readings = lm.read(PASSAGES)
    texts = [completion.text for completion in lm.generate(REQUESTS)]
    small_device(monkeypatch, 3)
    lm.clear_cache()
    with caplog.at_level(logging.WARNING, prefill.__name__):
        again = lm.label_probs(PROMPTS, ("True", "False"))
    for found, wanted in zip(again, labels, strict=True):
        assert found.probs == pytest.approx(wanted.probs, abs=1e-5)
    assert sum(found.saved_tokens for found in again) >= sum(wanted.saved_tokens for wanted in labels)
    assert "a batch of 7 did not fit" in caplog.messages[0]
    lm.clear_cache()
    for reading, wanted in zip(lm.read(PASSAGES), readings, strict=True):
        assert reading.lowest == pytest.approx(wanted.lowest, abs=1e-4)
    lm.clear_cache()
    assert [completion.text for completion in lm.generate(REQUESTS)] == texts


def test_one_text_that_does_not_fit_raises(monkeypatch: pytest.MonkeyPatch):
    lm = TransformersLM.load(TINY_POLICY, device="cpu")
    small_device(monkeypatch, 0)
    with pytest.raises(torch.OutOfMemoryError):
        lm.label_probs(PROMPTS, ("True", "False"))
