"""What is shipped is what its model cards say, and no module is hidden from git."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess

import pytest
from paths import ROOT

from alphallm_env.critics.loading import TINY_CRITICS
from alphallm_env.lm.shipped import COUNTDOWN_POLICY, TINY_POLICY


@pytest.mark.parametrize(
    "folder", [TINY_POLICY, COUNTDOWN_POLICY, TINY_CRITICS], ids=["policy", "countdown", "critics"]
)
def test_a_model_card_names_the_hash_of_its_weights(folder: object) -> None:
    card = (folder / "README.md").read_text()  # type: ignore[operator]
    weights = (folder / "model.safetensors").read_bytes()  # type: ignore[operator]
    said = re.search(r"sha256 `([0-9a-f]{64})`", card)
    assert said is not None
    assert said[1] == hashlib.sha256(weights).hexdigest()
    assert len(weights) <= (3_000_000 if folder == COUNTDOWN_POLICY else 16_000_000)


@pytest.mark.skipif(not shutil.which("git") or not (ROOT / ".git").exists(), reason="needs a clone")
def test_git_ignores_no_module() -> None:
    command = ["git", "ls-files", "--others", "--ignored", "--exclude-standard", "--"]
    packages = [f"{folder}/**/*.py" for folder in ("alphallm_env", "agents", "experiments", "tests")]
    found = subprocess.run([*command, *packages], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout == ""
