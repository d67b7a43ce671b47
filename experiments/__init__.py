"""Programs, run as `python -m experiments.NAME`, and the folders with what they are made of.

`self_improve` runs the loop (folder `loop`); `self_improve_flat` is the same to read, `imagine` shows its first stage.
`evaluate` compares planners, `baselines` agents of other libraries (`choice`). `pretrain` trains the tiny policy
(`pretraining`), `train_critics` its critics; `critics_report`, `processbench`, `process_labels` and `tools_report`
measure critics (`critics`). `bench` has benchmarks, and `runs` what programs share.
"""

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
