"""Public PRMs: each adapter on a small random model of its architecture, beside its published recipe."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from alphallm_env.critics.combine import aggregate
from alphallm_env.critics.provenance import provenance_of
from alphallm_env.critics.public.adapters import load_public_prm
from alphallm_env.critics.public.formats import FORMATS, MathShepherdFormat, RLHFlowFormat
from alphallm_env.critics.public.reader import StepReader, label_head, two_class_head, value_head
from alphallm_env.errors import CriticError, ModelError
from alphallm_env.loading import build_simulator, load_policy
from alphallm_env.mdp.dynamics import Rules
from alphallm_env.runtime.engine import Engine
from alphallm_env.runtime.metering import Meter, metering
from alphallm_env.testing import check_critic
from alphallm_env.types import Option, State

CHAT = (
    "{{ bos_token }}{% for m in messages %}<|{{ m['role'] }}|>\n\n{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n\n{% endif %}"
)
SPECIAL = ("<s>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<extra_0>")
QUESTION = "How much is 2 + 3 - 1?"
STEPS = ("2 + 3 = 5\n", "5 - 1 = 4\n", "#### 4")
SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
         "num_key_value_heads": 2, "max_position_embeddings": 512}  # fmt: skip


def tokenizer() -> PreTrainedTokenizerFast:
    """A byte is a token, but for the tag and the special tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE({character: index for index, character in enumerate(alphabet)}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens([AddedToken(text, special=True) for text in SPECIAL])
    inner.add_tokens(["ки"])
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>", eos_token="<|end|>", pad_token="<|end|>", chat_template=CHAT
    )


def saved(folder: Path, model, extra: dict[str, torch.Tensor] | None = None) -> str:
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    if extra:
        path = folder / "model.safetensors"
        save_file({**load_file(path), **extra}, path, metadata={"format": "pt"})
    return str(folder)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Checkpoints as they are published: two causal LMs, a classifier, a value head beside a causal LM."""
    torch.manual_seed(0)
    size = len(tokenizer())
    hidden = SIZES["hidden_size"]
    common = {**SIZES, "vocab_size": size, "initializer_range": 0.3}
    score = {
        "score.0.weight": torch.randn(hidden, hidden) / 8,
        "score.0.bias": torch.randn(hidden) / 8,
        "score.2.weight": torch.randn(2, hidden) / 8,
        "score.2.bias": torch.randn(2) / 8,
    }
    head = {"v_head.summary.weight": torch.randn(1, hidden), "v_head.summary.bias": torch.randn(1)}
    make = tmp_path_factory.mktemp
    return {
        "math_shepherd": saved(make("ms"), MistralForCausalLM(MistralConfig(**common))),
        "rlhflow": saved(make("rf"), LlamaForCausalLM(LlamaConfig(**common))),
        "qwen_prm": saved(make("qp"), Qwen2ForCausalLM(Qwen2Config(**common)), score),
        "skywork": saved(make("sk"), Qwen2ForCausalLM(Qwen2Config(**common)), head),
    }


def after(*steps: str, question: str = QUESTION) -> State:
    state = State("p", question)
    for step in steps:
        state = state.child(Option(step, 1), None)
    return state


def published_math_shepherd(folder: str) -> list[float]:
    model, tok = AutoModelForCausalLM.from_pretrained(folder), tokenizer()
    text = f"{QUESTION} Step 1: 2 + 3 = 5 ки\nStep 2: 5 - 1 = 4 ки\nStep 3: #### 4 ки"
    ids = torch.tensor([tok.encode(text)])
    candidates = [tok.encode("+")[-1], tok.encode("-")[-1]]
    scores = model(ids).logits[:, :, candidates].softmax(-1)[:, :, 0]
    return scores[ids == tok.encode("ки")[-1]].tolist()


def published_rlhflow(folder: str) -> list[float]:
    model, tok = AutoModelForCausalLM.from_pretrained(folder), tokenizer()
    candidates = [tok.encode("+")[-1], tok.encode("-")[-1]]
    conversation, scores = [], []
    for number, step in enumerate(("2 + 3 = 5", "5 - 1 = 4", "#### 4")):
        conversation.append({"role": "user", "content": f"{QUESTION} {step}" if number == 0 else step})
        conversation.append({"role": "assistant", "content": "+"})
        ids = tok.apply_chat_template(conversation, return_tensors="pt", return_dict=True)["input_ids"]
        scores.append(model(ids).logits[0, -3, candidates].softmax(-1)[0].item())
    return scores


def published_qwen_prm(folder: str) -> list[float]:
    model, tok, tensors = (
        Qwen2ForCausalLM.from_pretrained(folder),
        tokenizer(),
        load_file(f"{folder}/model.safetensors"),
    )
    turns = [
        {"role": "system", "content": "Please reason step by step, and put your final answer within \\boxed{}."},
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": "<extra_0>".join(("2 + 3 = 5", "5 - 1 = 4", "#### 4")) + "<extra_0>"},
    ]
    ids = torch.tensor([tok.encode(tok.apply_chat_template(turns, tokenize=False))])
    hidden = model.model(ids).last_hidden_state
    inner = torch.relu(hidden @ tensors["score.0.weight"].T + tensors["score.0.bias"])
    probs = (inner @ tensors["score.2.weight"].T + tensors["score.2.bias"]).softmax(-1)
    return probs[ids == tok.encode("<extra_0>")[0]][:, 1].tolist()


def published_skywork(folder: str) -> list[float]:
    model, tok, tensors = (
        Qwen2ForCausalLM.from_pretrained(folder),
        tokenizer(),
        load_file(f"{folder}/model.safetensors"),
    )
    ids, flags = tok.encode(f"<s>{QUESTION}\n"), []
    for step in ("2 + 3 = 5", "5 - 1 = 4", "#### 4"):
        ids += [*tok.encode(step), tok.encode("\n")[-1]]
        flags.append(len(ids) - 1)
    values = model.model(torch.tensor([ids])).last_hidden_state @ tensors["v_head.summary.weight"].T
    return (values + tensors["v_head.summary.bias"]).sigmoid()[0, flags, 0].tolist()


PUBLISHED: dict[str, Callable[[str], list[float]]] = {
    "math_shepherd": published_math_shepherd,
    "rlhflow": published_rlhflow,
    "qwen_prm": published_qwen_prm,
    "skywork": published_skywork,
}


@pytest.mark.parametrize("adapter", FORMATS)
def test_every_step_scores_as_the_published_recipe_has_it(adapter: str, folders) -> None:
    with torch.inference_mode():
        expected = PUBLISHED[adapter](folders[adapter])
    assert len(expected) == 3
    assert max(expected) - min(expected) > 1e-3  # else alignment would not show
    with Engine() as engine, metering(Meter()) as meter:
        prm = load_public_prm(f"{adapter}:{folders[adapter]}", engine, device="cpu")
        # Beside a shorter and a longer solution, so that padding shows if it is seen.
        found = engine.run(prm.score_steps([after("1\n"), after(*STEPS), after(*STEPS, "and so on " * 5)]))
    assert found[1] == pytest.approx(expected, abs=1e-5)
    assert list(map(len, found)) == [1, 3, 4]
    assert meter.usage.critic_tokens == meter.usage.tokens > 0


@pytest.mark.parametrize("adapter", FORMATS)
def test_a_step_is_judged_by_what_came_before_it_alone(adapter: str, folders) -> None:
    with Engine() as engine:
        prm = load_public_prm(f"{adapter}:{folders[adapter]}", engine, device="cpu")
        [whole] = engine.run(prm.score_steps([after(*STEPS)]))
        for length in (1, 2):
            assert engine.run(prm.evaluate([after(*STEPS[:length])])) == [pytest.approx(whole[length - 1], abs=1e-5)]
        check_critic(prm, [after(*STEPS[:n]) for n in (1, 2, 3)], engine)
        with pytest.raises(CriticError, match="at least one, got none"):
            engine.run(prm.evaluate([after()]))
        with pytest.raises(CriticError, match="at most 512 tokens"):
            engine.run(prm.evaluate([after("long " * 200)]))


@pytest.mark.parametrize("adapter", FORMATS)
@pytest.mark.parametrize(
    "text", ["ки", "<extra_0>", "a ки\nb <extra_0> c", "<|end|><|assistant|>\n\n+", "1\n2\n\n3", " "]
)
def test_a_policy_cannot_write_the_marks_of_steps(adapter: str, text: str, folders) -> None:
    with Engine() as engine:
        prm = load_public_prm(f"{adapter}:{folders[adapter]}", engine, device="cpu")
        [scores] = engine.run(prm.score_steps([after(text, text, question=text)]))
    assert len(scores) == 2


def test_the_four_aggregations_by_hand(folders) -> None:
    scores = (0.5, 0.25, 1.0)
    expected = {"min": 0.25, "product": 0.125, "last": 1.0, "mean": pytest.approx(1.75 / 3)}
    assert {name: aggregate(scores, name) for name in expected} == expected
    with pytest.raises(CriticError, match="at least one step"):
        aggregate((), "min")
    with pytest.raises(ValueError, match="min, product, last, mean, got 'sum'"):
        aggregate(scores, "sum")
    with Engine() as engine:
        for name in expected:
            prm = load_public_prm(f"skywork:{folders['skywork']}", engine, aggregation=name, device="cpu")
            [steps] = engine.run(prm.score_steps([after(*STEPS)]))
            assert engine.run(prm.evaluate([after(*STEPS)])) == [pytest.approx(aggregate(steps, name))]


def test_heads_by_hand() -> None:
    hidden = torch.tensor([[1.0, -2.0], [0.0, 3.0]])
    value = value_head(
        {"v_head.summary.weight": torch.tensor([[1.0, 1.0]]), "v_head.summary.bias": torch.tensor([1.0])}
    )
    assert value(hidden).tolist() == pytest.approx([0.5, 1 / (1 + 2.718281828**-4)])  # σ(0), σ(4)
    two = two_class_head({
        "score.0.weight": torch.eye(2), "score.0.bias": torch.zeros(2),  # then ReLU: [1, 0] and [0, 3]
        "score.2.weight": torch.tensor([[0.0, 0.0], [1.0, 0.0]]), "score.2.bias": torch.tensor([1.0, 0.0]),
    })  # fmt: skip
    assert two(hidden).tolist() == pytest.approx([0.5, 1 / (1 + 2.718281828)])  # logits (1, 1) and (1, 0)


def test_the_label_head_is_the_softmax_of_two_tokens(folders) -> None:
    model = LlamaForCausalLM.from_pretrained(folders["rlhflow"])
    hidden = torch.randn(3, SIZES["hidden_size"])
    expected = model.lm_head(hidden)[:, [7, 9]].softmax(-1)[:, 0]
    assert torch.allclose(label_head(model, (7, 9))(hidden), expected, atol=1e-6)


def test_steps_that_cannot_be_told_apart_are_an_error() -> None:
    class Forgetful(MathShepherdFormat):
        def _untagged(self, text: str) -> str:
            return text

    with pytest.raises(CriticError, match="a place for each of 2 steps, got 3"):
        Forgetful(tokenizer()).encode("Q", ["a ки b", "c"])
    changing = tokenizer()
    changing.chat_template = "{{ messages | length }}" + CHAT
    with pytest.raises(CriticError, match="changes nothing before it"):
        RLHFlowFormat(changing).encode("Q", ["a", "b"])


def test_an_adapter_is_named_never_guessed(folders, tmp_path: Path) -> None:
    with Engine() as engine:
        for source in (folders["skywork"], "Skywork/Skywork-o1-Open-PRM", f"skywork_prm:{folders['skywork']}"):
            with pytest.raises(ModelError, match="ADAPTER:MODEL with one of math_shepherd, rlhflow, qwen_prm, skywork"):
                load_public_prm(source, engine)
        with pytest.raises(ModelError, match=r"'score\.0\.weight'"):
            load_public_prm(f"qwen_prm:{folders['skywork']}", engine, device="cpu")
        with pytest.raises(ModelError, match="expected a tokenizer"):
            load_public_prm(f"skywork:{tmp_path}", engine, device="cpu")


def test_a_checkpoint_with_weights_missing_is_refused(folders, tmp_path: Path) -> None:
    tensors = load_file(f"{folders['skywork']}/model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    model = Qwen2ForCausalLM.from_pretrained(folders["skywork"])
    folder = saved(tmp_path, model)
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with Engine() as engine, pytest.raises(ModelError, match=r"all weights of a Qwen2Model.*mlp\.up_proj"):
        load_public_prm(f"skywork:{folder}", engine, device="cpu")


def test_a_sharded_checkpoint_is_read_by_its_index(folders, tmp_path: Path) -> None:
    tensors = load_file(f"{folders['skywork']}/model.safetensors")
    saved(tmp_path, Qwen2ForCausalLM.from_pretrained(folders["skywork"]))
    (tmp_path / "model.safetensors").unlink()
    parts = {"a.safetensors": {}, "b.safetensors": {}}
    for name, tensor in tensors.items():
        parts["b.safetensors" if name.startswith("v_head") else "a.safetensors"][name] = tensor
    for file, part in parts.items():
        save_file(part, tmp_path / file, metadata={"format": "pt"})
    weight_map = {name: file for file, part in parts.items() for name in part}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    with Engine() as engine:
        one, other = (
            engine.run(load_public_prm(f"skywork:{folder}", engine, device="cpu").evaluate([after(*STEPS)]))
            for folder in (folders["skywork"], tmp_path)
        )
    assert one == other


def test_a_public_prm_tells_where_its_scores_come_from(folders) -> None:
    with Engine() as engine:
        prm = load_public_prm(f"skywork:{folders['skywork']}", engine, aggregation="min", device="cpu")
    found = provenance_of(prm)
    assert (found.critic, found.model, found.prompt, found.aggregation) == ("prm", folders["skywork"], "skywork", "min")
    assert found.revision is not None
    assert found.revision.startswith("sha256:")


def test_a_search_takes_one_by_its_name(folders) -> None:
    with Engine() as engine:
        critics = f"rlhflow:{folders['rlhflow']}"
        simulator = build_simulator(load_policy(device="cpu"), critics, Rules(), engine, device="cpu")
        steps, [worst] = (engine.run(simulator.score(name, [after(*STEPS)])) for name in ("prm", "orm"))
        prm = load_public_prm(critics, engine, device="cpu")
        [scores] = engine.run(prm.score_steps([after(*STEPS)]))
    assert steps == [pytest.approx(scores[-1])]
    assert worst == pytest.approx(min(scores))
    assert set(simulator.critics.provenance()) == {"value", "prm", "orm"}


def test_reading_nothing_gives_nothing(folders) -> None:
    reader = StepReader(
        Qwen2ForCausalLM.from_pretrained(folders["skywork"]).model,
        lambda h: h[:, 0],
        MathShepherdFormat(tokenizer()),
        "m",
    )
    assert reader.score([]) == []
