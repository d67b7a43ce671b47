"""From names to models: which backend a policy runs on."""

from __future__ import annotations

import pytest

from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.lm.prompts import FewShotTemplate
from alphallm_env.loading import load_policy
from alphallm_env.testing.scripted import ScriptedLM


def scripted(source: str, device: str, dtype: str) -> ScriptedLM:
    """A backend of a user's own."""
    return ScriptedLM({"": [(f"{source} {device} {dtype}", 1.0)]}, name=source)


def test_one_name_is_one_model_however_it_is_asked_for():
    lm = load_policy("tiny", "cpu").lm
    assert type(lm) is TransformersLM
    assert load_policy("tiny", "cpu", backend="auto").lm is load_policy("tiny", "cpu", backend="transformers").lm is lm


def test_a_backend_of_ones_own_runs_a_policy_and_without_a_tokenizer_its_prompts_are_few_shot():
    policy = load_policy("mine", "cpu", backend=f"{__name__}:scripted")
    assert policy.lm.name == "mine"
    assert isinstance(policy.template, FewShotTemplate)


def test_an_unknown_backend_is_named():
    expected = "backend must be one of auto, transformers, continuous, vllm, module:attribute, got 'tgi'"
    with pytest.raises(ValueError, match=expected):
        load_policy("tiny", backend="tgi")
