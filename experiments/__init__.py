"""One file, one experiment; `records` holds what a run leaves behind.

GNU's OpenMP, with which torch computes on Linux, lets a worker that waits spin 300,000 times before it sleeps: some
10 ms on a recent processor, in which it keeps the very thread that it waits for from running as soon as another
program uses a core. A thousand times is long enough between two operations. The variable is read once, when torch
is loaded; whoever sets it, or `OMP_WAIT_POLICY`, keeps their own.
"""

import importlib.util
import os
from pathlib import Path


def check_agents() -> None:
    """Raises ImportError where `agents` is the package of another project, as that of openai-agents."""
    spec = importlib.util.find_spec("agents")
    found = spec.origin if spec else None
    if found is None or not (Path(found).parent / "mcts.py").exists():
        raise ImportError(
            f"expected the package `agents` of alphallm-env, got {found or 'none'}. The package openai-agents has the "
            "same import name: uninstall it here (`pip uninstall openai-agents`), or put the folder that holds "
            f"alphallm-env's `agents` first on PYTHONPATH (`PYTHONPATH={Path(__file__).parent.parent}`)"
        )


check_agents()

if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
