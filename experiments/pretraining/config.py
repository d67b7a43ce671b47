"""The settings of one pre-training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class PretrainConfig:
    """Settings of one pre-training run. Token counts include padding-free text only."""

    out: Path
    start: Path | None = None  # the folder of a model to begin with; a fresh one where None
    world: Literal["gsm_symbolic", "countdown"] = "gsm_symbolic"
    level: str = "easy"  # of gsm_symbolic
    tokens: int = 8_500_000
    batch_documents: int = 48
    hidden_size: int = 192
    num_layers: int = 6
    num_heads: int = 6
    num_kv_heads: int = 1
    intermediate_size: int = 512
    muon_lr: float = 0.02
    adam_lr: float = 2e-3
    warmup_tokens: int = 300_000
    play_share: float = 0.35  # of Countdown's documents: legal plays that break off
    anneal_from: int | None = 6_000_000  # tokens after which the learning rate falls to 0, linearly
    question_weight: float = 0.3
    drill_share: float = 0.5  # arithmetic drills among the documents at the start
    drill_share_after: float = 0.1
    drill_tokens: int = 1_000_000  # how long the start is
    save_every: int = 500_000
    development_problems: int = 200
    stop_at_accuracy: float = 1.0  # greedy, on the development split
    compile: bool = False  # by torch.compile, which needs a C++ compiler: half as fast again after a minute and a half
    seed: int = 0
    threads: int = 2
