"""One contract for all in-process backends, and what continuous batching adds to it."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Iterator

import pytest
import torch

from alphallm_env.errors import ModelError
from alphallm_env.lm import continuous as continuous_lm
from alphallm_env.lm.base import GenerationRequest, LanguageModel
from alphallm_env.lm.continuous import ContinuousLM
from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.lm.prompts.templates import TinyTemplate
from alphallm_env.lm.seeded_sampling import Draws
from alphallm_env.lm.vllm import VLLMLM
from alphallm_env.loading import TINY_POLICY
from alphallm_env.mdp.options import TO_THE_END, FormulaRule, OptionRule, RegexRule, SentenceRule, TokenRule
from alphallm_env.problems import gsm_symbolic
from alphallm_env.testing import check_language_model
from alphallm_env.types import StopReason

HAS_VLLM = importlib.util.find_spec("vllm") is not None
PROMPTS = [TinyTemplate().solve(problem.question, "") for problem in gsm_symbolic.problems("test", 4)]


@pytest.fixture(scope="module")
def reference() -> TransformersLM:
    return TransformersLM.load(TINY_POLICY, device="cpu")


@pytest.fixture(scope="module")
def continuous(reference: TransformersLM) -> Iterator[ContinuousLM]:
    lm = ContinuousLM(reference.model, reference.tokenizer, "continuous")
    yield lm
    lm.close()


@pytest.fixture
def endless(reference: TransformersLM) -> Iterator[ContinuousLM]:
    """A model that cannot close its texts."""
    lm = ContinuousLM(reference.model, reference.tokenizer, "endless")
    lm.vocabulary.banned[list(lm.vocabulary.end_ids)] = True
    lm.generate([GenerationRequest(PROMPTS[1], 1, 1)])
    yield lm
    lm.close()


@pytest.fixture
def vllm_lm() -> Iterator[VLLMLM]:
    if not (HAS_VLLM and torch.cuda.is_available()):
        pytest.skip("needs vllm and a GPU")
    lm = VLLMLM(TINY_POLICY, gpu_memory_utilization=0.3, max_model_len=512)
    yield lm
    lm.close()


@pytest.mark.parametrize("name", ["reference", "continuous", "vllm_lm"])
def test_every_backend_keeps_the_contract(name: str, request: pytest.FixtureRequest) -> None:
    lm: LanguageModel = request.getfixturevalue(name)
    check_language_model(lm, PROMPTS)
    with pytest.raises(ModelError, match="different first tokens"):
        lm.label_probs(PROMPTS[:1], ("True", "True False"))


@pytest.mark.parametrize("rule", [TO_THE_END, SentenceRule(), TokenRule(), FormulaRule(), RegexRule(r"\d")])
@pytest.mark.parametrize("stop_text", ["", " ="])
def test_continuous_batching_writes_what_static_batches_write(
    reference: TransformersLM, continuous: ContinuousLM, rule: OptionRule, stop_text: str
) -> None:
    requests = [
        GenerationRequest(prompt, seed, 30, rule, temperature, stop_text)
        for prompt in PROMPTS
        for seed, temperature in ((1, 0.0), (2, 0.7), (3, 1.0), (4, 1.5))
    ]
    expected = reference.generate(requests)
    for one, other in zip(expected, continuous.generate(requests), strict=True):
        assert (one.text, one.num_tokens, one.stop_reason) == (other.text, other.num_tokens, other.stop_reason)
        assert one.log_prob == pytest.approx(other.log_prob, abs=1e-3)


def test_a_prefix_is_read_once(continuous: ContinuousLM) -> None:
    prompt = TinyTemplate().solve(gsm_symbolic.problems("test", 9)[8].question, "")  # not yet in the cache
    length, page = continuous.count_tokens(prompt), continuous.page_size
    requests = [GenerationRequest(prompt, seed, 20, SentenceRule()) for seed in range(8)]
    first, *others = continuous.generate(requests)
    assert first.prompt_tokens >= length
    # The others share the prompt's whole blocks. One more token of the text may lie beyond them.
    assert all(other.prompt_tokens <= length % page + page for other in others)
    child = GenerationRequest(prompt + first.text, 9, 20, SentenceRule())
    assert continuous.generate([child])[0].prompt_tokens < length


def test_a_greedy_draw_and_a_seeded_one_come_from_the_request() -> None:
    draws = Draws(seed=5, temperature=1.0, prompt_length=7, max_tokens=3)
    again = Draws(seed=5, temperature=1.0, prompt_length=9, max_tokens=3)
    assert [draws.at(position) for position in (7, 8, 9)] == [again.at(position) for position in (9, 10, 11)]
    assert draws.at(10) == draws.at(9)  # a token computed beyond the last is thrown away


def test_new_weights_are_used_and_nothing_of_the_old_ones_is(continuous: ContinuousLM) -> None:
    request = GenerationRequest(PROMPTS[0], 1, 20, temperature=0.0)
    old = continuous.generate([request])[0]
    old_labels = continuous.label_probs(PROMPTS, ("True", "False"))
    weight = continuous.model.get_input_embeddings().weight
    kept = weight.detach().clone()
    with continuous.updating(), torch.no_grad():
        weight.copy_(kept.roll(1, dims=1))
    new = continuous.generate([request])[0]
    fresh = ContinuousLM(continuous.model, continuous.tokenizer, "fresh")
    assert new == fresh.generate([request])[0]  # its count of prompt tokens too
    assert new.text != old.text
    new_labels = continuous.label_probs(PROMPTS, ("True", "False"))
    assert new_labels == fresh.label_probs(PROMPTS, ("True", "False")) != old_labels
    fresh.close()
    with continuous.updating(), torch.no_grad():
        weight.copy_(kept)
    assert continuous.generate([request])[0].text == old.text


def test_weights_do_not_change_under_a_request(endless: ContinuousLM) -> None:
    async def update_too_early() -> None:
        writing = asyncio.ensure_future(endless.generate_async([GenerationRequest(PROMPTS[0], 1, 400)]))
        await asyncio.sleep(0.1)
        with pytest.raises(RuntimeError, match="in flight while weights change, got 1"), endless.updating():
            pass
        writing.cancel()

    asyncio.run(update_too_early())


def test_a_cancelled_request_leaves_the_batch(endless: ContinuousLM) -> None:
    async def cancel() -> None:
        writing = asyncio.ensure_future(endless.generate_async([GenerationRequest(PROMPTS[0], 1, 400)]))
        await asyncio.sleep(0.1)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing

    asyncio.run(cancel())
    assert endless.generate([GenerationRequest(PROMPTS[0], 1, 2)])[0].stop_reason is StopReason.LENGTH
    with endless.updating():
        pass  # nothing is in flight any more


def test_labels_are_judged_while_texts_are_written(reference: TransformersLM, continuous: ContinuousLM) -> None:
    async def both() -> None:
        requests = [GenerationRequest(prompt, 1, 40) for prompt in PROMPTS]
        texts, labels = await asyncio.gather(
            continuous.generate_async(requests), continuous.label_probs_async(PROMPTS, ("True", "False"))
        )
        assert [text.text for text in texts] == [text.text for text in reference.generate(requests)]
        expected = reference.label_probs(PROMPTS, ("True", "False"))
        for found, other in zip(labels, expected, strict=True):
            assert found.probs == pytest.approx(other.probs, rel=1e-3)

    asyncio.run(both())


def test_a_manager_that_fails_says_so_and_is_replaced(
    reference: TransformersLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = ContinuousLM(reference.model, reference.tokenizer, "failing")
    request = GenerationRequest(PROMPTS[0], 1, 5)
    monkeypatch.setattr(continuous_lm, "_CPU_TOKENS_CACHED", 32)
    with pytest.raises(ModelError, match="failing failed on"):
        lm.generate([request])
    monkeypatch.undo()
    first = lm.generate([request])[0]
    lm.close()
    lm.close()
    assert lm.generate([request])[0] == first
    lm.close()


@pytest.mark.skipif(HAS_VLLM, reason="vllm is installed")
def test_without_vllm_the_error_says_what_to_install() -> None:
    with pytest.raises(ModelError, match=r"pip install alphallm-env\[vllm\]"):
        VLLMLM(TINY_POLICY)
