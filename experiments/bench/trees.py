"""Prints a digest of the trees of 100 searches: texts, merged texts and visit counts of every node.

    python -m experiments.bench.trees

Two versions of the code that print the same lines search alike. Another processor rounds otherwise. All searches
start at once: with fewer at a time, when a search joins the others would depend on the machine's load, and with it
which texts share a batch, which changes the last bits of a probability and, rarely, a sample.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import tyro

from agents import Budget, eta_mcts
from agents.running import Episode, run_episodes
from agents.tree.node import walk
from alphallm_env.loading import load_simulator
from alphallm_env.mdp.dynamics import Rules
from alphallm_env.problems import load_problems


@dataclass(frozen=True)
class TreesConfig:
    """Settings of the command line."""

    presets: tuple[str, ...] = ("tiny_small", "tiny_large")
    problems: str = "gsm_symbolic"
    num_problems: int = 100
    budget: int = 1_000  # tokens a search
    threads: int = 2


def digest_of(episodes: Iterable[Episode]) -> tuple[int, str]:
    """Returns the number of nodes, and a digest of all trees and of the texts that the searches chose."""
    hasher, num_nodes = hashlib.sha256(), 0
    for problem, result in episodes:
        if result.root is None:
            raise ValueError(f"expected a planner that builds a tree, got none for {problem.id!r}")
        for node in walk(result.root):
            texts = [member.text for member in node.members]
            hasher.update(json.dumps([problem.id, node.depth, node.index, texts, node.visit_count]).encode())
            num_nodes += 1
        hasher.update(result.best.state.text.encode())
    return num_nodes, hasher.hexdigest()


def main(config: TreesConfig) -> None:
    """Searches with each preset and prints a line for it."""
    torch.set_num_threads(config.threads)
    simulator = load_simulator(rules=Rules(max_tokens=120))
    problems = load_problems(config.problems, "test", config.num_problems, seed=0)
    for preset in config.presets:
        planner = eta_mcts(preset, name="eta_mcts")
        budget = Budget(tokens=config.budget)
        num_nodes, digest = digest_of(run_episodes(planner, simulator, problems, budget, 0, concurrency=len(problems)))
        print(preset, num_nodes, digest)


if __name__ == "__main__":
    main(tyro.cli(TreesConfig))
