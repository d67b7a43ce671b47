"""The settings of one training of critics, in groups."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from experiments.runs.settings import with_flat_flags

AT_ONCE = 256  # texts that a policy samples in one batch, unless the memory holds fewer


@dataclass(frozen=True)
class PolicyAndTrunk:
    """Whose trajectories are judged, and which model judges."""

    policy: str = "tiny"
    """tiny, a folder or a hub name; its trajectories are what critics learn from"""
    trunk: str = ""
    """the language model that critics are trained from, a folder or a hub name; the policy where empty"""
    device: str = "auto"
    dtype: str = "auto"
    """of the policy while it samples"""


@dataclass(frozen=True)
class Sampling:
    """The trajectories that critics learn from and are measured on."""

    problems: str = "gsm_symbolic"
    """a source with splits, or FILE.jsonl, which is shuffled and cut into the three splits"""
    option_rule: str = "sentence"
    """where a step ends: token, sentence, option (the paper's for MATH)"""
    train_problems: int = 1_200
    development_problems: int = 600
    """scores are calibrated on their trajectories"""
    test_problems: int = 600
    """critics are measured on their trajectories"""
    samples: int = 8
    """trajectories per problem"""
    temperature: float = 1.0
    max_tokens: int = 120
    """of one trajectory"""
    at_once: int = AT_ONCE
    """texts sampled in one batch: what the memory holds"""


@dataclass(frozen=True)
class StepLabels:
    """What a PRM learns: the share of a step's continuations that end correctly."""

    labels: Literal["prefixes", "binary_search"] = "prefixes"
    """how steps are labelled (`process_labels.py`)"""
    min_visits: int = 4
    """continuations behind every label"""
    steps_per_problem: int = 4
    threshold: float = 0.25
    """a step is good if at least this share of its continuations ends correctly"""
    soft_labels: bool = False
    """learn the share itself, not whether it passes the threshold"""


@dataclass(frozen=True)
class CriticKind:
    """What the critics are."""

    calibrate: str = ""
    """critics to take as they are, a folder or tiny: they are calibrated and measured, not trained"""
    calibration: Literal["temperature", "platt", "isotonic"] = "platt"
    notes: bool = True
    """whether critics judge by a reader's notes: worth it where the reader solves problems"""
    last_layers: int = 0
    """train only so many last layers of the trunk; 0: all"""
    lora_rank: int = 0
    """train LoRA matrices of this rank beside the trunk's linear layers; 0: no LoRA"""
    probe_layers: tuple[int, ...] = ()
    """train nothing of the trunk: fit probes to the hidden states after these layers"""
    calculations: bool = True
    """whether probes see if the calculations that a solution states are right"""


@dataclass(frozen=True)
class Optimization:
    """How the trunk is trained; probes need none of it."""

    epochs: int = 1
    batch_sequences: int = 48
    muon_lr: float = 0.004
    """of matrices inside the layers"""
    adam_lr: float = 5e-4
    """of all other weights, and of LoRA's"""


@with_flat_flags
@dataclass(frozen=True)
class CriticsConfig:
    """Trains value function, PRM and ORM for a policy, from its own trajectories and final answers alone."""

    out: Path
    """the run's folder; the critics are in its folder `critics`"""
    seed: int = 1
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
