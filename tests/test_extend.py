"""The examples of `docs/extend.md`, each by its name: it is used for real, and passes the contract of its kind."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

import agents
from alphallm_env.critics.registry import CRITICS
from alphallm_env.lm.backends import BACKENDS, load_lm
from alphallm_env.lm.base import GenerationRequest
from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.lm.prompts import TinyTemplate
from alphallm_env.lm.shipped import TINY_POLICY
from alphallm_env.mdp.options import TERMINATION_RULES, split_options
from alphallm_env.mdp.rewards import REWARDS
from alphallm_env.problems import PROBLEM_SETS
from alphallm_env.testing import (
    check_critic,
    check_environment,
    check_fine_tuner,
    check_language_model,
    check_merge_rule,
    check_planner,
    check_problem_set,
    check_reward,
    check_selection_rule,
    check_termination_rule,
)
from alphallm_env.training.base import FINE_TUNERS, FineTuning, Lesson

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "examples" / "extend"
EXAMPLES = sorted(FOLDER.glob("*.py"))
REGISTRIES = {
    "planner": agents.PLANNERS,
    "selection": agents.SELECTION_RULES,
    "merge_rule": agents.MERGE_RULES,
    "critic": CRITICS,
    "problem_set": PROBLEM_SETS,
    "termination": TERMINATION_RULES,
    "reward": REWARDS,
    "backend": BACKENDS,
    "fine_tuner": FINE_TUNERS,
}


@pytest.fixture(autouse=True)
def _examples_are_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])


def name(file: str, attribute: str) -> str:
    return f"docs.examples.extend.{file}:{attribute}"


def make(**settings: object) -> gym.Env[str, str]:
    return gym.make("AlphaLLM/GSMSymbolic-v1", **{"limit": 3, "max_tokens": 60} | settings)


def played(env: gym.Env[str, str], *texts: str) -> list[tuple[object, float]]:
    """Returns the state and the reward after each text."""
    env.reset(seed=0)
    found: list[tuple[object, float]] = []
    for text in texts:
        _, reward, *_ = env.step(text)
        found.append((env.unwrapped.clone_state(), float(reward)))
    return found


def test_there_is_one_example_for_each_kind():
    assert {path.stem for path in EXAMPLES} == set(REGISTRIES)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_short_and_import_documented_modules_only(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 40
    pages = "\n".join(page.read_text() for page in (ROOT / "docs" / "api").glob("*.md"))
    public = {"agents", "alphallm_env", "alphallm_env.testing", *re.findall(r"^::: (\S+)", pages, re.MULTILINE)}
    imported = {
        module
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for module in ([node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    assert {
        module for module in imported if module.split(".")[0] in ("agents", "alphallm_env", "experiments")
    } <= public


@pytest.mark.parametrize("kind", REGISTRIES)
def test_a_wrong_name_lists_the_right_ones(kind):
    registry = REGISTRIES[kind]
    with pytest.raises(ValueError, match=re.escape(next(iter(registry)))):
        registry.resolve("no_such_name")


def test_planner():
    planner = agents.make_planner(name("planner", "BeamSearch"))
    env = make()
    env.reset(seed=0)
    plan = planner.plan(env, agents.Budget(tokens=600), np.random.default_rng(0))
    assert plan.best in plan.finished
    check_planner(planner, make, agents.Budget(tokens=300))


def test_selection_rule():
    planner = agents.eta_mcts(selection=name("selection", "ucb1_tuned"))
    env = make()
    env.reset(seed=0)
    assert planner.plan(env, agents.Budget(tokens=400), np.random.default_rng(0)).options
    rule = agents.SELECTION_RULES.resolve(name("selection", "ucb1_tuned"))
    check_selection_rule(rule)


def test_ucb1_tuned_by_hand():
    rule = agents.SELECTION_RULES.resolve(name("selection", "ucb1_tuned"))

    class Candidates:
        parent_visits, q, visits, variance = 8, [0.5, 0.5, 0.0], [4, 4, 0], [0.0, 1.0, 0.0]

    # ln 8 / 4 = 0.519860; both bounds are above 1/4, as √(2 · 0.519860) = 1.0197: 0.5 + √(0.519860 / 4) = 0.860506
    assert rule(Candidates(), 1.0) == pytest.approx([0.860506, 0.860506, float("inf")], abs=1e-6)


def test_merge_rule():
    reference = name("merge_rule", "same_result")
    env = make()
    env.reset(seed=0)
    assert agents.eta_mcts(merge_rule=reference).plan(env, agents.Budget(tokens=400), np.random.default_rng(0)).options
    rule = agents.MERGE_RULES.resolve(reference)
    assert rule("3 * 4 = 12\n", "That is 12 eggs.\n")
    assert not rule("3 * 4 = 12\n", "3 * 5 = 15\n")
    check_merge_rule(rule)


def test_critic():
    env = make(critics=f"tiny,prm={name('critic', 'CalculationPRM')}", reward="critics")
    after = played(env, "2 + 3 = 5, 2 * 3 = 5\n", "So be it.\n", "9 / 0 = 9\n")
    assert [reward for _, reward in after] == [0.5, 0.5, 0.0]
    simulator = env.unwrapped.simulator
    check_critic(simulator.critics.require("prm"), [state for state, _ in after], simulator.engine, is_free=True)


def test_problem_set():
    reference = name("problem_set", "shopping")
    env = make(problems=reference, reward="verifier")
    question, _ = env.reset(options={"problem_id": env.unwrapped.problem_ids[0]})
    numbers = [int(number) for number in re.findall(r"\d+", question)]
    answer = numbers[0] * numbers[1] + numbers[2] * numbers[3]
    assert env.step(f"#### {answer}\n")[1] == 1.0
    check_problem_set(PROBLEM_SETS.resolve(reference))


def test_termination_rule():
    reference = name("termination", "ResultRule")
    rule = TERMINATION_RULES.resolve(reference)
    text = "There are two bags.\nIn all 2 * 3 = 6 eggs.\n#### 6\n"
    assert split_options(text, rule) == ("There are two bags.\nIn all 2 * 3 = 6 eggs.\n", "#### 6\n")
    env = make(option_rule=reference)
    env.reset(seed=0)
    [option] = env.unwrapped.propose(1, seed=0)
    env.step(option)
    check_termination_rule(rule)


def test_a_regular_expression_terminates_too():
    rule = TERMINATION_RULES.resolve("regex:[.!?] ")
    assert split_options("One. Two? Three", rule) == ("One. ", "Two? ", "Three")
    check_termination_rule(rule, ["One. Two? Three"])


def test_reward():
    reference = name("reward", "BriefSolution")
    env = make(problems=name("problem_set", "shopping"), reward=reference)
    question, _ = env.reset(options={"problem_id": env.unwrapped.problem_ids[0]})
    numbers = [int(number) for number in re.findall(r"\d+", question)]
    answer = numbers[0] * numbers[1] + numbers[2] * numbers[3]
    _, reward, terminated, _, info = env.step(f"#### {answer}\n")
    assert terminated
    assert reward == pytest.approx(1.0 - 0.002 * info["num_tokens"])
    check_reward(REWARDS.resolve(reference))
    check_environment(lambda: make(reward=reference))


def test_backend():
    reference = name("backend", "PlainLM")
    env = make(backend=reference, critics="none", reward="verifier", max_tokens=30)
    env.reset(seed=0)
    [option] = env.unwrapped.propose(1, seed=0)
    info = env.step(option)[-1]
    assert 0 < info["num_tokens"] <= 30
    check_language_model(load_lm(str(TINY_POLICY), backend=reference), max_tokens=6)


def test_a_backend_writes_what_ours_writes():
    plain, ours = (
        load_lm(str(TINY_POLICY), "cpu", "float32", backend) for backend in (name("backend", "PlainLM"), "transformers")
    )
    env = make()
    question, _ = env.reset(seed=0)
    request = GenerationRequest(TinyTemplate().solve(question, ""), seed=0, max_tokens=30, temperature=0.0)
    [one], [other] = plain.generate([request]), ours.generate([request])
    assert one.text == other.text
    assert one.log_prob == pytest.approx(other.log_prob, abs=1e-3)


def test_fine_tuner(tmp_path):
    lessons = [
        Lesson(f"A kid has {n} books and gets 2 more. How many does she have?", f"{n} + 2 = {n + 2}\n#### {n + 2}\n")
        for n in range(3, 6)
    ]
    fine_tuner = FINE_TUNERS.resolve(name("fine_tuner", "WeightedFineTuner"))

    def load() -> TransformersLM:
        return TransformersLM.load(TINY_POLICY, "cpu")

    settings = FineTuning(epochs=1, lr=1e-3)
    first = fine_tuner.fine_tune(load(), TinyTemplate(), lessons, settings, tmp_path / "first", tmp_path / "logs")
    taught = TransformersLM.load(tmp_path / "first", "cpu")
    again = fine_tuner.fine_tune(taught, TinyTemplate(), lessons, settings, tmp_path / "again", tmp_path / "logs")
    assert again.loss < first.loss
    (tmp_path / "contract").mkdir()
    check_fine_tuner(fine_tuner, load, TinyTemplate(), lessons, tmp_path / "contract")
