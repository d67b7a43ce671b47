"""The readable twin of the loop: short, and the same figures as the loop itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments import self_improve, self_improve_flat
from experiments.self_improve_flat import FlatConfig

SMALL = FlatConfig(
    rounds=1, imagined=8, seed_problems=20, training_budget=400, orm_threshold=0.2, epochs=1, evaluation_problems=8,
    concurrency=4,
)  # fmt: skip


def test_it_is_short_enough_to_read():
    assert len(Path(self_improve_flat.__file__).read_text().splitlines()) <= 150


def test_its_greedy_accuracies_are_those_of_the_loop(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    accuracies = self_improve_flat.main(SMALL)
    assert len(accuracies) == 2
    assert f"before: {accuracies[0]:.3f}" in capsys.readouterr().out
    flags = ["--smoke", "--rounds", "1", "--training-concurrency", "8", "--small-budget", "1", "--search-problems", "1"]
    self_improve.main([*flags, "--large-budget", "2000", "--out", str(tmp_path)])
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    greedy = [row["accuracy"] for row in rows if row["planner"] == "greedy" and row["split"] == "test"]
    assert greedy == accuracies
