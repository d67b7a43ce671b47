"""The settings of one training of critics, in groups."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from alphallm_env.mdp.options import TERMINATION_RULES
from alphallm_env.problems import PROBLEM_SETS
from experiments.runs.settings import with_flat_flags

AT_ONCE = 256  # texts that a policy samples in one batch


@dataclass(frozen=True)
class PolicyAndTrunk:
    """Whose trajectories are judged, and which model judges."""

    policy: str = "tiny"
    """tiny, a folder or a hub name; critics learn from its trajectories"""
    trunk: str = ""
    """the language model that critics start from, a folder or a hub name; the policy where empty"""
    device: str = "auto"
    """cpu, cuda, mps; auto: the GPU where there is one"""
    dtype: str = "auto"
    """of the policy while it samples: float32, bfloat16, float16; auto: what suits the device"""


@dataclass(frozen=True)
class Sampling:
    """The trajectories that critics learn from and are measured on."""

    problems: Annotated[
        str,
        tyro.conf.arg(
            help=f"a set with the splits train, development and test: {PROBLEM_SETS.choices}, OWNER/NAME of the hub; "
            "or FILE.jsonl, which is shuffled and cut into them"
        ),
    ] = "gsm_symbolic"
    option_rule: Annotated[
        str, tyro.conf.arg(help=f"where a step ends: {TERMINATION_RULES.choices}; option is the paper's for MATH")
    ] = "sentence"
    train_problems: int = 1_200
    """problems on whose trajectories critics are trained"""
    development_problems: int = 600
    """problems on whose trajectories scores are calibrated"""
    test_problems: int = 600
    """problems on whose trajectories critics are measured"""
    samples: int = 8
    """trajectories per problem"""
    temperature: float = 1.0
    """of the policy"""
    max_tokens: int = 120
    """of one trajectory"""
    at_once: int = AT_ONCE
    """texts sampled in one batch: fewer where the device has less memory"""


@dataclass(frozen=True)
class StepLabels:
    """What a PRM learns: the share of a step's continuations that end correctly."""

    labels: Literal["prefixes", "binary_search"] = "prefixes"
    """how steps are labelled: estimates after many prefixes, or a binary search for the first mistake"""
    min_visits: int = 4
    """continuations behind every label"""
    steps_per_problem: int = 4
    """unfinished prefixes labelled per problem; with binary_search, solutions searched"""
    threshold: float = 0.25
    """a step is good if at least this share of its continuations ends correctly"""
    soft_labels: bool = False
    """learn the share itself, not whether it reaches the threshold"""


@dataclass(frozen=True)
class CriticKind:
    """What is trained, and how scores are calibrated. Without the flags below, the whole trunk is trained."""

    calibrate: str = ""
    """trained critics, a folder or tiny, which are only calibrated and measured"""
    calibration: Literal["temperature", "platt", "isotonic"] = "platt"
    """how scores are calibrated on the development split"""
    notes: Annotated[
        bool,
        tyro.conf.arg(
            help="judge without a reader's notes, which are worth it where the reader solves problems",
            help_behavior_hint="(default: with them)",
        ),
    ] = True
    last_layers: int = 0
    """train only this many layers of the trunk, the last ones; 0: all"""
    lora_rank: int = 0
    """train LoRA matrices of this rank beside the trunk's linear layers; 0: no LoRA"""
    probe_layers: Annotated[
        tuple[int, ...],
        tyro.conf.arg(
            help="train nothing of the trunk, but fit probes to the hidden states after these layers",
            help_behavior_hint="(default: no probes)",
        ),
    ] = ()
    calculations: Annotated[
        bool,
        tyro.conf.arg(
            help="do not tell probes whether the calculations that a solution states are right",
            help_behavior_hint="(default: they are told)",
        ),
    ] = True


@dataclass(frozen=True)
class Optimization:
    """How the trunk is trained; probes need none of it."""

    epochs: int = 1
    """passes over the training sequences"""
    batch_sequences: int = 48
    """sequences in a batch"""
    muon_lr: float = 0.004
    """peak learning rate of matrices inside the layers"""
    adam_lr: float = 5e-4
    """peak learning rate of all other weights, and of LoRA's"""


@with_flat_flags
@dataclass(frozen=True)
class CriticsConfig:
    """Trains value function, PRM and ORM for a policy, from its own trajectories and final answers alone."""

    out: Path
    """the run's folder; the critics are in its folder `critics`"""
    seed: int = 1
    """everything random is drawn from it"""
    models: PolicyAndTrunk = PolicyAndTrunk()
    data: Sampling = Sampling()
    labels: StepLabels = StepLabels()
    critics: CriticKind = CriticKind()
    training: Optimization = Optimization()

    def __post_init__(self) -> None:
        kind = self.critics
        if kind.calibrate and kind.probe_layers:
            raise ValueError(
                f"--calibrate takes critics as they are, got {kind.calibrate!r} with --probe-layers {kind.probe_layers}"
            )
        if kind.lora_rank < 0 or (kind.lora_rank and kind.last_layers):
            raise ValueError(
                f"lora_rank must be >= 0, and 0 with --last-layers, got {kind.lora_rank} with {kind.last_layers} layers"
            )
