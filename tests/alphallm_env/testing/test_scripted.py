import math

import pytest

from alphallm_env.errors import ModelError
from alphallm_env.lm.base import GenerationRequest, LanguageModel
from alphallm_env.lm.word_tokenizer import SOLUTION
from alphallm_env.mdp.options import SentenceRule
from alphallm_env.testing.scripted import ScriptedLM
from alphallm_env.types import StopReason

LM = ScriptedLM({"": [("a b\n", 0.75), ("c\n", 0.25)], "a b\n": [("d e f\n", 1.0)]})


def request(solution: str = "", **settings) -> GenerationRequest:
    return GenerationRequest(f"question{SOLUTION}{solution}", **{"seed": 0, "max_tokens": 10} | settings)


def test_a_scripted_model_is_a_language_model():
    assert isinstance(LM, LanguageModel)


def test_greedy_takes_the_likeliest_text_until_the_rule_ends_it():
    (completion,) = LM.generate([request(rule=SentenceRule(), temperature=0.0)])
    assert (completion.text, completion.num_tokens, completion.stop_reason) == ("a b\n", 2, StopReason.RULE)
    assert completion.log_prob == pytest.approx(math.log(0.75))


def test_without_an_entry_the_text_is_closed_which_is_a_token():
    (completion,) = LM.generate([request(temperature=0.0)])
    assert (completion.text, completion.num_tokens) == ("a b\nd e f\n", 6)
    assert completion.stop_reason is StopReason.END_OF_TEXT


def test_the_limit_cuts_between_words():
    (completion,) = LM.generate([request(temperature=0.0, max_tokens=3)])
    assert (completion.text, completion.num_tokens, completion.stop_reason) == (
        "a b\nd ",
        3,
        StopReason.LENGTH,
    )


@pytest.mark.parametrize(("temperature", "expected"), [(1.0, 0.75), (0.5, 0.9)])  # 0.75² / (0.75² + 0.25²)
def test_samples_follow_the_probabilities(temperature: float, expected: float):
    completions = LM.generate([request(seed=seed * 2**52, temperature=temperature) for seed in range(2000)])
    share = sum(completion.text.startswith("a") for completion in completions) / 2000
    assert share == pytest.approx(expected, abs=0.03)


def test_a_batch_equals_its_items_one_by_one():
    requests = [request(seed=seed) for seed in range(20)]
    assert [c.text for c in LM.generate(requests)] == [LM.generate([r])[0].text for r in requests]


def test_label_probs_come_from_the_script():
    lm = ScriptedLM({}, {"right?": (0.6, 0.3)})
    (found,) = lm.label_probs(["right?"], ["True", "False"])
    assert (found.probs, found.num_tokens) == ((0.6, 0.3), 1)
    with pytest.raises(ModelError, match="no label probabilities"):
        lm.label_probs(["wrong?"], ["True", "False"])
    with pytest.raises(ModelError, match="first token"):
        lm.label_probs(["right?"], ["Yes a", "Yes b"])


def test_a_script_must_have_texts_and_probabilities():
    with pytest.raises(ValueError, match="probabilities"):
        ScriptedLM({"": [("", 1.0)]})


def test_a_text_ends_before_the_stop_text():
    (completion,) = LM.generate([request(temperature=0.0, stop_text="\nd")])
    assert (completion.text, completion.num_tokens) == ("a b", 3)
    assert completion.stop_reason is StopReason.END_OF_TEXT
