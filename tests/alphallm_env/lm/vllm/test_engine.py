"""vLLM in process, with a real engine on the CPU: texts, lengths, caches, weights, adapters, labels, a death."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from alphallm_env.errors import ModelError, ServerError
from alphallm_env.lm.backends import load_lm
from alphallm_env.lm.base import Completion, GenerationRequest
from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.lm.shipped import TINY_POLICY
from alphallm_env.lm.vllm import VLLMLM
from alphallm_env.mdp.options import TO_THE_END, OptionRule, RegexRule, SentenceRule
from alphallm_env.testing import check_language_model
from alphallm_env.types import StopReason

Prompts = Callable[[int], str]
SETTINGS = ("enable_lora=true", "max_lora_rank=8", "max_num_seqs=48")
LABELS = ("True", "False")


@pytest.fixture(scope="module")
def lm() -> Iterator[VLLMLM]:
    lm = load_lm(str(TINY_POLICY), "cpu", "float32", "vllm", SETTINGS)
    assert isinstance(lm, VLLMLM)
    yield lm
    lm.close()


def assert_same(found: Sequence[Completion], expected: Sequence[Completion]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert (one.text, one.num_tokens, one.stop_reason) == (other.text, other.num_tokens, other.stop_reason)
        assert one.log_prob == pytest.approx(other.log_prob, abs=1e-2)


def assert_same_labels(lm: VLLMLM, other: TransformersLM, prompts: Sequence[str]) -> None:
    for one, expected in zip(lm.label_probs(prompts, LABELS), other.label_probs(prompts, LABELS), strict=True):
        assert one.probs == pytest.approx(expected.probs, rel=1e-2)
        assert one.num_tokens == expected.num_tokens


def test_the_contract_of_language_models(lm: VLLMLM) -> None:
    check_language_model(lm)


def test_its_settings_reach_the_engine(lm: VLLMLM) -> None:
    config = lm._engine._running.engine.vllm_config
    assert (config.scheduler_config.max_num_seqs, config.lora_config.max_lora_rank) == (48, 8)
    with pytest.raises(ValueError, match=r"a setting of backend vllm must be one of .*max_num_seqs.*, got 'max_seqs'"):
        load_lm(str(TINY_POLICY), "cpu", "float32", "vllm", ["max_seqs=1"])


def test_greedy_texts_are_those_of_transformers(
    lm: VLLMLM, here: TransformersLM, grid: list[GenerationRequest]
) -> None:
    assert_same(lm.generate(grid), here.generate(grid))
    assert_same_labels(lm, here, [request.prompt for request in grid[::3]])


@pytest.mark.parametrize("room", [1, 3])
@pytest.mark.parametrize("rule", [SentenceRule(), RegexRule("no such text"), TO_THE_END], ids=["line", "regex", "end"])
def test_a_text_that_fills_the_models_length_ends_there(
    lm: VLLMLM, here: TransformersLM, prompt_of: Prompts, room: int, rule: OptionRule
) -> None:
    request = GenerationRequest(prompt_of(512 - room), 0, 40, rule, temperature=0.0)
    [done] = lm.generate([request])
    [expected] = here.generate([replace(request, max_tokens=room)])
    assert done.stop_reason is StopReason.LENGTH
    assert_same([done], [expected])


def test_a_prompt_longer_than_the_model_is_an_error_with_both_lengths(lm: VLLMLM, prompt_of: Prompts) -> None:
    prompt = prompt_of(520)
    with pytest.raises(ModelError, match=r"fewer tokens than the 512 .*got 520"):
        lm.generate([GenerationRequest(prompt, 0, 4)])
    with pytest.raises(ModelError, match=r"fewer tokens than the 512 .*got 520"):
        lm.label_probs([prompt], LABELS)


def test_cached_tokens_are_counted_as_saved(lm: VLLMLM, prompt_of: Prompts) -> None:
    length = 207
    prompt = prompt_of(length).replace("2", "9", 1)
    request = GenerationRequest(prompt, 0, 3, temperature=0.0)
    [first] = lm.generate([request])
    [again] = lm.generate([request])
    assert (first.saved_tokens, first.prompt_tokens) == (0, length)
    assert (again.saved_tokens, again.prompt_tokens) == (192, 15)  # whole blocks of 32
    [judged] = lm.label_probs([prompt], LABELS)
    assert (judged.num_tokens, judged.saved_tokens) == (length, 192)


def test_many_long_seeded_requests_at_once_do_not_end_the_engine(lm: VLLMLM, prompt_of: Prompts) -> None:
    prompts = [f"{number} + {prompt_of(300)}" for number in range(40)]
    done = lm.generate([GenerationRequest(prompt, seed, 4) for seed, prompt in enumerate(prompts)])
    assert all(1 <= completion.num_tokens <= 4 for completion in done)


def test_labels_are_judged_while_texts_are_written(
    lm: VLLMLM, here: TransformersLM, grid: list[GenerationRequest]
) -> None:
    prompts = [request.prompt for request in grid[::3]]

    async def both() -> tuple[list[Completion], list[tuple[float, ...]]]:
        texts = [lm.generate_async([request]) for request in grid]
        judged = [lm.label_probs_async([prompt], LABELS) for prompt in prompts]
        written, found = await asyncio.gather(asyncio.gather(*texts), asyncio.gather(*judged))
        return [done for [done] in written], [one.probs for [one] in found]

    written, found = asyncio.run(both())
    assert_same(written, here.generate(grid))
    for probs, expected in zip(found, here.label_probs(prompts, LABELS), strict=True):
        assert probs == pytest.approx(expected.probs, rel=1e-2)


def test_weights_are_exchanged_the_tied_head_included(
    lm: VLLMLM, here: TransformersLM, grid: list[GenerationRequest], taught: Path
) -> None:
    processes = lm.process_ids
    other = TransformersLM.load(taught, "cpu", "float32")
    expected = other.generate(grid)
    assert [done.text for done in expected] != [done.text for done in here.generate(grid)]
    lm.use_weights(taught)
    assert_same(lm.generate(grid), expected)
    assert_same_labels(lm, other, [request.prompt for request in grid[::3]])
    lm.use_weights(TINY_POLICY)
    assert_same(lm.generate(grid), here.generate(grid))
    assert lm.process_ids == processes


def test_a_second_folder_of_the_same_shape_shares_the_engine(
    lm: VLLMLM, here: TransformersLM, grid: list[GenerationRequest], taught: Path
) -> None:
    second = load_lm(str(taught), "cpu", "float32", "vllm", SETTINGS)
    assert isinstance(second, VLLMLM)
    assert second.process_ids == lm.process_ids
    expected, others = here.generate(grid), TransformersLM.load(taught, "cpu", "float32").generate(grid)

    async def both() -> list[list[Completion]]:
        return await asyncio.gather(*(model.generate_async(grid) for model in (lm, second, lm, second)))

    for found, wanted in zip(asyncio.run(both()), (expected, others, expected, others), strict=True):
        assert_same(found, wanted)
    second.close()
    with pytest.raises(ModelError, match="was closed"):
        second.generate(grid[:1])
    assert_same(lm.generate(grid[:3]), expected[:3])


def test_a_wrong_folder_is_an_error_that_names_it_and_changes_nothing(
    lm: VLLMLM, here: TransformersLM, grid: list[GenerationRequest], taught: Path, random_model: Path, tmp_path: Path
) -> None:
    cut, other = tmp_path / "cut", tmp_path / "other"
    for folder in (cut, other):
        shutil.copytree(taught, folder)
    whole = (cut / "model.safetensors").read_bytes()
    (cut / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    tensors = load_file(other / "model.safetensors")
    tensors["model.layers.5.mlp.up_proj.weight"] = tensors["model.layers.5.mlp.up_proj.weight"][:100].clone()
    save_file(tensors, other / "model.safetensors", metadata={"format": "pt"})
    processes = lm.process_ids
    for folder in (tmp_path / "missing", tmp_path, cut, other, random_model):
        with pytest.raises(ModelError, match=str(folder)):
            lm.use_weights(folder)
        assert_same(lm.generate(grid[:3]), here.generate(grid[:3]))
    assert lm.process_ids == processes


def test_an_adapter_is_used_until_it_is_taken_away(
    lm: VLLMLM, here: TransformersLM, grid: list[GenerationRequest], tmp_path: Path
) -> None:
    peft = pytest.importorskip("peft")
    torch = pytest.importorskip("torch")
    model = TransformersLM.load(TINY_POLICY, "cpu", "float32").model
    torch.manual_seed(2)
    targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    adapted = peft.get_peft_model(model, peft.LoraConfig(r=8, lora_alpha=16, target_modules=targets))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    adapted.save_pretrained(tmp_path)
    merged = TransformersLM(adapted.merge_and_unload(), here.tokenizer, "merged")
    expected = merged.generate(grid)
    assert [done.text for done in expected] != [done.text for done in here.generate(grid)]
    with pytest.raises(ModelError, match=f"{TINY_POLICY}.*no adapter_config.json"):
        lm.use_adapter(TINY_POLICY)
    lm.use_adapter(tmp_path)
    assert_same(lm.generate(grid), expected)
    lm.use_adapter(None)
    assert_same(lm.generate(grid), here.generate(grid))


def test_a_death_is_an_error_and_the_next_request_starts_the_engine_again(
    lm: VLLMLM, here: TransformersLM, grid: list[GenerationRequest], capfd: pytest.CaptureFixture[str]
) -> None:
    capfd.readouterr()
    [process] = lm.process_ids
    threading.Timer(0.3, os.kill, (process, signal.SIGKILL)).start()
    with pytest.raises(ServerError, match=f"vLLM's engine of {TINY_POLICY} has died"):
        lm.generate([replace(grid[-1], seed=seed, temperature=1.0, max_tokens=300) for seed in range(400)])
    printed = capfd.readouterr().err.splitlines()
    assert len(printed) < 10, "\n".join(printed)
    assert_same(lm.generate(grid), here.generate(grid))
    assert lm.process_ids != [process]


ENDING = """
import sys
from alphallm_env.lm.base import GenerationRequest
from alphallm_env.loading import load_policy

if __name__ == "__main__":
    policy = load_policy(sys.argv[1], "cpu", "float32", backend="vllm")
    [found] = policy.lm.label_probs([sys.argv[2]], ("True", "False"))
    print("labels", *found.probs)
"""


def test_a_run_that_ends_well_prints_no_error(random_model: Path, tmp_path: Path) -> None:
    program = tmp_path / "ending.py"
    program.write_text(ENDING)
    prompt = "Question: What is 2 + 3?\nAnswer:"
    ran = subprocess.run(
        [sys.executable, str(program), str(random_model), prompt], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr[-4000:]
    assert "ERROR" not in ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr
    [line] = [line for line in ran.stdout.splitlines() if line.startswith("labels ")]
    expected = TransformersLM.load(random_model, "cpu", "float32").label_probs([prompt], LABELS)[0]
    assert [float(word) for word in line.split()[1:]] == pytest.approx(expected.probs, rel=1e-3)
