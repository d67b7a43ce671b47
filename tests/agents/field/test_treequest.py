"""Our adaptive branching beside the one of its authors, TreeQuest, on the same simulator and the same ORM."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import numpy as np
import pytest
from scripted_world import START, make_simulator, search

from agents.base import AsyncPlanner, Budget
from agents.field.adaptive_branching import AdaptiveBranching
from agents.mcts import eta_mcts
from alphallm_env.testing.scripted import Continuations
from alphallm_env.types import State

treequest = pytest.importorskip("treequest", reason="needs treequest, which the extra `test` has")

# One first line in five is the right one, and then two of three second lines are.
WORLD: dict[str, Continuations] = {
    "": [("2 * 3 = 6\n", 0.2), ("2 + 3 = 5\n", 0.4), ("3 - 2 = 1\n", 0.4)],
    "2 * 3 = 6\n": [("6 + 1 = 7\n", 0.65), ("6 - 1 = 5\n", 0.35)],
    "2 + 3 = 5\n": [("5 + 1 = 6\n", 0.5), ("5 - 1 = 4\n", 0.5)],
    "3 - 2 = 1\n": [("1 + 1 = 2\n", 0.5), ("1 - 1 = 0\n", 0.5)],
    **{f"{a}{b}": [(f"#### {b.split('= ')[1]}", 1.0)] for a, b in (
        ("2 * 3 = 6\n", "6 + 1 = 7\n"), ("2 * 3 = 6\n", "6 - 1 = 5\n"), ("2 + 3 = 5\n", "5 + 1 = 6\n"),
        ("2 + 3 = 5\n", "5 - 1 = 4\n"), ("3 - 2 = 1\n", "1 + 1 = 2\n"), ("3 - 2 = 1\n", "1 - 1 = 0\n"))},
}  # fmt: skip


def world():
    return make_simulator(WORLD, orm=lambda text: 1.0 if "#### 7" in text else 0.0)


def right_share(found: list[list[str]]) -> float:
    """Returns the share of right solutions, the mean over seeds."""
    return float(np.mean([sum("#### 7" in text for text in texts) / len(texts) for texts in found]))


def solved_share(found: list[list[str]]) -> float:
    """Returns the share of seeds with a right solution."""
    return float(np.mean([any("#### 7" in text for text in texts) for texts in found]))


def ours(make: Callable[[], AsyncPlanner], num_solutions: int, seeds: range) -> list[list[str]]:
    """Returns the solutions that our planner completes, by seed."""
    return [
        [t.state.text for t in search(make(), world(), Budget(simulations=num_solutions), seed).finished]
        for seed in seeds
    ]


def theirs(algorithm: object, num_solutions: int, seeds: range) -> list[list[str]]:
    """Returns the same of a tree of TreeQuest, whose nodes are one option longer each, and completed for a score."""
    found: list[list[str]] = []
    for seed in seeds:
        simulator, numbers, texts = world(), count(1_000 * seed), list[str]()

        def grown(state: State | None, simulator=simulator, numbers=numbers, texts=texts) -> tuple[State, float]:
            async def played() -> tuple[State, State]:
                start, number = state or START, next(numbers)
                if start.ending is not None:  # an ended text cannot grow: it is judged again
                    return start, start
                child = simulator.next_state(start, (await simulator.propose(start, 1, number))[0])
                if child.ending is not None:
                    return child, child
                rest = await simulator.propose(child, 1, number, to_the_end=True)
                return child, simulator.next_state(child, rest[0])

            child, end = simulator.engine.run(played())
            texts.append(end.text)
            return child, float("#### 7" in end.text)

        np.random.seed(seed)  # theirs draws from the global generator
        with simulator.engine:
            tree = algorithm.init_tree()  # type: ignore[attr-defined]
            while len(texts) < num_solutions:
                tree = algorithm.step(tree, {"option": grown}, inplace=True)  # type: ignore[attr-defined]
        found.append(texts)
    return found


SAMPLES = 0.2 * 0.65  # of one sample to be right


def test_adaptive_branching_finds_as_much_as_its_authors_own():
    mine = right_share(ours(lambda: AdaptiveBranching(redraws=None), 24, range(12)))
    reference = right_share(theirs(treequest.ABMCTSA(dist_type="beta"), 24, range(12)))
    assert mine > 1.5 * SAMPLES
    assert reference > 1.5 * SAMPLES
    assert abs(mine - reference) < 0.15, (mine, reference)


def test_uct_solves_as_often_as_theirs():
    settings = {"merge_rule": None, "known_mass": None, "c": 1.0, "c_min_root": 3, "c_min": 3, "c_max": 3,
                "expansion_batch": 1}  # fmt: skip
    mine = solved_share(ours(lambda: eta_mcts("countdown_small", **settings), 8, range(300)))
    reference = solved_share(theirs(treequest.StandardMCTS(samples_per_action=3), 8, range(300)))
    assert abs(mine - reference) < 0.12, (mine, reference)  # three standard errors of 300 seeds each
