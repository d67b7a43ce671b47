"""Prints what solutions earn by each reward: the right one, its first line repeated, and one cut in half lines.

    python -m experiments.bench.returns

Gold solutions of gsm_symbolic are played in an environment with the shipped critics. Repeated, the first line fills the
episode until a budget cuts it; once is repeated eight times before the rest of the solution follows. A reward that
pays for length shows in the second column, one that pays for the cut into options in the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
import tyro
from rich.console import Console
from rich.table import Table

from alphallm_env.envs.text import MathReasoningEnv
from alphallm_env.loading import load_simulator
from alphallm_env.mdp.dynamics import Rules
from alphallm_env.problems import load_problems
from alphallm_env.types import Problem

REPEATS = 8


@dataclass(frozen=True)
class ReturnsConfig:
    """Settings of the command line."""

    rewards: tuple[str, ...] = ("critics", "potential")
    split: str = "development"
    num_problems: int = 20
    shown: int = 3
    """problems with a row of their own"""
    max_tokens: int = 200
    threads: int = 2


def ways(solution: str) -> dict[str, list[str]]:
    """Returns the options of each way to write a solution, whose last line states the answer."""
    lines = [f"{line}\n" for line in solution.splitlines()]
    halves = [half for line in lines for half in (line[: len(line) // 2], line[len(line) // 2 :])]
    return {
        "gold": lines,
        "first line until the cut": lines[:1] * 1_000,
        f"first line {REPEATS} times, then gold": lines[:1] * REPEATS + lines,
        "gold in half lines": halves,
    }


def return_of(env: MathReasoningEnv, problem: Problem, options: Sequence[str]) -> float:
    """Returns the sum of the rewards of an episode, which ends with the options or before."""
    env.reset(options={"problem_id": problem.id})
    total = 0.0
    for text in options:
        _, reward, terminated, truncated, _ = env.step(text)
        total += reward
        if terminated or truncated:
            break
    return total


def main(config: ReturnsConfig) -> dict[str, list[dict[str, float]]]:
    """Prints a table for each reward, and returns the returns of each problem by the way that it is written."""
    torch.set_num_threads(config.threads)
    simulator = load_simulator(rules=Rules(max_tokens=config.max_tokens), device="cpu")
    problems = [p for p in load_problems("gsm_symbolic", config.split, config.num_problems, seed=0) if p.solution]
    results: dict[str, list[dict[str, float]]] = {}
    for reward in config.rewards:
        env = MathReasoningEnv.from_parts(simulator, problems, reward=reward, render_mode=None)
        found = [
            {name: return_of(env, problem, options) for name, options in ways(problem.solution or "").items()}
            for problem in problems
        ]
        results[reward] = found
        table = Table(f"reward={reward}", *found[0])
        for problem, row in zip(problems[: config.shown], found, strict=False):
            table.add_row(problem.id, *(f"{value:.2f}" for value in row.values()))
        table.add_row(f"mean of {len(found)}", *(f"{fmean(row[name] for row in found):.2f}" for name in found[0]))
        Console(width=140).print(table)
    return results


if __name__ == "__main__":
    main(tyro.cli(ReturnsConfig))
