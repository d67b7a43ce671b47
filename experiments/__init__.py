"""Programs, one a file; each folder has what a group of them needs, and `runs` what all share."""

import importlib.util
from pathlib import Path

from alphallm_env.runtime.openmp import limit_openmp_spinning


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
limit_openmp_spinning()  # before a program loads torch
