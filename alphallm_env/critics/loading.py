"""Critics from folders and names: trained ones, probes, prompted ones and public PRMs."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from alphallm_env.critics.base import CRITIC_NAMES, Critic, Critics
from alphallm_env.critics.calibration import CALIBRATION_FILE, CalibratedCritic, Scaling, load_calibration
from alphallm_env.critics.context import CriticContext
from alphallm_env.critics.probes.probe import TRUNK_FILE, ProbeCritic, load_probes
from alphallm_env.critics.probes.trunk import ProbeTrunk
from alphallm_env.critics.prompted.generative import OutcomeRewardModel, ProcessRewardModel
from alphallm_env.critics.prompted.tool_augmented import ToolAugmentedORM
from alphallm_env.critics.public.adapters import load_public_prm
from alphallm_env.critics.trained.notes import NoteTaker, Reader, load_notes_limit
from alphallm_env.critics.trained.value import CriticModel, LearnedValue
from alphallm_env.errors import ModelError
from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.lm.prompts import template_for
from alphallm_env.lm.shipped import resolve
from alphallm_env.runtime.engine import Engine

TINY_CRITICS = Path(__file__).parent / "tiny"
COUNTDOWN_CRITICS = Path(__file__).parent / "countdown"
_MODELS_CACHED = 4  # of each kind


def load_critics(folder: str | Path, context: CriticContext) -> Critics:
    """Returns the calibrated value function, PRM and ORM in a folder that `experiments.train_critics` wrote.

    Their prompts are those of their own tokenizer, not of the policy's. Those that judge by notes have the policy take
    them, so that no critic solves what the policy does not. Raises ModelError where a critic is missing, and where a
    policy that is to take notes does not show how likely a text is.
    """
    path = Path(folder)
    scalings = load_calibration(path)
    if missing := set(CRITIC_NAMES) - scalings.keys():
        raise ModelError(f"expected calibrations of value, prm and orm in {folder}, found none of {sorted(missing)}")
    make = _probe_critics if (path / TRUNK_FILE).is_file() else _trained_critics
    found = {critic.name: _calibrated(critic, scalings) for critic in make(path, context)}
    return Critics(value=found["value"], prm=found["prm"], orm=found["orm"])


def tiny_critics(context: CriticContext) -> Critics:
    """Returns the trained critics that are shipped."""
    return load_critics(TINY_CRITICS, context)


def countdown_critics(context: CriticContext) -> Critics:
    """Returns the trained critics that are shipped for Countdown, which ask no verifier."""
    return load_critics(COUNTDOWN_CRITICS, context)


def prompted_critics(context: CriticContext) -> Critics:
    """Returns PRM and ORM that prompt the policy's own model."""
    lm, template, engine = context.policy.lm, context.policy.template, context.engine
    return Critics(prm=ProcessRewardModel(lm, template, engine), orm=OutcomeRewardModel(lm, template, engine))


def prompted_critics_with_tools(context: CriticContext) -> Critics:
    """Returns PRM and ORM that prompt the policy's own model; the ORM may run programs before it judges.

    Raises CriticError where the policy's template is not a `ToolTemplate`.
    """
    lm, template, engine = context.policy.lm, context.policy.template, context.engine
    return Critics(
        prm=ProcessRewardModel(lm, template, engine), orm=ToolAugmentedORM(lm, template, engine, context.sandbox)
    )


def public_critics(source: str, engine: Engine, device: str = "auto") -> Critics:
    """Returns the PRM called `ADAPTER:MODEL`, and an ORM that is its lowest score of a step of the solution.

    Where the model is a folder with a `calibration.json`, its scalings are applied.
    """
    prm = load_public_prm(source, engine, device=device)
    orm = load_public_prm(source, engine, device=device, aggregation="min", name="orm")
    _, model = source.split(":", 1)
    scalings = load_calibration(Path(model)) if (Path(model) / CALIBRATION_FILE).is_file() else {}
    return Critics(prm=_calibrated(prm, scalings), orm=_calibrated(orm, scalings))


def _calibrated(critic: Critic, scalings: dict[str, Scaling]) -> Critic:
    return CalibratedCritic(critic, scalings[critic.name]) if critic.name in scalings else critic


def _trained_critics(folder: Path, context: CriticContext) -> list[Critic]:
    """Returns the critics of a fine-tuned trunk; the policy takes their notes, if they judge by any."""
    model = _load_critic_model(str(folder), context.device)
    template, engine = template_for(model.tokenizer), context.engine
    limit, lm, notes = load_notes_limit(folder), context.policy.lm, None
    if limit is not None:
        if not isinstance(lm, Reader):
            raise ModelError(
                f"the critics in {folder} judge by notes that the policy takes; expected a policy with a method "
                f"`read`, as models in this process have, got {lm.name!r}"
            )
        notes = NoteTaker(lm, context.policy.template, engine, limit)
    return [
        LearnedValue(model, template, engine, notes),
        ProcessRewardModel(model, template, engine, notes),
        OutcomeRewardModel(model, template, engine, notes),
    ]


def _probe_critics(folder: Path, context: CriticContext) -> list[Critic]:
    """Returns probes of the model that the folder names. Raises ModelError if its weights have changed."""
    probes, record = load_probes(folder)
    lm = _load_probed_lm(resolve(record.model), context.device)
    if lm.revision != record.revision:
        raise ModelError(
            f"expected the weights that the probes in {folder} were fitted to, {record.revision}, "
            f"got {lm.revision} at {record.model}"
        )
    if missing := set(CRITIC_NAMES) - probes.keys():
        raise ModelError(f"expected probes for value, prm and orm in {folder}, found none for {sorted(missing)}")
    trunk = ProbeTrunk(lm, template_for(lm.tokenizer), record.layers, record.calculations)
    return [ProbeCritic(name, trunk, probe, context.engine) for name, probe in probes.items()]


@lru_cache(maxsize=_MODELS_CACHED)
def _load_critic_model(folder: str, device: str) -> CriticModel:
    return CriticModel.load_with_head(folder, device)


@lru_cache(maxsize=1)
def _load_probed_lm(source: str, device: str) -> TransformersLM:
    """Returns a model that is not shared with the policy of the same name, which may be fine-tuned."""
    return TransformersLM.load(source, device)
