"""The guard: critics that know more than the policy end the run; nothing that plays or learns sees a solution."""

from __future__ import annotations

import ast
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from paths import ROOT
from safetensors.torch import load_file, save_file

from alphallm_env.critics.base import Critics
from alphallm_env.critics.loading import TINY_CRITICS
from alphallm_env.critics.prompted.generative import OutcomeRewardModel
from alphallm_env.errors import RunError
from alphallm_env.lm.shipped import TINY_POLICY
from alphallm_env.loading import load_policy, load_simulator
from alphallm_env.runtime.engine import Engine
from experiments.loop.config import PRESETS, SelfImproveConfig, smoke
from experiments.loop.guard import is_policys_own
from experiments.loop.improvement import LOOP, SelfImprovement
from experiments.runs.settings import changed


@pytest.fixture
def weak(tmp_path: Path) -> str:
    """A policy that solves nothing: the tiny one with a last layer of noise."""
    folder = tmp_path / "weak"
    shutil.copytree(TINY_POLICY, folder)
    weights = load_file(folder / "model.safetensors")
    torch.manual_seed(0)
    weights["model.norm.weight"] = torch.randn_like(weights["model.norm.weight"].float()).bfloat16()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return str(folder)


def config_of(policy: str, critics: str) -> SelfImproveConfig:
    return changed(smoke(PRESETS["tiny"]), policy=policy, critics=critics, guard_problems=30, threads=1)


def teacher(engine: Engine) -> Critics:
    """Critics that prompt the tiny policy, whatever the policy is."""
    policy = load_policy("tiny", device="cpu")
    return Critics(orm=OutcomeRewardModel(policy.lm, policy.template, engine))


def test_critics_that_solve_more_than_the_policy_end_the_run(weak: str, tmp_path: Path) -> None:
    with SelfImprovement(config_of(weak, "none"), tmp_path / "run") as run:
        plain = run.simulator
        run.simulator = lambda policy: replace(plain(policy), critics=teacher(run.engine))  # type: ignore[method-assign]
        with pytest.raises(RunError, match=r"round1: expected critics that know no more .* choose other --critics"):
            run.guard(LOOP, 1, run.config.models.with_policy(weak))
        run.guard(LOOP, 2, run.config.models.with_policy("tiny"))  # of this policy it is the policy's own model
    [found] = run.guards
    assert found.in_words() == "round2: the critics hold no model but the policy's own: none can know more"


def test_the_shipped_critics_know_no_more_than_the_policy(tmp_path: Path) -> None:
    with SelfImprovement(config_of("tiny", "tiny"), tmp_path / "run") as run:
        run.guard(LOOP, 1, run.config.models)
    [found] = run.guards
    assert found.num_problems == 30
    assert found.ci95 is not None
    assert found.ci95[0] <= 0.0


def test_a_verifier_answers_nothing(tmp_path: Path) -> None:
    with SelfImprovement(smoke(PRESETS["countdown"]), tmp_path / "run") as run:
        run.guard(LOOP, 1, run.config.models)
    assert run.guards[0].critic_solver_accuracy is None


def test_the_models_in_the_shipped_critics() -> None:
    simulator = load_simulator(device="cpu")
    names = {solver.name: is_policys_own(solver, simulator.policy) for solver in simulator.critics.solvers}
    assert names == {str(TINY_CRITICS): False, str(TINY_POLICY): True}


def imports_of(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def test_nothing_that_plays_or_learns_sees_the_solver() -> None:
    may_solve = {"alphallm_env/problems/countdown", "experiments/pretraining"}  # problem sets, and taught lessons
    files = [path for folder in ("alphallm_env", "agents", "experiments") for path in (ROOT / folder).rglob("*.py")]
    users = {
        str(path.relative_to(ROOT).parent)
        for path in files
        if any("countdown.solver" in name for name in imports_of(path))
    }
    assert users <= may_solve
