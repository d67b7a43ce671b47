r"""Trains value function, PRM and ORM for a policy, from its own trajectories and final answers alone.

    python -m experiments.train_critics --out runs/critics --trunk runs/trunk/policy   # the shipped ones
    python -m experiments.train_critics --policy FOLDER --problems FILE.jsonl --no-notes --last-layers 8 \
        --muon-lr 2e-4 --adam-lr 1e-4 --batch-sequences 8 --out runs/critics           # for a model of your own
    python -m experiments.train_critics --policy FOLDER --calibrate tiny --out runs/critics   # trained before

One trunk, started from the policy's weights or from `--trunk`, serves all three: PRM and ORM by generating
True or False, the value function by a scalar head, regressed on the share of correct endings (PAPER §3).
They judge by the notes that a reader takes (`alphallm_env/critics/notes.py`): the trunk as it was before.
Steps are labelled by prefix sampling or binary search (`process_labels.py`); `--soft-labels` keeps their shares.
Scores are calibrated on a development split, then measured on a held-out one; a JSONL file is cut into
the three. Data collection can be stopped and goes on; training starts again from the data. `--calibrate`
takes critics as they are, scales their scores to another policy's trajectories, and measures them on those.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from alphallm_env.critics.base import last_option
from alphallm_env.critics.calibration import Scaling, ScalingKind, fit_scaling, save_calibration
from alphallm_env.critics.measures import Quality, quality
from alphallm_env.critics.probes.probe import Probe, ProbeTrunk, TrunkRecord, save_probes
from alphallm_env.critics.prompted.generative import Labeller, share_of_true
from alphallm_env.critics.provenance import model_revision
from alphallm_env.critics.trained.model import CriticModel
from alphallm_env.critics.trained.notes import NoteTaker, save_notes_limit
from alphallm_env.critics.trained.value import save_head
from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.lm.prompts.templates import PromptTemplate, template_for
from alphallm_env.loading import READER_FOLDER, TINY_CRITICS, TINY_POLICY, load_policy, resolve
from alphallm_env.mdp.options import option_rule
from alphallm_env.runtime.engine import Engine
from alphallm_env.runtime.files import Json
from alphallm_env.simulator import Policy
from alphallm_env.training.critics import Notes, Training, examples, label_tokens, take_notes, train
from alphallm_env.training.graded import CRITICS, ProblemData, items_of, state_after
from alphallm_env.training.probes import fit_probe, read_prefixes
from alphallm_env.types import Problem
from experiments.critics.data import AT_ONCE, Sampler, StepLabeller, collect, label_steps, problem_splits
from experiments.critics.reranking import reranking, reranking_table
from experiments.process_labels import searched_steps
from experiments.runs.records import settle_config
from experiments.runs.screen import quiet_libraries

HELD_OUT = ("development", "test")


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
    labels: Literal["prefixes", "binary_search"] = "prefixes"  # how steps are labelled (process_labels.py)
    threshold: float = 0.25  # a step is good if at least this share of its continuations is
    soft_labels: bool = False  # the PRM learns that share itself, not whether it passes the threshold
    notes: bool = True  # the critics judge by a reader's notes: worth it where the reader solves problems
    last_layers: int = 0  # of the trunk that learn, the others stay as they are; 0: all
    lora_rank: int = 0  # LoRA's: the trunk's linear layers do not learn, matrices of this rank beside them do; 0: off
    probe_layers: tuple[int, ...] = ()  # none of the trunk learns: probes of the hidden states after these layers
    calculations: bool = True  # probes see whether the calculations that a solution states are right
    temperature: float = 1.0
    max_tokens: int = 120
    epochs: int = 1
    batch_sequences: int = 48
    muon_lr: float = 0.004
    adam_lr: float = 5e-4
    at_once: int = AT_ONCE  # texts sampled side by side: what the memory holds
    device: str = "auto"
    dtype: str = "auto"  # of the policy while it writes
    seed: int = 1

    def __post_init__(self) -> None:
        if self.calibrate and self.probe_layers:
            raise ValueError(
                f"--calibrate takes critics as they are, got {self.calibrate!r} with --probe-layers {self.probe_layers}"
            )
        if self.lora_rank < 0 or (self.lora_rank and self.last_layers):
            raise ValueError(
                f"lora_rank must be >= 0, and 0 with --last-layers, got {self.lora_rank} with {self.last_layers} layers"
            )


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
    items = items_of(data, threshold)
    states = {name: [item.state for item in asked] for name, asked in items.items()}
    labeller = Labeller(critic, template.labels)
    prefixes = [template.judge_state(s.question, s.text, notes[s.question, s.text]) for s in states["value"]]
    steps = [
        template.judge_step(s.question, before.text, option.text, notes[s.question, s.text])
        for s in states["prm"]
        for before, option in [last_option(s)]
    ]
    wholes = [template.judge_outcome(s.question, s.text, notes[s.question, s.text]) for s in states["orm"]]
    scores = {
        "value": [estimate.value for estimate in critic.values(prefixes)],
        "prm": [share_of_true(answer.probs) for answer in labeller.judge(steps)],
        "orm": [share_of_true(answer.probs) for answer in labeller.judge(wholes)],
    }
    return {name: Scored(scores[name], [item.outcome for item in asked]) for name, asked in items.items()}


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
    names = ("policy", "problems", "option_rule", "samples", "min_visits", "steps_per_problem", "labels", "temperature",
             "max_tokens", "dtype", "seed", *(["threshold"] if config.labels == "binary_search" else []))  # fmt: skip
    config.out.mkdir(parents=True, exist_ok=True)
    settings = {name: value for name, value in asdict(config).items() if name in names}
    settle_config(config.out / "data_config.json", cast("dict[str, Json]", settings))
    sampler = Sampler(
        policy, option_rule(config.option_rule), config.max_tokens, config.temperature, config.seed, config.at_once
    )
    return {
        split: collect(
            sampler, problems, config.out / f"{split}.jsonl", config.samples, step_labeller(sampler, config)
        )[: len(problems)]
        for split, problems in splits(config).items()
    }


def step_labeller(sampler: Sampler, config: CriticsConfig) -> StepLabeller:
    """Returns what labels the steps of samples: binary searches of the first few, or estimates after prefixes."""
    if config.labels == "binary_search":
        return partial(
            searched_steps, sampler, num_rollouts=config.min_visits, threshold=config.threshold,
            solutions_per_problem=config.steps_per_problem,
        )  # fmt: skip
    return partial(label_steps, sampler, min_visits=config.min_visits, steps_per_problem=config.steps_per_problem)


def main(config: CriticsConfig) -> dict[str, Quality]:
    """Collects, trains, calibrates, measures and writes the critics to `out/critics`."""
    torch.manual_seed(config.seed)
    quiet_libraries()
    policy = load_policy(config.policy, config.device, config.dtype)
    trunk = probe_trunk(policy, config)
    data = collect_splits(policy, config)
    if trunk is not None:
        return finish(*fit_probes(trunk, data, config), data["test"], config)
    reader, judge = load_models(config)
    template = template_for(judge.tokenizer)
    with Engine() as engine:
        taker = NoteTaker(reader, template, engine, config.max_tokens) if reader else None
        notes = {split: take_notes(taker, engine, part) for split, part in data.items()}
    if not config.calibrate:
        threshold = None if config.soft_labels else config.threshold
        lessons = list(examples(data["train"], notes["train"], judge, template, threshold))
        train(judge, judge.head, lessons, label_tokens(judge, template), training_of(config))
    save_models(config.out / "critics", judge, reader, config.max_tokens)
    scored = {split: score_all(judge, notes[split], template, data[split], config.threshold) for split in HELD_OUT}
    return finish(scored["development"], scored["test"], data["test"], config)


def training_of(config: CriticsConfig) -> Training:
    """Returns the part of the settings that training needs."""
    return Training(
        config.epochs,
        config.batch_sequences,
        config.muon_lr,
        config.adam_lr,
        config.last_layers,
        config.lora_rank,
        config.seed,
    )


def load_models(config: CriticsConfig) -> tuple[TransformersLM | None, CriticModel]:
    """Returns the reader, where one takes notes, and the judge, trained before or about to be."""

    def load(source: str | Path) -> TransformersLM:
        return TransformersLM.load(source, config.device, "float32")

    if config.calibrate:
        folder = Path(resolve(config.calibrate, TINY_CRITICS))
        reader = load(folder / READER_FOLDER) if (folder / READER_FOLDER).is_dir() else None
        return reader, CriticModel.load_with_head(folder, config.device, "float32")
    trunk = trunk_of(config)
    lm = load(trunk)
    return load(trunk) if config.notes else None, CriticModel(
        lm.model, lm.tokenizer, "critics", torch.nn.Linear(lm.model.config.hidden_size, 1)
    )


def save_models(folder: Path, critic: CriticModel, reader: TransformersLM | None, max_tokens: int) -> None:
    """Writes the models in bfloat16, and gives the critic the weights as they are then, in float32.

    What notes were taken stay those that the reader took when the critics learnt from them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    critic.model.bfloat16().save_pretrained(folder)
    critic.tokenizer.save_pretrained(folder)
    save_head(folder, critic.head.weight.detach().cpu(), critic.head.bias.detach().cpu())
    critic.model.float()
    critic.forget()
    if reader is not None:
        save_notes_limit(folder, max_tokens)
        reader.model.bfloat16().save_pretrained(folder / READER_FOLDER)
        reader.tokenizer.save_pretrained(folder / READER_FOLDER)


def probe_trunk(policy: Policy, config: CriticsConfig) -> ProbeTrunk | None:
    """Returns the model that probes read, None where no probes are asked for.

    Raises ValueError, before anything is sampled, for layers that it does not have.
    """
    if not config.probe_layers:
        return None
    lm = policy.lm
    if config.trunk or not isinstance(lm, TransformersLM):
        lm = TransformersLM.load(trunk_of(config), config.device, config.dtype)
    trunk = ProbeTrunk(lm, template_for(lm.tokenizer), config.probe_layers, config.calculations)
    trunk.read([state_after("How many?", ())])
    trunk.forget()
    return trunk


def trunk_of(config: CriticsConfig) -> str:
    """Returns the folder or hub name of the model that critics start from, or that probes read."""
    return config.trunk or resolve(config.policy, TINY_POLICY)


def fit_probes(
    trunk: ProbeTrunk, data: dict[str, list[ProblemData]], config: CriticsConfig
) -> tuple[dict[str, Scored], dict[str, Scored]]:
    """Fits probes, writes them to `out/critics`, and returns their raw scores on the development and test split."""
    vectors = {split: read_prefixes(trunk, part, config.out / "read") for split, part in data.items()}
    items = {split: items_of(part, config.threshold) for split, part in data.items()}

    def seen(split: str, name: str) -> NDArray[np.float32]:
        return np.stack([vectors[split][item.state.question, item.state.text] for item in items[split][name]])

    probes: dict[str, Probe] = {}
    for name in CRITICS:
        learnt = items["train"][name]
        targets = [float(item.outcome) for item in learnt]
        fit = fit_probe(
            seen("train", name), targets, [item.state.question for item in learnt], trunk.num_checks, config.seed
        )
        print(f"{name}: penalty {fit.penalty}, AUC in the cross-validation {fit.cross_validated[fit.penalty]:.3f}")
        probes[name] = fit.probe
    record = TrunkRecord(trunk_of(config), model_revision(trunk.lm), config.probe_layers, config.calculations)
    save_probes(config.out / "critics", probes, record)
    development, test = (
        {
            name: Scored(probe(seen(split, name)).tolist(), [item.outcome for item in items[split][name]])
            for name, probe in probes.items()
        }
        for split in HELD_OUT
    )
    return development, test


def finish(
    development: dict[str, Scored], test: dict[str, Scored], tested: Sequence[ProblemData], config: CriticsConfig
) -> dict[str, Quality]:
    """Calibrates on the development split, measures on the test split, and writes both beside the models.

    Raises ValueError where all development outcomes of a critic are alike: nothing to calibrate by.
    """
    scalings: dict[str, Scaling] = {
        name: fit_scaling(config.calibration, s.scores, [float(o) for o in s.outcomes])
        for name, s in development.items()
    }
    save_calibration(config.out / "critics", scalings)
    qualities = {
        name: quality(scored.calibrated(scalings[name]).scores, scored.outcomes) for name, scored in test.items()
    }
    choice = reranking(tested, test["orm"].scores)
    report = {
        "quality": {name: asdict(q) for name, q in qualities.items()},
        "reranking": asdict(choice),
        "config": {key: str(value) if isinstance(value, Path) else value for key, value in asdict(config).items()},
    }
    (config.out / "quality.json").write_text(json.dumps(report, indent=2) + "\n")
    print_qualities(qualities)
    Console().print(reranking_table(choice))
    return qualities


if __name__ == "__main__":
    main(tyro.cli(CriticsConfig))
