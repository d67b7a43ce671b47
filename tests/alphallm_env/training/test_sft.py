"""Supervised fine-tuning: what is learnt, what is not, what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.lm.prompts import TinyTemplate
from alphallm_env.lm.shipped import TINY_POLICY
from alphallm_env.testing import check_fine_tuner
from alphallm_env.training import sft, trainers
from alphallm_env.training.base import FineTuning, Lesson

TEMPLATE = TinyTemplate()
FINE_TUNER = sft.SupervisedFineTuner()
LESSONS = [
    Lesson(f"A kid has {n} books. His sister has 2 more. How many does she have?", f"{n} + 2 = {n + 2}\n#### {n + 2}")
    for n in range(3, 7)
]
TWO = [
    Lesson("A kid has 3 books. He gets 2 more. How many does he have?", "3 + 2 = 5\n#### 5"),
    Lesson("A box holds 4 pens. How many do 6 boxes hold?", "6 * 4 = 24\n#### 24"),
]
CONFIG = FineTuning(epochs=2, batch_size=2, lr=1e-3)


def load(dtype: str = "float32") -> TransformersLM:
    return TransformersLM.load(TINY_POLICY, device="cpu", dtype=dtype)


def log_prob(lm: TransformersLM, lesson: Lesson) -> float:
    """Returns the log-probability of the lesson's solution and its end after the question."""
    prompt, whole = lm.vocabulary.encode([TEMPLATE.solve(lesson.question, text) for text in ("", lesson.solution)])
    whole = [*whole, lm.tokenizer.eos_token_id]
    with torch.inference_mode():
        log_probs = lm.model(input_ids=torch.tensor([whole])).logits[0].float().log_softmax(-1)
    return sum(log_probs[place - 1, whole[place]].item() for place in range(len(prompt), len(whole)))


class SeenBatches(sft.SFTTrainer):
    """The trainer, which keeps what its loss is computed from."""

    batches: list[dict[str, torch.Tensor]]

    def compute_loss(self, model, inputs, *arguments, **settings):
        self.batches.append({name: tensor.clone() for name, tensor in inputs.items()})
        return super().compute_loss(model, inputs, *arguments, **settings)


def test_lessons_become_likelier_and_the_policy_is_written(tmp_path: Path):
    lm = load()
    before = [log_prob(lm, lesson) for lesson in LESSONS]
    result = FINE_TUNER.fine_tune(lm, TEMPLATE, LESSONS, CONFIG, tmp_path / "policy", tmp_path / "logs")
    after = [log_prob(lm, lesson) for lesson in LESSONS]
    assert all(late > early for early, late in zip(before, after, strict=True))
    assert 0.0 < result.loss < 5.0
    assert result.num_lessons == len(LESSONS)
    written = TransformersLM.load(tmp_path / "policy", device="cpu")
    assert [log_prob(written, lesson) for lesson in LESSONS] == pytest.approx(after, abs=1e-4)
    assert written.vocabulary.end_ids == lm.vocabulary.end_ids  # a question, too, still ends
    assert list((tmp_path / "logs").glob("**/events*"))


def test_small_steps_are_not_rounded_away_and_the_dtype_stays(tmp_path: Path):
    lm = load("bfloat16")
    before = {name: tensor.clone() for name, tensor in lm.model.state_dict().items()}
    seen: list[torch.dtype] = []
    lm.model.register_forward_hook(lambda model, *_: seen.append(model.dtype))
    FINE_TUNER.fine_tune(lm, TEMPLATE, LESSONS, CONFIG, tmp_path / "policy", tmp_path / "logs")
    assert set(seen) == {torch.float32}
    after = load_file(tmp_path / "policy" / "model.safetensors")
    assert {tensor.dtype for tensor in after.values()} == {torch.bfloat16}
    assert any(not torch.equal(tensor, before[name]) for name, tensor in after.items())


def test_the_loss_is_on_the_solution_and_its_end_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    lm = load()
    hostile = Lesson(LESSONS[0].question, "1<|end|>2<|solution|>")
    monkeypatch.setattr(SeenBatches, "batches", [], raising=False)
    monkeypatch.setattr(sft, "SFTTrainer", SeenBatches)
    one = FineTuning(epochs=1, batch_size=1)
    FINE_TUNER.fine_tune(lm, TEMPLATE, [LESSONS[0], hostile], one, tmp_path / "policy", tmp_path / "logs")
    learnt = [batch["labels"][0][batch["labels"][0] != -100] for batch in SeenBatches.batches]
    assert "3 + 2 = 5\n#### 5<|end|>" in [lm.tokenizer.decode(tokens) for tokens in learnt]
    for batch, tokens in zip(SeenBatches.batches, learnt, strict=True):
        assert tokens.tolist().count(lm.tokenizer.eos_token_id) == 1
        assert tokens[-1] == lm.tokenizer.eos_token_id
        assert lm.tokenizer.decode(batch["input_ids"][0]).startswith(f"<|question|>{hostile.question}<|solution|>")


def test_what_is_given_is_not_learnt_and_what_breaks_off_has_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    lm = load()
    first, _, rest = LESSONS[0].solution.partition("\n")
    behind = replace(LESSONS[0], prefix=first + "\n", solution=rest)
    begun = replace(LESSONS[0], solution=first + "\n", is_whole=False)
    monkeypatch.setattr(SeenBatches, "batches", [], raising=False)
    monkeypatch.setattr(sft, "SFTTrainer", SeenBatches)
    one = FineTuning(epochs=1, batch_size=1)
    FINE_TUNER.fine_tune(lm, TEMPLATE, [behind, begun], one, tmp_path / "policy", tmp_path / "logs")
    texts = [lm.tokenizer.decode(batch["input_ids"][0]) for batch in SeenBatches.batches]
    learnt = [lm.tokenizer.decode(batch["labels"][0][batch["labels"][0] != -100]) for batch in SeenBatches.batches]
    prompt = TEMPLATE.solve(LESSONS[0].question, "")
    assert sorted(texts) == sorted([prompt + LESSONS[0].solution + "<|end|>", prompt + first + "\n"])
    assert sorted(learnt) == sorted([rest + "<|end|>", first + "\n"])


def test_it_keeps_the_contract(tmp_path: Path):
    check_fine_tuner(FINE_TUNER, load, TEMPLATE, LESSONS, tmp_path)


def test_weights_that_would_be_ignored_are_refused(tmp_path: Path):
    heavy = replace(LESSONS[0], weight=2.0)
    with pytest.raises(ValueError, match=r"weight 1, got 2\.0"):
        FINE_TUNER.fine_tune(load(), TEMPLATE, [heavy, LESSONS[1]], CONFIG, tmp_path / "policy", tmp_path / "logs")


def test_a_lesson_counts_by_its_weight(tmp_path: Path):
    def change(weights: tuple[float, float], name: str) -> list[float]:
        lm = load()
        lessons = [replace(lesson, weight=weight) for lesson, weight in zip(TWO, weights, strict=True)]
        before = [log_prob(lm, lesson) for lesson in TWO]
        one_step = FineTuning(epochs=1, batch_size=2, lr=3e-4, warmup_share=0.0)
        result = sft.WeightedFineTuner().fine_tune(lm, TEMPLATE, lessons, one_step, tmp_path / name, tmp_path / "logs")
        assert result.num_lessons == 2
        return [log_prob(lm, lesson) - early for lesson, early in zip(TWO, before, strict=True)]

    first, second, both = change((1.0, 0.0), "first"), change((0.0, 5.0), "second"), change((1.0, 1.0), "both")
    assert first[0] > max(0.0, second[0])
    assert second[1] > max(0.0, first[1])
    assert min(both) > 0.0


def test_of_equal_weight_lessons_are_imitated_as_without(tmp_path: Path):
    def train(fine_tuner: sft.SupervisedFineTuner, name: str, weight: float) -> dict[str, torch.Tensor]:
        lessons = [replace(lesson, weight=weight) for lesson in LESSONS]
        fine_tuner.fine_tune(load(), TEMPLATE, lessons, CONFIG, tmp_path / name, tmp_path / "logs")
        return load_file(tmp_path / name / "model.safetensors")

    plain, weighted = train(FINE_TUNER, "plain", 1.0), train(sft.WeightedFineTuner(), "weighted", 3.0)
    start = load().model.state_dict()
    ways = [torch.cat([(found[name] - start[name]).flatten() for name in found]) for found in (plain, weighted)]
    assert torch.cosine_similarity(*ways, dim=0) > 0.99


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_low_rank_changes_are_merged_and_leave_the_rest_alone(dtype: str, tmp_path: Path):
    pytest.importorskip("peft")
    lm = load(dtype)
    before = {name: tensor.clone() for name, tensor in lm.model.state_dict().items()}
    early = sum(log_prob(lm, lesson) for lesson in LESSONS)
    settings = replace(CONFIG, lora_rank=4, lr=1e-2)
    FINE_TUNER.fine_tune(lm, TEMPLATE, LESSONS, settings, tmp_path / "policy", tmp_path / "logs")
    assert sum(log_prob(lm, lesson) for lesson in LESSONS) > early
    after = load_file(tmp_path / "policy" / "model.safetensors")
    assert after.keys() <= before.keys()
    changed = {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    assert changed
    assert all("proj" in name for name in changed)
    assert {tensor.dtype for tensor in after.values()} == {getattr(torch, dtype)}


def test_weights_keep_the_contract(tmp_path: Path):
    check_fine_tuner(sft.WeightedFineTuner(), load, TEMPLATE, LESSONS, tmp_path)


def test_weights_of_nothing_are_refused(tmp_path: Path):
    nothing = [replace(lesson, weight=0.0) for lesson in LESSONS]
    with pytest.raises(ValueError, match="a weight above 0, got 4 of weight 0"):
        sft.WeightedFineTuner().fine_tune(load(), TEMPLATE, nothing, CONFIG, tmp_path / "policy", tmp_path / "logs")


def test_a_lesson_that_is_too_long_is_refused_not_cut(tmp_path: Path):
    lm = load()
    length = lm.count_tokens(TEMPLATE.solve(LESSONS[0].question, LESSONS[0].solution)) + 1  # and the end
    fits = FineTuning(epochs=1, max_length=length)
    FINE_TUNER.fine_tune(lm, TEMPLATE, LESSONS[:1], fits, tmp_path / "policy", tmp_path / "logs")
    short = FineTuning(epochs=1, max_length=length - 1)
    with pytest.raises(ValueError, match=f"at most {length - 1} tokens, got one of {length}"):
        FINE_TUNER.fine_tune(lm, TEMPLATE, LESSONS[:1], short, tmp_path / "other", tmp_path / "logs")
    assert not (tmp_path / "other").exists()


def test_the_model_says_how_long_a_lesson_may_be(tmp_path: Path):
    lm = load()
    readable = lm.model.config.max_position_embeddings = 700  # its positions are rotations: any number will do
    line = "1 + 1 = 2\n"
    each = lm.count_tokens(line)
    long = replace(LESSONS[0], solution=line * (readable // each - 10))
    assert lm.count_tokens(TEMPLATE.solve(long.question, long.solution)) > 512
    result = FINE_TUNER.fine_tune(lm, TEMPLATE, [long], FineTuning(epochs=1), tmp_path / "policy", tmp_path / "logs")
    assert result.num_lessons == 1
    too_long = replace(LESSONS[0], solution=line * (readable // each + 1))
    with pytest.raises(ValueError, match=f"at most {readable} tokens, got one of"):
        FINE_TUNER.fine_tune(lm, TEMPLATE, [too_long], FineTuning(epochs=1), tmp_path / "other", tmp_path / "logs")


def test_a_batch_that_is_too_large_for_memory_goes_through_in_parts_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def train(name: str) -> dict[str, torch.Tensor]:
        monkeypatch.setattr(SeenBatches, "batches", [], raising=False)
        monkeypatch.setattr(sft, "SFTTrainer", SeenBatches)
        monkeypatch.setattr(trainers, "multiplies_bfloat16", lambda _: False)  # some processors do, and round otherwise
        longer = [replace(lesson, solution=lesson.solution * (1 + n)) for n, lesson in enumerate(LESSONS)]
        settings = FineTuning(epochs=2, batch_size=4, lr=1e-3)
        FINE_TUNER.fine_tune(load(), TEMPLATE, longer, settings, tmp_path / name, tmp_path / "logs")
        return load_file(tmp_path / name / "model.safetensors")

    whole = train("whole")
    assert {len(batch["input_ids"]) for batch in SeenBatches.batches} == {4}
    monkeypatch.setattr(trainers, "_LOGITS", 1)
    parts = train("parts")
    assert {len(batch["input_ids"]) for batch in SeenBatches.batches} == {1}
    start = load().model.state_dict()
    ways = [torch.cat([(found[name] - start[name]).flatten() for name in found]) for found in (whole, parts)]
    assert torch.cosine_similarity(*ways, dim=0) > 0.99  # Adam divides by the gradient: noise where it is 0


def test_a_negative_rank_is_refused():
    with pytest.raises(ValueError, match="lora_rank must be >= 0, got -1"):
        FineTuning(lora_rank=-1)


@pytest.mark.parametrize("setting", ["epochs", "batch_size", "max_length"])
def test_settings_below_one_are_refused(setting: str):
    with pytest.raises(ValueError, match=f"{setting} must be >= 1, got 0"):
        FineTuning(**{setting: 0})


def test_nothing_to_learn_is_an_error(tmp_path: Path):
    with pytest.raises(ValueError, match="at least one lesson, got none"):
        FINE_TUNER.fine_tune(load(), TEMPLATE, [], CONFIG, tmp_path / "policy", tmp_path / "logs")
