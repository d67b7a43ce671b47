"""The same trees, whatever runs beside a search and in whatever order: real models, float32."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import pytest

from agents import eta_mcts
from agents.base import Budget
from agents.running import run_episodes
from agents.tree.node import walk
from alphallm_env.loading import build_simulator, load_policy
from alphallm_env.mdp.dynamics import Rules
from alphallm_env.mdp.options import SentenceRule
from alphallm_env.problems import gsm_symbolic
from alphallm_env.runtime.engine import Engine
from alphallm_env.types import Problem

PROBLEMS = gsm_symbolic.problems("test", 12)
Tree = list[tuple[list[str], int, list[str], list[float | None]]]


def trees(problems: Iterable[Problem], concurrency: int) -> dict[str, Tree]:
    """Returns each search's nodes: texts, visit count, finished texts and scores."""
    with Engine() as engine:
        simulator = build_simulator(
            load_policy("tiny", "cpu"), "tiny", Rules(SentenceRule(), max_tokens=100), engine, "cpu"
        )
        assert simulator.is_reproducible
        simulator.clear_cache()
        planner = eta_mcts("tiny_large", leaves_in_flight=3)
        episodes = run_episodes(planner, simulator, problems, Budget(tokens=1_000), 0, concurrency=concurrency)
        return {
            problem.id: [
                (
                    [member.text for member in node.members],
                    node.visit_count,
                    [trajectory.state.text for trajectory in node.finished],
                    [node.value, node.prm, node.orm, node.score, node.mean],
                )
                for node in walk(result.root)
            ]
            for problem, result in episodes
            if result.root is not None
        }


@cache
def together() -> dict[str, Tree]:
    return trees(PROBLEMS, 64)


@pytest.mark.parametrize(("order", "concurrency"), [(1, 1), (1, 8), (-1, 64)])
def test_trees_do_not_depend_on_what_runs_beside_them(order: int, concurrency: int):
    found = trees(PROBLEMS[::order], concurrency)
    assert found.keys() == together().keys() == {problem.id for problem in PROBLEMS}
    for problem_id, wanted in together().items():
        assert [node[:3] for node in found[problem_id]] == [node[:3] for node in wanted]
        for (*_, scores), (*_, wanted_scores) in zip(found[problem_id], wanted, strict=True):
            for score, wanted_score in zip(scores, wanted_scores, strict=True):
                assert (score is None) == (wanted_score is None)
                assert score is None or score == pytest.approx(wanted_score, abs=1e-5)
