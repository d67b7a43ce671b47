"""The comparison of both ways to label steps: the real command on the tiny policy."""

from __future__ import annotations

import json
from pathlib import Path

from experiments.process_labels import LabelsConfig, main


def test_the_command_runs_with_the_tiny_policy(tmp_path: Path) -> None:
    file = tmp_path / "labels.json"
    figures = main(LabelsConfig(json=file, limit=16, samples=4, num_rollouts=2, threshold=0.5, device="cpu"))
    assert 0.0 <= figures["agreement"] <= 1.0
    assert json.loads(file.read_text())["rollouts_prefixes"] == figures["rollouts_prefixes"] > 0
