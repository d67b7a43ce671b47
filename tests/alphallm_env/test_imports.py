import ast
import subprocess
import sys
from pathlib import Path

import pytest

FORBIDDEN = {"alphallm_env": {"agents", "experiments"}, "agents": {"experiments"}}
HEAVY = (
    "torch",
    "transformers",
    "trl",
    "datasets",
    "stable_baselines3",
    "sympy",
    "matplotlib",
    "reasoning_gym",
)


def imported_packages(path: Path) -> set[str]:
    """Returns the top-level names that a file imports anywhere, also for its types only."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add((node.module or "").partition(".")[0])
    return names


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_point_down_only(root, package):
    files = list((root / package).rglob("*.py"))
    assert files
    wrong = {str(p.relative_to(root)): found for p in files if (found := imported_packages(p) & FORBIDDEN[package])}
    assert not wrong


def loaded_by(statements: str, root: Path) -> set[str]:
    program = f"import sys; {statements}; print(*(name for name in {HEAVY} if name in sys.modules))"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True, cwd=root)
    return set(found.stdout.split())


def test_importing_the_package_loads_no_model_library(root):
    assert loaded_by("import alphallm_env", root) == set()


@pytest.mark.parametrize("module", ["agents", "alphallm_env.testing"])
def test_neither_do_planners_and_contracts(root, module):
    assert not loaded_by(f"import {module}", root) & {"torch", "transformers"}


def test_an_episode_with_the_verifier_loads_no_model_library(root):
    episode = (
        "import gymnasium as gym;"
        "env = gym.make('alphallm_env:AlphaLLM/GSMSymbolic-v0', reward='verifier', limit=3);"
        "env.reset(seed=0); env.step('#### 5\\n'); env.render()"
    )
    assert not loaded_by(episode, root) & {"torch", "transformers", "trl", "datasets"}
