"""What several texts begin with is read once: the best cut of their prefix tree, and the same outputs after it."""

from __future__ import annotations

import random
from itertools import combinations

import pytest
import torch

from alphallm_env.lm.local.prefix_cache import SharedPrefix, shared_prefixes
from alphallm_env.lm.local.scoring import last_outputs
from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.lm.prompts import TinyTemplate
from alphallm_env.lm.shipped import TINY_POLICY
from alphallm_env.problems import gsm_symbolic


def best_saving(texts: list[list[int]], known: list[int]) -> int:
    """The most that disjoint groups of texts save, by trying every node of the prefix tree below every other."""

    def below(beginning: list[int]) -> int:
        length = len(beginning)
        inside = [i for i, text in enumerate(texts) if text[:length] == beginning and len(text) > length]
        if len(inside) < 2:
            return 0
        own = (len(inside) - 1) * (length - min(known[i] for i in inside))
        nexts = {texts[i][length] for i in inside}
        return max(own, sum(below([*beginning, token]) for token in nexts))

    return below([])


def trees(seed: int) -> tuple[list[list[int]], list[int]]:
    """Different texts of few tokens, which share much, and how much of each is known: a common beginning, or less."""
    rng = random.Random(seed)
    texts = {tuple(rng.choices((1, 2), k=rng.randint(1, 9))) for _ in range(rng.randint(1, 12))}
    stored = rng.sample(sorted(texts), len(texts) // 2)
    store = {text[:length] for text in stored for length in range(rng.randint(0, 5))}
    known = [max([0, *(n for n in range(1, len(text)) if text[:n] in store)]) for text in sorted(texts)]
    return [list(text) for text in sorted(texts)], known


@pytest.mark.parametrize("seed", range(60))
def test_no_other_beginnings_save_more(seed: int):
    texts, known = trees(seed)
    found = shared_prefixes(texts, known, 1)
    assert sum(beginning.saving for beginning in found) == best_saving(texts, known)
    for one, other in combinations(found, 2):
        assert not set(one.texts) & set(other.texts)
    for beginning in found:
        shared = texts[beginning.texts[0]][: beginning.length]
        assert all(texts[i][: beginning.length] == shared and len(texts[i]) > beginning.length for i in beginning.texts)


def test_little_is_not_worth_a_pass():
    texts = [[1, 2, 3, 4], [1, 2, 3, 5], [1, 2, 3, 6]]
    assert shared_prefixes(texts, [0, 0, 0], 6) == [SharedPrefix(3, (0, 1, 2), 6)]
    assert shared_prefixes(texts, [0, 0, 0], 7) == []
    assert shared_prefixes(texts, [3, 3, 3], 1) == []
    assert shared_prefixes([], [], 1) == shared_prefixes([[1]], [0], 1) == []


def test_a_long_chain_of_texts_is_no_deep_recursion():
    texts = [[0] * length + [1] for length in range(3_000)]
    assert sum(beginning.saving for beginning in shared_prefixes(texts, [0] * 3_000, 1)) == 1_500 * 1_499


@pytest.fixture(scope="module")
def lm() -> TransformersLM:
    return TransformersLM.load(TINY_POLICY, device="cpu")


def test_a_common_beginning_is_computed_once_and_changes_nothing(lm: TransformersLM):
    solve = TinyTemplate().solve
    questions = [problem.question for problem in gsm_symbolic.problems("test", 6)]
    prompts = [solve(question, f"{n} + 3 = {n + 3}\n" * n) for question in questions for n in range(1, 5)]
    texts = lm.vocabulary.encode(prompts)
    lm.clear_cache()
    lm.prefixes.statistics.computed_tokens = lm.prefixes.statistics.prompt_tokens = 0
    outputs, saved = last_outputs(lm.passes.last_logits, texts, lm.prefixes, lm.vocabulary.pad_id)
    different = {tuple(text[:length]) for text in texts for length in range(1, len(text) + 1)}
    total = sum(map(len, texts))
    assert lm.prefixes.statistics.prompt_tokens == total
    assert lm.prefixes.statistics.computed_tokens == total - sum(saved)
    asked_of_questions = {tuple(text) for text in lm.vocabulary.encode([solve(question, "") for question in questions])}
    once = {text[:length] for text in asked_of_questions for length in range(1, len(text) + 1)}
    assert total - sum(saved) <= total - 3 * len(once)  # each question once, not four times
    assert total - sum(saved) >= len(different)
    alone = []
    for text in texts:
        lm.clear_cache()
        alone.append(last_outputs(lm.passes.last_logits, [text], lm.prefixes, lm.vocabulary.pad_id)[0][0])
    assert torch.allclose(outputs, torch.stack(alone), atol=1e-4)
