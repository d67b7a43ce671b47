"""The import name `agents` is taken by another package too: the error for a wrong one says so."""

import os
import subprocess
import sys
from pathlib import Path

from paths import ROOT


def test_a_wrong_package_called_agents_is_named(tmp_path: Path):
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "__init__.py").write_text("class Runner: ...\n")
    found = subprocess.run(
        [sys.executable, "-c", "import experiments.evaluate"],
        cwd=tmp_path,  # first on the path
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode != 0
    message = found.stderr.strip().splitlines()[-1]
    assert message.startswith("ImportError: expected the package `agents` of alphallm-env, got ")
    for expected in (str(tmp_path / "agents" / "__init__.py"), "pip uninstall openai-agents", f"PYTHONPATH={ROOT}"):
        assert expected in message
