r"""Trains value function, PRM and ORM for a policy, from its own trajectories and final answers alone.

    python -m experiments.train_critics --out runs/critics --trunk runs/trunk/policy   # the shipped ones
    python -m experiments.train_critics --policy FOLDER --problems FILE.jsonl --no-notes --last-layers 8 \
        --muon-lr 2e-4 --adam-lr 1e-4 --batch-sequences 8 --out runs/critics           # for a model of your own
    python -m experiments.train_critics --policy FOLDER --calibrate tiny --out runs/critics   # trained before

One trunk, started from the policy's weights or from `--trunk`, serves all three: PRM and ORM by generating
True or False, the value function by a scalar head, regressed on the share of correct endings (PAPER §3).
They judge by the notes of a reader (`alphallm_env/critics/trained/notes.py`), which is the policy itself.
Steps are labelled by prefix sampling or binary search (`process_labels.py`); `--soft-labels` keeps their shares.
Scores are calibrated on a development split, then measured on a held-out one; a JSONL file is cut into
the three. Data collection resumes where it was stopped; training starts again from the data. `--calibrate`
takes critics as they are, calibrates them on another policy's trajectories, and measures them on those.
"""

from __future__ import annotations

from functools import partial

import torch

from alphallm_env.critics.measures import Quality
from alphallm_env.critics.trained.notes import NoteTaker
from alphallm_env.lm.policy import Policy
from alphallm_env.lm.prompts import template_for
from alphallm_env.loading import load_policy
from alphallm_env.mdp.options import TERMINATION_RULES
from alphallm_env.runtime.engine import Engine
from alphallm_env.training.critics import examples, label_tokens, take_notes, train
from alphallm_env.training.graded import ProblemData
from alphallm_env.types import Problem
from experiments.critics.config import CriticsConfig, StepLabels
from experiments.critics.data import Sampler, StepLabeller, collect, label_steps, problem_splits
from experiments.critics.measuring import HELD_OUT, finish, score_all
from experiments.critics.models import fit_probes, load_models, probe_trunk, save_critic, training_of, trunk_of
from experiments.critics.step_labels import searched_steps
from experiments.runs.records import settle_config
from experiments.runs.screen import quiet_libraries
from experiments.runs.settings import flat, settings_of


def splits(config: CriticsConfig) -> dict[str, list[Problem]]:
    """Returns the problems of each split. A JSONL file is shuffled and cut into them.

    Raises OverlapError if two splits share a question, ProblemError if a file has too few problems.
    """
    data = config.data
    sizes = {"development": data.development_problems, "test": data.test_problems, "train": data.train_problems}
    problems = problem_splits(data.problems, sizes, config.seed)
    return {split: found for split, found in problems.items() if split != "train" or not config.critics.calibrate}


def collect_splits(policy: Policy, config: CriticsConfig) -> dict[str, list[ProblemData]]:
    """Returns the data of each split. Raises RunError if `out` holds data collected with other settings."""
    names = ["policy", "problems", "option_rule", "samples", "min_visits", "steps_per_problem", "labels", "temperature",
             "max_tokens", "dtype", "seed"]  # fmt: skip
    data, labels = config.data, config.labels
    if labels.labels == "binary_search":
        names.append("threshold")
    rule = TERMINATION_RULES.resolve(data.option_rule)
    problems_of = splits(config)
    config.out.mkdir(parents=True, exist_ok=True)  # nothing is written for settings that are refused
    settings = {name: value for name, value in flat(config).items() if name in names}
    settle_config(config.out / "data_config.json", settings)
    sampler = Sampler(policy, rule, data.max_tokens, data.temperature, config.seed, data.at_once)
    label = step_labeller(sampler, labels)
    return {
        split: collect(sampler, problems, config.out / f"{split}.jsonl", data.samples, label)[: len(problems)]
        for split, problems in problems_of.items()
    }


def step_labeller(sampler: Sampler, labels: StepLabels) -> StepLabeller:
    """Returns what labels the steps of samples: binary searches of the first few, or estimates after prefixes."""
    if labels.labels == "binary_search":
        return partial(
            searched_steps, sampler, num_rollouts=labels.min_visits, threshold=labels.threshold,
            solutions_per_problem=labels.steps_per_problem,
        )  # fmt: skip
    return partial(label_steps, sampler, min_visits=labels.min_visits, steps_per_problem=labels.steps_per_problem)


def main(config: CriticsConfig) -> dict[str, Quality]:
    """Collects, trains, calibrates, measures and writes the critics to `out/critics`."""
    torch.manual_seed(config.seed)
    quiet_libraries()
    policy = load_policy(config.models.policy, config.models.device, config.models.dtype)
    trunk = probe_trunk(policy, config)
    data = collect_splits(policy, config)
    if trunk is not None:
        scored = fit_probes(trunk, trunk_of(config), data, config.labels.threshold, config.out, config.seed)
        return finish(*scored, data["test"], config)
    reader, judge = load_models(config)
    template = template_for(judge.tokenizer)
    with Engine() as engine:
        taker = NoteTaker(reader, policy.template, engine, config.data.max_tokens) if reader else None
        notes = {split: take_notes(taker, engine, part) for split, part in data.items()}
    if not config.critics.calibrate:
        threshold = None if config.labels.soft_labels else config.labels.threshold
        lessons = list(examples(data["train"], notes["train"], judge, template, threshold))
        train(judge, judge.head, lessons, label_tokens(judge, template), training_of(config))
    save_critic(config.out / "critics", judge, config.data.max_tokens if reader else None)
    scored = {
        split: score_all(judge, notes[split], template, data[split], config.labels.threshold) for split in HELD_OUT
    }
    return finish(scored["development"], scored["test"], data["test"], config)


if __name__ == "__main__":
    main(settings_of(CriticsConfig))
