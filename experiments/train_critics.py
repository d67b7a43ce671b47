"""Trains value function, PRM and ORM for a policy, from its own trajectories and final answers alone.

    python -m experiments.train_critics --out runs/critics --trunk runs/trunk/policy   # the shipped ones
    python -m experiments.train_critics --policy FOLDER --problems FILE.jsonl --out runs/critics
    python -m experiments.train_critics --policy FOLDER --calibrate tiny --out runs/critics   # trained before

One trunk, started from the policy's weights or from `--trunk`, serves all three: PRM and ORM by generating
True or False, the value function by a scalar head, regressed on the share of correct endings (PAPER §3).
They judge by the notes that a reader takes (`alphallm_env/critics/notes.py`): the trunk as it was before.
Scores are Platt-scaled on a development split, then measured on a held-out one; a JSONL file is cut into
the three. Data collection can be stopped and goes on; training starts again from the data. `--calibrate`
takes critics as they are, scales their scores to another policy's trajectories, and measures them on those.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import cast

import torch
import tyro
from rich.console import Console
from rich.table import Table
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from alphallm_env.critics.calibration import Scaling, ScalingKind, fit_scaling, save_calibration
from alphallm_env.critics.generative import Labeller, share_of_true
from alphallm_env.critics.measures import Quality, quality
from alphallm_env.critics.model import CriticModel
from alphallm_env.critics.notes import NoteTaker, save_notes_limit
from alphallm_env.critics.value import save_head
from alphallm_env.engine import Engine
from alphallm_env.lm.templates import PromptTemplate
from alphallm_env.lm.transformers_lm import TransformersLM
from alphallm_env.loading import READER_FOLDER, TINY_CRITICS, TINY_POLICY, load_policy, resolve
from alphallm_env.options import option_rule
from alphallm_env.simulator import Policy
from alphallm_env.types import Problem
from experiments.critic_data import ProblemData, Sampler, collect, prefix_counts, problem_splits
from experiments.monitor import quiet_libraries
from experiments.optimizers import MuonAndAdam
from experiments.precision import mixed_precision
from experiments.records import Json, settle_config


@dataclass(frozen=True)
class CriticsConfig:
    """Settings of one training of critics."""

    out: Path
    policy: str = "tiny"
    trunk: str = ""  # the folder of the language model that the critics start from; empty: the policy
    calibrate: str = ""  # a folder of critics, or tiny: scaled anew and measured, not trained
    calibration: ScalingKind = "platt"
    problems: str = "gsm_symbolic"
    option_rule: str = "sentence"
    train_problems: int = 1_200
    development_problems: int = 600
    test_problems: int = 600
    samples: int = 8  # trajectories per problem
    min_visits: int = 4  # continuations behind every PRM label
    steps_per_problem: int = 4
    threshold: float = 0.25  # a step is good if at least this share of its continuations is
    temperature: float = 1.0
    max_tokens: int = 120
    epochs: int = 1
    batch_sequences: int = 48
    muon_lr: float = 0.004
    adam_lr: float = 5e-4
    device: str = "auto"
    seed: int = 1


@dataclass(frozen=True)
class Example:
    """One training sequence.

    `label` is the token that the critic should write after it, None where only a value is learnt; `value`
    is the target of the scalar head at its last token, None where only a label is.
    """

    tokens: tuple[int, ...]
    label: int | None = None
    value: float | None = None


Notes = dict[tuple[str, str], str]  # (question, solution so far) -> notes


def examples(
    data: Sequence[ProblemData], notes: Notes, lm: TransformersLM, template: PromptTemplate, threshold: float
) -> Iterator[Example]:
    """Yields the sequences of the ORM, of the value function (every prefix once a problem), and of the PRM."""
    true, false = label_tokens(lm, template)

    def encode(prompt: str) -> tuple[int, ...]:
        return tuple(lm.vocabulary.encode([prompt])[0])

    for entry in data:
        question = entry.samples[0].question if entry.samples else ""
        for sample in dict.fromkeys(entry.samples):
            text = "".join(sample.steps)
            prompt = template.judge_outcome(question, text, notes[question, text])
            yield Example(encode(prompt), label=true if sample.correct else false)
        for prefix, (visits, correct) in prefix_counts(entry.samples).items():
            text = "".join(prefix)
            prompt = template.judge_state(question, text, notes[question, text])
            yield Example(encode(prompt), value=correct / visits)
        for step in entry.steps:
            before = "".join(step.before)
            prompt = template.judge_step(question, before, step.step, notes[question, before + step.step])
            yield Example(encode(prompt), label=true if step.share_correct >= threshold else false)


def take_notes(taker: NoteTaker, engine: Engine, data: Sequence[ProblemData]) -> Notes:
    """Returns the notes on every prefix in the data."""
    wanted: dict[tuple[str, str], None] = {}
    for entry in data:
        for sample in entry.samples:
            for length in range(len(sample.steps) + 1):
                wanted[sample.question, "".join(sample.steps[:length])] = None
        for step in entry.steps:
            wanted[step.question, "".join(step.before) + step.step] = None
    keys = list(wanted)
    taken = engine.run(taker.take([question for question, _ in keys], [text for _, text in keys]))
    return dict(zip(keys, taken, strict=True))


def label_tokens(lm: TransformersLM, template: PromptTemplate) -> tuple[int, int]:
    """Returns the tokens of True and False."""
    true, false = lm.label_ids(template.labels)
    return true, false


def loss_of(
    model: PreTrainedModel, head: torch.nn.Linear, batch: Sequence[Example], pad_id: int, labels: tuple[int, int]
) -> torch.Tensor:
    """Returns the sum of three means over the batch: choice of label, label among all tokens, squared value error."""
    longest = max(len(example.tokens) for example in batch)
    ids = torch.full((len(batch), longest), pad_id)
    for row, example in enumerate(batch):
        ids[row, : len(example.tokens)] = torch.tensor(example.tokens)
    ids = ids.to(model.device)
    with mixed_precision(model.device):
        hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
    ends = torch.tensor([len(example.tokens) - 1 for example in batch], device=ids.device)
    last = hidden[torch.arange(len(batch), device=ids.device), ends].float()
    loss = last.new_zeros(())
    judged = [row for row, example in enumerate(batch) if example.label is not None]
    if judged:
        logits = cast(torch.nn.Linear, model.get_output_embeddings())(last[judged])
        wanted = torch.tensor([batch[row].label for row in judged], device=ids.device)
        loss = loss + cross_entropy(logits[:, list(labels)], (wanted == labels[1]).long())
        loss = loss + 0.05 * cross_entropy(logits, wanted)
    valued = [(row, example.value) for row, example in enumerate(batch) if example.value is not None]
    if valued:
        estimates = head(last[[row for row, _ in valued]]).sigmoid()[:, 0]
        targets = torch.tensor([value for _, value in valued], device=ids.device)
        loss = loss + 4.0 * torch.nn.functional.mse_loss(estimates, targets)
    return loss


def train(
    lm: TransformersLM, head: torch.nn.Linear, data: list[Example], labels: tuple[int, int], config: CriticsConfig
) -> None:
    """Trains trunk and head on all examples, batches of like length, the learning rate falling to zero.

    Fewer examples than `batch_sequences` make one batch. Raises ValueError where there are none.
    """
    if not data:
        raise ValueError("training needs at least one example, got none: no trajectory could be graded")
    batch_sequences = min(config.batch_sequences, len(data))
    model = lm.model.train()
    model.set_attn_implementation("eager")  # its backward pass is the faster one on short sequences
    named = [*model.named_parameters(), *((f"head.{name}", p) for name, p in head.named_parameters())]
    optimizer = MuonAndAdam(named, config.muon_lr, config.adam_lr)
    rng = Random(config.seed)
    steps = config.epochs * (len(data) // batch_sequences)
    start, losses = time.monotonic(), list[float]()
    for _ in range(config.epochs):
        for batch in _batches(data, batch_sequences, rng):
            done = len(losses)
            loss = loss_of(model, head, batch, lm.vocabulary.pad_id, labels)
            losses.append(optimizer.step(loss, min(1.0, (done + 1) / 50, 1.0 - done / steps)))
            if len(losses) % 50 == 0:
                mean = sum(losses[-50:]) / 50
                print(f"step {len(losses)}/{steps}  loss {mean:.4f}  {time.monotonic() - start:.0f} s", flush=True)
    model.eval()
    model.set_attn_implementation("sdpa")


def _batches(data: list[Example], size: int, rng: Random) -> Iterator[list[Example]]:
    """Yields whole batches of like length in random order."""
    shuffled = rng.sample(data, len(data))
    pool = 32 * size
    for start in range(0, len(shuffled), pool):
        near = sorted(shuffled[start : start + pool], key=lambda example: len(example.tokens))
        batches = [near[i : i + size] for i in range(0, len(near), size)]
        yield from rng.sample([batch for batch in batches if len(batch) == size], len(near) // size)


@dataclass(frozen=True)
class Scored:
    """Scores of one critic with the outcomes they should foretell."""

    scores: list[float]
    outcomes: list[bool]

    def calibrated(self, scaling: Scaling) -> Scored:
        """Returns the scaled scores."""
        return Scored([scaling(score) for score in self.scores], self.outcomes)


def score_all(
    critic: CriticModel,
    notes: Notes,
    template: PromptTemplate,
    data: Sequence[ProblemData],
    threshold: float,
) -> dict[str, Scored]:
    """Returns the raw scores of value, PRM and ORM on held-out trajectories.

    The value function is scored at every prefix against the end of that trajectory.
    """
    samples = [sample for entry in data for sample in entry.samples]
    labeller = Labeller(critic, template.labels)
    whole = [template.judge_outcome(s.question, t, notes[s.question, t]) for s in samples for t in ["".join(s.steps)]]
    prefixes = [
        (template.judge_state(s.question, text, notes[s.question, text]), s.correct)
        for s in samples
        for length in range(len(s.steps) + 1)
        for text in ["".join(s.steps[:length])]
    ]
    steps = [step for entry in data for step in entry.steps]
    judged = [
        template.judge_step(s.question, before, s.step, notes[s.question, before + s.step])
        for s in steps
        for before in ["".join(s.before)]
    ]
    return {
        "value": Scored([e.value for e in critic.values([p for p, _ in prefixes])], [c for _, c in prefixes]),
        "prm": Scored(
            [share_of_true(a.probs) for a in labeller.judge(judged)],
            [s.share_correct >= threshold for s in steps],
        ),
        "orm": Scored([share_of_true(a.probs) for a in labeller.judge(whole)], [s.correct for s in samples]),
    }


def print_qualities(qualities: dict[str, Quality]) -> None:
    """Prints one row per critic."""
    table = Table(title="critics on held-out trajectories")
    for column in ("critic", "precision", "recall", "ECE", "AUC", "scores"):
        table.add_column(column, justify="left" if column == "critic" else "right")
    for name, q in qualities.items():
        table.add_row(name, f"{q.precision:.3f}", f"{q.recall:.3f}", f"{q.ece:.3f}", f"{q.auc:.3f}", str(q.num_scores))
    Console().print(table)


def splits(config: CriticsConfig) -> dict[str, list[Problem]]:
    """Returns the problems of each split. A JSONL file is shuffled and cut into them.

    Raises OverlapError if two splits share a question, ProblemError if a file has too few problems.
    """
    sizes = {"development": config.development_problems, "test": config.test_problems, "train": config.train_problems}
    problems = problem_splits(config.problems, sizes, config.seed)
    return {split: found for split, found in problems.items() if split != "train" or not config.calibrate}


def collect_splits(policy: Policy, config: CriticsConfig) -> dict[str, list[ProblemData]]:
    """Returns the data of each split. Raises RunError if `out` holds data collected with other settings."""
    names = ("policy", "problems", "option_rule", "samples", "min_visits", "steps_per_problem", "temperature",
             "max_tokens", "seed")  # fmt: skip
    config.out.mkdir(parents=True, exist_ok=True)
    settings = {name: value for name, value in asdict(config).items() if name in names}
    settle_config(config.out / "data_config.json", cast("dict[str, Json]", settings))
    sampler = Sampler(policy, option_rule(config.option_rule), config.max_tokens, config.temperature, config.seed)
    return {
        split: collect(
            sampler, problems, config.out / f"{split}.jsonl",
            config.samples, config.min_visits, config.steps_per_problem,
        )[: len(problems)]
        for split, problems in splits(config).items()
    }  # fmt: skip


def main(config: CriticsConfig) -> dict[str, Quality]:
    """Collects, trains, calibrates, measures and writes the critics to `out/critics`."""
    torch.manual_seed(config.seed)
    quiet_libraries()
    policy = load_policy(config.policy, config.device)
    data = collect_splits(policy, config)
    reader, judge = load_models(config)
    with Engine() as engine:
        taker = NoteTaker(reader, policy.template, engine, config.max_tokens)
        notes = {split: take_notes(taker, engine, part) for split, part in data.items()}
    if not config.calibrate:
        lessons = list(examples(data["train"], notes["train"], judge, policy.template, config.threshold))
        train(judge, judge.head, lessons, label_tokens(judge, policy.template), config)
    qualities = finish(judge, policy.template, data, notes, config)
    reader.model.bfloat16().save_pretrained(config.out / "critics" / READER_FOLDER)
    reader.tokenizer.save_pretrained(config.out / "critics" / READER_FOLDER)
    return qualities


def load_models(config: CriticsConfig) -> tuple[TransformersLM, CriticModel]:
    """Returns the reader that takes the notes and the judge, trained before or about to be."""
    if config.calibrate:
        folder = Path(resolve(config.calibrate, TINY_CRITICS))
        reader = TransformersLM.load(folder / READER_FOLDER, config.device, "float32")
        return reader, CriticModel.load_with_head(folder, config.device, "float32")
    trunk = config.trunk or resolve(config.policy, TINY_POLICY)
    reader, lm = (TransformersLM.load(trunk, config.device, "float32") for _ in range(2))
    return reader, CriticModel(lm.model, lm.tokenizer, "critics", torch.nn.Linear(lm.model.config.hidden_size, 1))


def finish(
    critic: CriticModel,
    template: PromptTemplate,
    data: dict[str, list[ProblemData]],
    notes: dict[str, Notes],
    config: CriticsConfig,
) -> dict[str, Quality]:
    """Calibrates on the development split, measures on the test split, and writes everything.

    Scores are those of the weights as shipped, in bfloat16. The notes stay those that the reader took when
    the critics learnt from them.
    """
    critic.model.bfloat16().float()
    critic.forget()
    development = score_all(critic, notes["development"], template, data["development"], config.threshold)
    scalings = {
        name: fit_scaling(config.calibration, s.scores, [float(o) for o in s.outcomes])
        for name, s in development.items()
    }
    test = score_all(critic, notes["test"], template, data["test"], config.threshold)
    qualities = {
        name: quality(scored.calibrated(scalings[name]).scores, scored.outcomes) for name, scored in test.items()
    }
    folder = config.out / "critics"
    folder.mkdir(parents=True, exist_ok=True)
    critic.model.bfloat16().save_pretrained(folder)
    critic.tokenizer.save_pretrained(folder)
    save_head(folder, critic.head.weight.detach().cpu(), critic.head.bias.detach().cpu())
    save_calibration(folder, scalings)
    save_notes_limit(folder, config.max_tokens)
    report = {name: asdict(q) for name, q in qualities.items()}
    settings = {key: str(value) if isinstance(value, Path) else value for key, value in asdict(config).items()}
    (config.out / "quality.json").write_text(json.dumps({"quality": report, "config": settings}, indent=2) + "\n")
    print_qualities(qualities)
    return qualities


if __name__ == "__main__":
    main(tyro.cli(CriticsConfig))
