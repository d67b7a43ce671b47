"""Loads and writes the models of a training of critics: the reader, the judge, the trunk that probes read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from alphallm_env.critics.loading import TINY_CRITICS
from alphallm_env.critics.probes.probe import Probe, TrunkRecord, save_probes
from alphallm_env.critics.probes.trunk import ProbeTrunk
from alphallm_env.critics.provenance import model_revision
from alphallm_env.critics.trained.notes import load_notes_limit, save_notes_limit
from alphallm_env.critics.trained.value import CriticModel, save_head
from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.lm.policy import Policy
from alphallm_env.lm.prompts import template_for
from alphallm_env.lm.shipped import resolve
from alphallm_env.training.critics import CriticTraining
from alphallm_env.training.graded import CRITICS, ProblemData, items_of, state_after
from alphallm_env.training.probes import fit_probe, read_prefixes
from experiments.critics.config import CriticsConfig
from experiments.critics.measuring import HELD_OUT, Scored


def training_of(config: CriticsConfig) -> CriticTraining:
    """Returns the part of the settings that training needs."""
    return CriticTraining(
        config.training.epochs,
        config.training.batch_sequences,
        config.training.muon_lr,
        config.training.adam_lr,
        config.critics.last_layers,
        config.critics.lora_rank,
        config.seed,
    )


def load_models(config: CriticsConfig) -> tuple[TransformersLM | None, CriticModel]:
    """Returns the policy as the reader, where one takes notes, and the judge, trained before or about to be."""
    policy = resolve(config.models.policy)

    def load(source: str | Path) -> TransformersLM:
        return TransformersLM.load(source, config.models.device, "float32")

    if config.critics.calibrate:
        named = config.critics.calibrate
        folder = TINY_CRITICS if named == "tiny" else Path(named)
        reader = load(policy) if load_notes_limit(folder) is not None else None
        return reader, CriticModel.load_with_head(folder, config.models.device, "float32")
    lm = load(resolve(trunk_of(config)))
    return load(policy) if config.critics.notes else None, CriticModel(
        lm.model, lm.tokenizer, "critics", torch.nn.Linear(lm.model.config.hidden_size, 1)
    )


def save_critic(folder: Path, critic: CriticModel, notes_limit: int | None) -> None:
    """Writes the critic in bfloat16, and how long the reader's own solutions are; None where it judges without notes.

    The critic keeps the rounded weights, in float32, so that they are measured.
    """
    folder.mkdir(parents=True, exist_ok=True)
    critic.model.bfloat16().save_pretrained(folder)
    critic.tokenizer.save_pretrained(folder)
    save_head(folder, critic.head.weight.detach().cpu(), critic.head.bias.detach().cpu())
    critic.model.float()
    critic.clear_cache()
    if notes_limit is not None:
        save_notes_limit(folder, notes_limit)


def probe_trunk(policy: Policy, config: CriticsConfig) -> ProbeTrunk | None:
    """Returns the model that probes read, None where no probes are asked for.

    Raises ValueError, before anything is sampled, for layers that it does not have.
    """
    if not config.critics.probe_layers:
        return None
    lm = policy.lm
    if config.models.trunk or not isinstance(lm, TransformersLM):
        lm = TransformersLM.load(resolve(trunk_of(config)), config.models.device, config.models.dtype)
    trunk = ProbeTrunk(lm, template_for(lm.tokenizer), config.critics.probe_layers, config.critics.calculations)
    trunk.read([state_after("How many?", ())])
    trunk.clear_cache()
    return trunk


def trunk_of(config: CriticsConfig) -> str:
    """Returns the name, as `resolve` takes it, of the model that critics start from, or that probes read."""
    return config.models.trunk or config.models.policy


def fit_probes(
    trunk: ProbeTrunk,
    source: str,
    data: Mapping[str, Sequence[ProblemData]],
    threshold: float,
    out: Path,
    seed: int,
    say: Callable[[str], None] = print,
) -> tuple[dict[str, Scored], dict[str, Scored]]:
    """Fits probes, writes them to `out/critics`, and returns their raw scores on the development and test split.

    `source` is the folder or hub name of the trunk's model; a step is good from `threshold` on.
    """
    vectors = {split: read_prefixes(trunk, part, out / "read", say) for split, part in data.items()}
    items = {split: items_of(part, threshold) for split, part in data.items()}

    def seen(split: str, name: str) -> NDArray[np.float32]:
        return np.stack([vectors[split][item.state.question, item.state.text] for item in items[split][name]])

    probes: dict[str, Probe] = {}
    for name in CRITICS:
        learnt = items["train"][name]
        targets = [float(item.outcome) for item in learnt]
        fit = fit_probe(seen("train", name), targets, [item.state.question for item in learnt], trunk.num_checks, seed)
        say(f"{name}: penalty {fit.penalty}, AUC in the cross-validation {fit.cross_validated[fit.penalty]:.3f}")
        probes[name] = fit.probe
    record = TrunkRecord(source, model_revision(trunk.lm), trunk.layers, bool(trunk.num_checks))
    save_probes(out / "critics", probes, record)
    development, test = (
        {
            name: Scored(probe(seen(split, name)).tolist(), [item.outcome for item in items[split][name]])
            for name, probe in probes.items()
        }
        for split in HELD_OUT
    )
    return development, test
