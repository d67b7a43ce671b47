"""Trains a language model as value function, PRM and ORM at once: training sequences, loss, training loop."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import cast

import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from alphallm_env.critics.trained.notes import NoteTaker
from alphallm_env.errors import ModelError
from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.lm.local.vocabulary import padded
from alphallm_env.lm.prompts import PromptTemplate
from alphallm_env.runtime.engine import Engine
from alphallm_env.training.graded import ProblemData, prefix_counts
from alphallm_env.training.lora import low_rank_changes
from alphallm_env.training.optimizers import MuonAndAdam
from alphallm_env.training.precision import mixed_precision


@dataclass(frozen=True)
class Example:
    """What a critic should say after a text.

    `truth` is the probability with which it should write True there, False otherwise, None where only a value is
    trained; `value` is the target of the scalar head at the last token, None where only truth is.
    """

    tokens: tuple[int, ...]
    truth: float | None = None
    value: float | None = None


@dataclass(frozen=True)
class Passage:
    """One training sequence: the longest text of some examples, of which all others are beginnings."""

    tokens: tuple[int, ...]
    examples: tuple[Example, ...]


def passages(data: Iterable[Example]) -> list[Passage]:
    """Returns the examples as few sequences: a causal model reads a text and all its beginnings in one pass.

    >>> [len(passage.examples) for passage in passages([Example((1,)), Example((1, 2, 3)), Example((1, 4))])]
    [2, 1]
    """
    found: list[list[Example]] = []
    # In this order an example comes straight before those that it is a beginning of.
    for example in sorted(data, key=lambda example: example.tokens, reverse=True):
        if found and found[-1][0].tokens[: len(example.tokens)] == example.tokens:
            found[-1].append(example)
        else:
            found.append([example])
    return [Passage(examples[0].tokens, tuple(examples)) for examples in reversed(found)]


Notes = dict[tuple[str, str], str]  # (question, solution so far) -> notes


def examples(
    data: Sequence[ProblemData], notes: Notes, lm: TransformersLM, template: PromptTemplate, threshold: float | None
) -> Iterator[Example]:
    """Yields the sequences of the ORM, of the value function (every prefix once a problem), and of the PRM.

    Without a threshold the PRM's labels are soft: the shares of continuations that end correctly.
    """

    def encode(prompt: str) -> tuple[int, ...]:
        return tuple(lm.vocabulary.encode([prompt])[0])

    for entry in data:
        question = entry.samples[0].question if entry.samples else ""
        for sample in dict.fromkeys(entry.samples):
            text = "".join(sample.steps)
            prompt = template.judge_outcome(question, text, notes[question, text])
            yield Example(encode(prompt), truth=float(sample.correct))
        for prefix, (visits, correct) in prefix_counts(entry.samples).items():
            text = "".join(prefix)
            prompt = template.judge_state(question, text, notes[question, text])
            yield Example(encode(prompt), value=correct / visits)
        for step in entry.steps:
            before = "".join(step.before)
            prompt = template.judge_step(question, before, step.step, notes[question, before + step.step])
            share = step.share_correct
            yield Example(encode(prompt), truth=share if threshold is None else float(share >= threshold))


def take_notes(taker: NoteTaker | None, engine: Engine, data: Sequence[ProblemData]) -> Notes:
    """Returns the reader's notes on every prefix in the data, empty ones where there is no reader."""
    wanted: dict[tuple[str, str], None] = {}
    for entry in data:
        for sample in entry.samples:
            for length in range(len(sample.steps) + 1):
                wanted[sample.question, "".join(sample.steps[:length])] = None
        for step in entry.steps:
            wanted[step.question, "".join(step.before) + step.step] = None
    keys = list(wanted)
    if taker is None:
        return dict.fromkeys(keys, "")
    taken = engine.run(taker.take([question for question, _ in keys], [text for _, text in keys]))
    return dict(zip(keys, taken, strict=True))


def label_tokens(lm: TransformersLM, template: PromptTemplate) -> tuple[int, int]:
    """Returns the ids of the tokens of True and False."""
    true, false = lm.label_ids(template.labels)
    return true, false


def loss_of(
    model: PreTrainedModel, head: torch.nn.Linear, batch: Sequence[Passage], pad_id: int, labels: tuple[int, int]
) -> torch.Tensor:
    """Returns the batch's loss, a sum of three weighted means over its examples, the first two in nats.

    They are the cross-entropy between the two labels, that of the labels among all tokens (· 0.05), and the squared
    error of the value (· 4).
    """
    ids = padded([passage.tokens for passage in batch], pad_id).to(model.device)
    with mixed_precision(model.device):
        hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
    placed = [(row, example) for row, passage in enumerate(batch) for example in passage.examples]
    rows = torch.tensor([row for row, _ in placed], device=ids.device)
    ends = torch.tensor([len(example.tokens) - 1 for _, example in placed], device=ids.device)
    last = hidden[rows, ends].float()
    loss = last.new_zeros(())
    judged = [(number, example.truth) for number, (_, example) in enumerate(placed) if example.truth is not None]
    if judged:
        logits = cast(torch.nn.Linear, model.get_output_embeddings())(last[[number for number, _ in judged]])
        wanted = torch.tensor([(truth, 1.0 - truth) for _, truth in judged], device=ids.device)
        loss = loss + cross_entropy(logits[:, list(labels)], wanted)
        loss = loss - 0.05 * (wanted * logits.log_softmax(-1)[:, list(labels)]).sum(-1).mean()
    valued = [(number, example.value) for number, (_, example) in enumerate(placed) if example.value is not None]
    if valued:
        estimates = head(last[[number for number, _ in valued]]).sigmoid()[:, 0]
        targets = torch.tensor([value for _, value in valued], device=ids.device)
        loss = loss + 4.0 * torch.nn.functional.mse_loss(estimates, targets)
    return loss


@dataclass(frozen=True)
class CriticTraining:
    """Settings of the training of critics."""

    epochs: int = 1
    batch_sequences: int = 48
    muon_lr: float = 0.004
    adam_lr: float = 5e-4
    last_layers: int = 0  # of the trunk that are trained, the others frozen; 0: all
    lora_rank: int = 0  # of LoRA matrices, beside frozen linear layers; 0: no LoRA
    seed: int = 1


def train(
    lm: TransformersLM, head: torch.nn.Linear, data: list[Example], labels: tuple[int, int], settings: CriticTraining
) -> None:
    """Trains trunk and head on all examples, in batches of similar length; the learning rate decays to 0.

    Fewer sequences than `batch_sequences` make one batch. Raises ValueError where there are none.
    """
    if not data:
        raise ValueError("training needs at least one example, got none: no trajectory could be graded")
    texts = passages(data)
    model = lm.model.train()
    model.set_attn_implementation("eager")  # faster than sdpa in the backward pass on short sequences
    if settings.lora_rank:
        with low_rank_changes(model, settings.lora_rank) as changes:
            # Muon takes matrices by names of layers; without such names, AdamW trains all of them.
            _optimize(lm, head, texts, labels, settings, [(f"change {i}", weight) for i, weight in enumerate(changes)])
    else:
        if settings.last_layers:
            freeze_but_last(model, settings.last_layers)
        named = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
        _optimize(lm, head, texts, labels, settings, named)
    model.eval()
    model.set_attn_implementation("sdpa")


def _optimize(
    lm: TransformersLM,
    head: torch.nn.Linear,
    texts: list[Passage],
    labels: tuple[int, int],
    settings: CriticTraining,
    learning: Sequence[tuple[str, torch.nn.Parameter]],
) -> None:
    """Trains the named weights of the trunk, and the head."""
    batch_sequences = min(settings.batch_sequences, len(texts))
    named = [*learning, *((f"head.{name}", weight) for name, weight in head.named_parameters())]
    optimizer = MuonAndAdam(named, settings.muon_lr, settings.adam_lr)
    rng = Random(settings.seed)
    steps = settings.epochs * (len(texts) // batch_sequences)
    start, losses = time.monotonic(), list[float]()
    for _ in range(settings.epochs):
        for batch in _batches(texts, batch_sequences, rng):
            done = len(losses)
            loss = loss_of(lm.model, head, batch, lm.vocabulary.pad_id, labels)
            losses.append(optimizer.step(loss, min(1.0, (done + 1) / 50, 1.0 - done / steps)))
            if len(losses) % 50 == 0:
                mean = sum(losses[-50:]) / 50
                print(f"step {len(losses)}/{steps}  loss {mean:.4f}  {time.monotonic() - start:.0f} s", flush=True)


def freeze_but_last(model: PreTrainedModel, num_layers: int) -> None:
    """Freezes a model but for its last layers and the norm after them; the output layer is frozen too.

    Raises ModelError where the model does not have as many.
    """
    layers = getattr(model.base_model, "layers", None)
    if not isinstance(layers, torch.nn.ModuleList) or len(layers) < num_layers:
        found = len(layers) if isinstance(layers, torch.nn.ModuleList) else "none under `layers`"
        raise ModelError(f"expected at least {num_layers} layers to train, got {found} of {type(model).__name__}")
    model.requires_grad_(False)
    for module in (*layers[-num_layers:], getattr(model.base_model, "norm", None)):
        if module is not None:
            module.requires_grad_(True)


def _batches(texts: list[Passage], size: int, rng: Random) -> Iterator[list[Passage]]:
    """Yields full batches of sequences of similar length, in random order; what does not fill one is left out."""
    shuffled = rng.sample(texts, len(texts))
    pool = 32 * size
    for start in range(0, len(shuffled), pool):
        near = sorted(shuffled[start : start + pool], key=lambda passage: len(passage.tokens))
        batches = [near[i : i + size] for i in range(0, len(near), size)]
        yield from rng.sample([batch for batch in batches if len(batch) == size], len(near) // size)
