"""Kinds of attention beside a bare forward pass, by backend: the largest difference in nats.

    python -m experiments.bench.attention
    python -m experiments.bench.attention --backends vllm --kinds llama mistral gemma3   # where vLLM is installed

Small random models with a window of 16 tokens; texts on both sides of it share their batches and cached prefixes.
"""

from __future__ import annotations

import gc
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import tyro
from rich.table import Table

from alphallm_env.errors import AlphaLLMError
from alphallm_env.lm.backends import load_lm
from alphallm_env.lm.local.vocabulary import vocabulary_of
from alphallm_env.runtime.files import write_whole
from alphallm_env.testing import check_forward_pass
from alphallm_env.testing.random_models import KINDS, random_model, save_random_model
from experiments.runs.screen import quiet_libraries, results_console

Backend = Literal["transformers", "continuous", "vllm"]


@dataclass(frozen=True)
class AttentionBenchConfig:
    """Which kinds, on which backends."""

    kinds: tuple[str, ...] = tuple(KINDS)
    backends: tuple[Backend, ...] = ("transformers", "continuous")
    json: Path | None = None
    """where to write the figures"""


def difference(kind: str, backend: Backend) -> float | str:
    """Returns the largest difference of a backend from the bare forward pass in nats, or why there is none."""
    model, tokenizer = random_model(kind)
    with tempfile.TemporaryDirectory() as folder:
        try:
            lm = load_lm(str(save_random_model(kind, Path(folder))), "cpu", "float32", backend)
        except AlphaLLMError as error:
            return f"refused: {error}"
        try:
            vocabulary = vocabulary_of(model, getattr(lm, "tokenizer", tokenizer))
            return check_forward_pass(lm, model, vocabulary, most_nats=float("inf"), over_all_tokens=backend == "vllm")
        except AssertionError as error:
            return f"another text: {error}"
        except Exception as error:  # of an engine: what it cannot run is a row of the table
            return f"{type(error).__name__}: {error}"
        finally:
            close = getattr(lm, "close", None)
            if close is not None:
                close()
            del lm
            gc.collect()


def main(config: AttentionBenchConfig) -> dict[str, dict[str, float | str]]:
    """Measures, prints the matrix, and writes it."""
    quiet_libraries()
    torch.set_num_threads(1)
    figures = {kind: {backend: difference(kind, backend) for backend in config.backends} for kind in config.kinds}
    table = Table("attention", *config.backends, title="largest difference from a bare forward pass, nats")
    for kind, row in figures.items():
        table.add_row(kind, *(found[:60] if isinstance(found, str) else f"{found:.1e}" for found in row.values()))
    results_console().print(table)
    if config.json is not None:
        write_whole(config.json, json.dumps(figures, indent=2) + "\n")
    return figures


if __name__ == "__main__":
    main(tyro.cli(AttentionBenchConfig))
