"""The readable twin of the loop: short, and the same figures as the loop itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from alphallm_env.runtime.engine import Engine
from experiments import self_improve, self_improve_flat
from experiments.self_improve_flat import FlatConfig

SMALL = FlatConfig(
    rounds=1, imagined=8, seed_problems=20, training_budget=400, orm_threshold=0.2, epochs=1, evaluation_problems=8,
    concurrency=4, training_concurrency=4,
)  # fmt: skip


def test_it_is_short_enough_to_read():
    assert len(Path(self_improve_flat.__file__).read_text().splitlines()) <= 150


def test_it_prints_its_accuracies_and_comes_to_the_weights_of_the_loop(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    with Engine() as engine:
        accuracies = self_improve_flat.improve(SMALL, tmp_path / "flat", engine)
    assert f"before: {accuracies[0]:.3f}" in capsys.readouterr().out
    flags = [
        "--preset",
        "tiny",
        "--smoke",
        "--rounds",
        "1",
        "--search-problems",
        "1",
        "--threads",
        str(torch.get_num_threads()),
    ]
    self_improve.main([*flags, "--out", str(tmp_path / "loop")])
    rows = json.loads((tmp_path / "loop" / "results.json").read_text())["rows"]
    greedy = [row["accuracy"] for row in rows if row["planner"] == "greedy" and row["split"] == "test"]
    assert greedy == accuracies
    flat, loop = (
        (tmp_path / folder / "round1" / "model.safetensors").read_bytes() for folder in ("flat", "loop/checkpoints")
    )
    assert flat == loop
