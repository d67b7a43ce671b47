"""Language models by the name of what runs them."""

from __future__ import annotations

import gc
import importlib.util
import weakref

import pytest
import torch

from alphallm_env.errors import ModelError
from alphallm_env.lm import backends
from alphallm_env.lm.backends import BACKENDS, load_lm
from alphallm_env.lm.base import GenerationRequest, LanguageModel
from alphallm_env.lm.continuous import ContinuousLM
from alphallm_env.loading import load_policy
from alphallm_env.testing.scripted import ScriptedLM

loaded: list[tuple[str, str, str]] = []


def scripted(source: str, device: str, dtype: str) -> ScriptedLM:
    loaded.append((source, device, dtype))
    return ScriptedLM({}, name=source)


def with_settings(source: str, device: str, dtype: str, width: int = 1) -> ScriptedLM:
    return ScriptedLM({}, name=f"{source} of width {width}")


def no_model(source: str, device: str, dtype: str) -> str:
    return f"{source} on {device} in {dtype}"


def test_a_backend_of_ones_own_is_asked_once_for_each_model():
    loaded.clear()
    own = f"{__name__}:scripted"
    one = load_lm("one", "cpu", "float32", own)
    assert one.name == "one"
    assert load_lm("one", "cpu", "float32", own) is one
    assert load_lm("other", "cpu", "float32", own) is not one
    assert loaded == [("one", "cpu", "float32"), ("other", "cpu", "float32")]


def test_a_backends_settings_are_its_keywords():
    own = f"{__name__}:with_settings"
    assert load_lm("m", "cpu", backend=own).name == "m of width 1"
    wide = load_lm("m", "cpu", backend=own, backend_settings=["width=4"])
    assert wide.name == "m of width 4"
    assert load_lm("m", "cpu", backend=own, backend_settings=("width=4",)) is wide
    with pytest.raises(ValueError, match=r"a setting of backend .*:with_settings must be one of width, got 'hight'"):
        load_lm("m", "cpu", backend=own, backend_settings=["hight=4"])
    with pytest.raises(ValueError, match=r"a setting of backend transformers must be none, got 'width'"):
        load_policy("tiny", "cpu", backend_settings=["width=4"])


def test_a_model_makes_way_before_another_one_is_loaded(monkeypatch: pytest.MonkeyPatch):
    own = f"{__name__}:counted"
    monkeypatch.setitem(backends._KEPT, own, 1)
    assert load_lm("one", "cpu", backend=own).name == "one beside 0"
    gc.collect()
    assert load_lm("two", "cpu", backend=own).name == "two beside 0"


def counted(source: str, device: str, dtype: str) -> ScriptedLM:
    gc.collect()
    lm = ScriptedLM({}, name=f"{source} beside {len(alive)}")
    alive.add(lm)
    return lm


alive: weakref.WeakSet[ScriptedLM] = weakref.WeakSet()


def test_what_a_backend_returns_must_be_a_language_model():
    with pytest.raises(ModelError, match=r"expected a language model from .*no_model.*, got 'm on cpu in auto'"):
        load_lm("m", "cpu", backend=f"{__name__}:no_model")
    with pytest.raises(ValueError, match=r"backend must be one of .*expected a function"):
        BACKENDS.resolve(f"{__name__}:loaded")


@pytest.mark.parametrize(
    ("device", "backend"), [("cuda", "continuous"), ("cuda:1", "continuous"), ("cpu", "transformers")]
)
def test_by_itself_a_gpu_has_continuous_batching(monkeypatch: pytest.MonkeyPatch, device: str, backend: str):
    asked: list[str] = []

    def load(source: str, device: str, dtype: str, backend: str, settings: list[str]) -> LanguageModel:
        asked.append(backend)
        assert settings == ["page_size=32"]
        return ScriptedLM({})

    monkeypatch.setattr(backends, "load_lm", load)
    BACKENDS.resolve("auto")("any", device, "auto", page_size=32)
    assert asked == [backend]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    BACKENDS.resolve("auto")("any", "auto", "auto", page_size=32)
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


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vllm is installed")
def test_vllm_is_asked_for_where_it_is_missing():
    with pytest.raises(ModelError, match="vllm"):
        load_lm("any", backend="vllm")
