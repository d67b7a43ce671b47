"""Looking a prefix up gives what computing it gives, and computes no token twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from alphallm_env.critics.loading import TINY_CRITICS
from alphallm_env.critics.trained.value import CriticModel
from alphallm_env.lm.base import GenerationRequest, Passage
from alphallm_env.lm.local.prefix_cache import PrefixCache
from alphallm_env.lm.prompts import TinyTemplate
from alphallm_env.mdp.options import SentenceRule
from alphallm_env.problems import gsm_symbolic

TEMPLATE = TinyTemplate()
QUESTIONS = [problem.question for problem in gsm_symbolic.problems("test", 4)]
LINES = ("2 + 3 = 5\n", "5 * 4 = 20\n", "#### 20\n")


@pytest.fixture
def lm() -> CriticModel:
    return CriticModel.load_with_head(TINY_CRITICS, device="cpu")


def prompts(solution: str = "") -> list[str]:
    return [TEMPLATE.solve(question, solution) for question in QUESTIONS]


def computed(lm: CriticModel, work: Callable[[], object]) -> int:
    before = lm.prefixes.statistics.computed_tokens
    work()
    return lm.prefixes.statistics.computed_tokens - before


def test_a_prompt_read_twice_computes_its_last_token_only(lm: CriticModel):
    requests = [GenerationRequest(prompt, 1, 8) for prompt in prompts()]
    first = lm.generate(requests)
    assert computed(lm, lambda: lm.generate(requests)) == len(requests)
    for one, other in zip(first, lm.generate(requests), strict=True):
        assert (one.text, one.num_tokens) == (other.text, other.num_tokens)
        assert one.log_prob == pytest.approx(other.log_prob, abs=1e-4)


def test_a_child_reuses_what_its_parent_read_and_wrote(lm: CriticModel):
    requests = [GenerationRequest(prompt, 3, 40, SentenceRule(), temperature=0.0) for prompt in prompts()]
    options = lm.generate(requests)
    children = [request.prompt + option.text for request, option in zip(requests, options, strict=True)]
    after = [GenerationRequest(child, 4, 8) for child in children]
    # The last token that was written has not been read yet, and the last of a prompt is always computed.
    assert computed(lm, lambda: lm.generate(after)) == len(after)
    warm = lm.generate(after)
    lm.clear_cache()
    assert [completion.text for completion in warm] == [completion.text for completion in lm.generate(after)]


def test_scores_are_the_same_looked_up_or_computed(lm: CriticModel):
    texts = [*prompts(), *prompts(LINES[0]), *prompts("".join(LINES))]
    cold = [lm.label_probs([text], ("True", "False"))[0].probs for text in texts]
    assert computed(lm, lambda: lm.label_probs(texts, ("True", "False"))) == len(texts)
    for probs, found in zip(cold, lm.label_probs(texts[::-1], ("True", "False"))[::-1], strict=True):
        assert found.probs == pytest.approx(probs, abs=1e-5)
    warm = [estimate.value for estimate in lm.values(texts)]
    lm.clear_cache()
    assert [estimate.value for estimate in lm.values(texts)] == pytest.approx(warm, abs=1e-5)


def test_readings_go_on_from_what_was_read_before(lm: CriticModel):
    passages = [Passage(prompt, LINES[:length]) for prompt in prompts() for length in (1, 2, 3)]
    one_by_one = [lm.read([passage])[0] for passage in passages]
    lm.clear_cache()
    for before, together in zip(one_by_one, lm.read(passages), strict=True):
        assert together.lowest == pytest.approx(before.lowest, abs=1e-4)
        assert together.num_tokens == before.num_tokens
    # Of a passage known as a whole, the last two tokens are read again: the last, and the one that judges it.
    assert computed(lm, lambda: lm.read(passages[2:3])) == 2


def test_a_prefix_that_a_policy_wrote_has_no_log_probability_yet(lm: CriticModel):
    [prompt, *_] = prompts()
    [line] = lm.generate([GenerationRequest(prompt, 0, 40, SentenceRule(), temperature=0.0)])
    [warm] = lm.read([Passage(prompt, (line.text,))])
    lm.clear_cache()
    [cold] = lm.read([Passage(prompt, (line.text,))])
    assert warm.lowest == pytest.approx(cold.lowest, abs=1e-4)


@pytest.mark.parametrize("max_bytes", [0, 100_000])
def test_a_full_store_forgets_and_changes_nothing(lm: CriticModel, max_bytes: int):
    requests = [GenerationRequest(prompt, seed, 30) for seed, prompt in enumerate(prompts() * 2)]
    passages = [Passage(prompt, LINES) for prompt in prompts()]
    texts, readings = [completion.text for completion in lm.generate(requests)], lm.read(passages)
    lm.prefixes = PrefixCache(max_bytes)
    for _ in range(2):
        assert [completion.text for completion in lm.generate(requests)] == texts
        for found, wanted in zip(lm.read(passages), readings, strict=True):
            assert found.lowest == pytest.approx(wanted.lowest, abs=1e-4)
    assert len(lm.prefixes) * 1536 <= max_bytes  # 6 layers of one key and one value of 32 float32


def test_nothing_is_stored_twice(lm: CriticModel):
    [prompt, *_] = prompts()
    lm.label_probs([prompt, prompt + LINES[0], prompt + LINES[0] + LINES[1]], ("True", "False"))
    assert len(lm.prefixes) == lm.count_tokens(prompt + LINES[0] + LINES[1])


def test_a_store_has_no_negative_size():
    with pytest.raises(ValueError, match="max_bytes must be >= 0, got -1"):
        PrefixCache(-1)
