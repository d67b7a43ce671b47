"""From names to models: which backend a policy runs on."""

from __future__ import annotations

import importlib.util

import pytest
import torch

from alphallm_env import loading
from alphallm_env.errors import ModelError
from alphallm_env.lm.base import GenerationRequest
from alphallm_env.lm.continuous import ContinuousLM
from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.loading import load_policy


def test_one_name_is_one_model_however_it_is_asked_for():
    lm = load_policy("tiny", "cpu").lm
    assert type(lm) is TransformersLM
    assert load_policy("tiny", "cpu", backend="auto").lm is load_policy("tiny", "cpu", backend="transformers").lm is lm


@pytest.mark.parametrize(("device", "backend"), [("cuda", "continuous"), ("cuda:1", "continuous"), ("cpu", "")])
def test_by_itself_a_gpu_has_continuous_batching(monkeypatch: pytest.MonkeyPatch, device: str, backend: str):
    asked: list[str] = []

    there = load_policy("tiny", "cpu").lm
    monkeypatch.setattr(loading, "_load_continuous_lm", lambda *_: asked.append("continuous") or there)
    monkeypatch.setattr(loading, "_load_lm", lambda *_: asked.append("") or there)
    load_policy("tiny", device, backend="auto")
    load_policy("tiny", device)
    assert asked == [backend, ""]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    load_policy("tiny", backend="auto")
    assert asked[-1] == "continuous"


def test_continuous_batching_writes_the_same_texts():
    static, continuous = (load_policy("tiny", "cpu", backend=name) for name in ("transformers", "continuous"))
    assert isinstance(continuous.lm, ContinuousLM)
    requests = [GenerationRequest(static.template.solve("How many is 3 + 4?", ""), seed, 20) for seed in range(3)]
    try:
        texts = [completion.text for completion in continuous.lm.generate(requests)]
    finally:
        continuous.lm.close()
    assert texts == [completion.text for completion in static.lm.generate(requests)]


def test_an_unknown_backend_is_named():
    with pytest.raises(ModelError, match="backend must be one of auto, transformers, continuous, vllm, got 'tgi'"):
        load_policy("tiny", backend="tgi")


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vllm is installed")
def test_vllm_is_asked_for_where_it_is_missing():
    with pytest.raises(ModelError, match="vllm"):
        load_policy("tiny", backend="vllm")
