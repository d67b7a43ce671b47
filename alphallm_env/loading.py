"""From names to a running simulator: the shipped tiny models, a folder, or a hub name."""

from __future__ import annotations

import os
from functools import cache, lru_cache
from pathlib import Path
from typing import cast

from alphallm_env.critics.base import Critic
from alphallm_env.critics.calibration import CALIBRATION_FILE, CalibratedCritic, load_calibration
from alphallm_env.critics.probes.probe import TRUNK_FILE, ProbeCritic, ProbeTrunk, load_probes
from alphallm_env.critics.prompted.generative import OutcomeRewardModel, ProcessRewardModel
from alphallm_env.critics.prompted.tool_augmented import ToolAugmentedORM
from alphallm_env.critics.public.adapters import load_public_prm, split_source
from alphallm_env.critics.trained.model import CriticModel
from alphallm_env.critics.trained.notes import NoteTaker, load_notes_limit
from alphallm_env.critics.trained.value import LearnedValue, MonteCarloValue
from alphallm_env.errors import ModelError
from alphallm_env.lm.backends import HasTokenizer, load_lm, load_server_lm
from alphallm_env.lm.base import LanguageModel
from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.lm.prompts import FewShotTemplate, template_for
from alphallm_env.mdp.dynamics import Rules
from alphallm_env.runtime.engine import Engine
from alphallm_env.sandbox import Sandbox
from alphallm_env.simulator import Critics, Policy, Simulator

TINY_POLICY = Path(__file__).parent / "lm" / "tiny"
TINY_CRITICS = Path(__file__).parent / "critics" / "tiny"
READER_FOLDER = "reader"  # inside a folder of critics: the model that takes their notes
PROMPTED = "prompted"  # the policy itself, asked
PROMPTED_WITH_TOOLS = "prompted_tools"  # the same, and as ORM it may run programs before it judges
_MOST_SANDBOX_WORKERS = 4
_MODELS_KEPT = 4  # of each kind: a loop trains a new policy every round


def resolve(name: str, tiny: Path) -> str:
    """Returns what to load: the shipped folder for `tiny`, else the name as it is."""
    return str(tiny) if name == "tiny" else name


def load_policy(
    name: str = "tiny",
    device: str = "auto",
    dtype: str = "auto",
    temperature: float = 1.0,
    *,
    tokenizer: str = "",
    model: str = "",
    backend: str = "transformers",
) -> Policy:
    """Returns the policy called `tiny`, that of a folder or hub name, or that behind a server's url.

    Its template fits its tokenizer. A server, or several of one model with commas between their urls, has
    the one called `tokenizer` (tiny, a folder or hub name), and few-shot prompts without one; `model` is
    what the server calls the model, the first that it lists where empty.
    `backend` is what runs a policy in process, as in `load_lm`; a model without a tokenizer has few-shot prompts.
    """
    if name.startswith(("http://", "https://")):
        lm: LanguageModel = load_server_lm(name, model, resolve(tokenizer, TINY_POLICY))
    else:
        lm = load_lm(resolve(name, TINY_POLICY), device, dtype, backend)
    found = lm.tokenizer if isinstance(lm, HasTokenizer) else None
    return Policy(lm, template_for(found) if found else FewShotTemplate(), temperature)


def load_critics(folder: str | Path, engine: Engine, device: str = "auto") -> Critics:
    """Returns the calibrated value function, PRM and ORM in a folder that `experiments.train_critics` wrote.

    They read the prompts that fit their own tokenizer, whatever the policy's are.
    """
    path = Path(folder)
    scalings = load_calibration(path)
    if missing := {"value", "prm", "orm"} - scalings.keys():
        raise ModelError(f"expected calibrations of value, prm and orm in {folder}, found none of {sorted(missing)}")
    make = _probe_critics if (path / TRUNK_FILE).is_file() else _trained_critics
    found = {critic.name: CalibratedCritic(critic, scalings[critic.name]) for critic in make(path, engine, device)}
    return Critics(value=found["value"], prm=found["prm"], orm=found["orm"])


def _trained_critics(folder: Path, engine: Engine, device: str) -> list[Critic]:
    """Returns the critics of a trunk that learnt to judge, with the reader whose notes it judges by, if any."""
    model = _load_critic_model(str(folder), device)
    template = template_for(model.tokenizer)
    reader = folder / READER_FOLDER
    notes = None
    if reader.is_dir():
        lm = cast(TransformersLM, load_lm(str(reader), device))
        notes = NoteTaker(lm, template, engine, load_notes_limit(folder))
    return [
        LearnedValue(model, template, engine, notes),
        ProcessRewardModel(model, template, engine, notes),
        OutcomeRewardModel(model, template, engine, notes),
    ]


def _probe_critics(folder: Path, engine: Engine, device: str) -> list[Critic]:
    """Returns probes of a model that is named in the folder. Raises ModelError if its weights are others by now."""
    probes, record = load_probes(folder)
    lm = _load_probed_lm(record.model, device)
    if lm.revision != record.revision:
        raise ModelError(
            f"expected the weights that the probes in {folder} were fitted to, {record.revision}, "
            f"got {lm.revision} at {record.model}"
        )
    if missing := {"value", "prm", "orm"} - probes.keys():
        raise ModelError(f"expected probes for value, prm and orm in {folder}, found none for {sorted(missing)}")
    trunk = ProbeTrunk(lm, template_for(lm.tokenizer), record.layers, record.calculations)
    return [ProbeCritic(name, trunk, probe, engine) for name, probe in probes.items()]


def prompted_critics(policy: Policy, engine: Engine, sandbox: Sandbox | None = None) -> Critics:
    """Returns PRM and ORM that ask the policy's own model. `build_simulator` adds a value function.

    With a sandbox the ORM may run programs. Raises CriticError where the model cannot be asked for any.
    """
    lm, template = policy.lm, policy.template
    orm = ToolAugmentedORM(lm, template, engine, sandbox) if sandbox else OutcomeRewardModel(lm, template, engine)
    return Critics(prm=ProcessRewardModel(lm, template, engine), orm=orm)


def public_critics(source: str, engine: Engine, device: str = "auto") -> Critics:
    """Returns the PRM called `ADAPTER:MODEL`, and as ORM the lowest score that it gives a step of a solution.

    Where the model is a folder with a `calibration.json`, they are calibrated by it. `build_simulator` adds a
    value function.
    """
    prm = load_public_prm(source, engine, device=device)
    orm = load_public_prm(source, engine, device=device, aggregation="min", name="orm")
    _, model = source.split(":", 1)
    scalings = load_calibration(Path(model)) if (Path(model) / CALIBRATION_FILE).is_file() else {}

    def calibrated(critic: Critic) -> Critic:
        return CalibratedCritic(critic, scalings[critic.name]) if critic.name in scalings else critic

    return Critics(prm=calibrated(prm), orm=calibrated(orm))


def build_simulator(
    policy: Policy,
    critics: str,
    rules: Rules,
    engine: Engine,
    device: str = "auto",
    rollout_policy: Policy | None = None,
) -> Simulator:
    """Returns a simulator around a policy.

    `critics` is tiny, prompted, prompted_tools, none, a folder of trained ones, or ADAPTER:MODEL of a public PRM
    (`public.py`).
    """
    if critics == "none":
        return Simulator(policy, Critics(), rules, rollout_policy, engine)
    if critics in (PROMPTED, PROMPTED_WITH_TOOLS):
        judges = prompted_critics(policy, engine, shared_sandbox() if critics == PROMPTED_WITH_TOOLS else None)
    elif split_source(critics) is not None:
        judges = public_critics(critics, engine, device)
    else:
        judges = load_critics(resolve(critics, TINY_CRITICS), engine, device)
        return Simulator(policy, judges, rules, rollout_policy, engine)
    asking = Simulator(policy, judges, rules, rollout_policy, engine)
    with_value = Critics(value=MonteCarloValue(asking), prm=judges.prm, orm=judges.orm)
    return Simulator(policy, with_value, rules, rollout_policy, engine)


def load_simulator(
    policy: str = "tiny",
    critics: str = "tiny",
    rules: Rules | None = None,
    device: str = "auto",
    dtype: str = "auto",
    temperature: float = 1.0,
    *,
    tokenizer: str = "",
    backend: str = "transformers",
) -> Simulator:
    """Returns a simulator by names. Models of one name are loaded once and shared, as is the engine.

    `tokenizer` is for a policy on a server and `backend` for one in process, as in `load_policy`.
    """
    acting = load_policy(policy, device, dtype, temperature, tokenizer=tokenizer, backend=backend)
    return build_simulator(acting, critics, rules or Rules(), shared_engine(), device)


@cache
def shared_engine() -> Engine:
    """Returns the engine that environments made by name have in common."""
    return Engine()


@cache
def shared_sandbox() -> Sandbox:
    """Returns the sandbox that critics made by name have in common. It ends with this process."""
    return Sandbox(num_workers=max(1, min(_MOST_SANDBOX_WORKERS, os.cpu_count() or 1)))


@lru_cache(maxsize=1)
def _load_probed_lm(source: str, device: str) -> TransformersLM:
    """Returns a model of its own, even where a policy of the same name is loaded: that one may go on learning."""
    return TransformersLM.load(source, device)


@lru_cache(maxsize=_MODELS_KEPT)
def _load_critic_model(folder: str, device: str) -> CriticModel:
    return CriticModel.load_with_head(folder, device)
