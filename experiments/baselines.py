"""Standard agents on the Choice environment, beside simple rules and planners at an equal token budget.

    python -m experiments.baselines --out runs/baselines --json FILE
    python -m experiments.baselines --smoke

PPO, A2C, DQN (stable-baselines3) and MaskablePPO (sb3-contrib) learn on problems of the train split to choose among
the policy's options; everyone is evaluated on the test split. The planners may spend what the agents spent on
average. Each training and each evaluation of one seed is kept in the run's folder: the same command goes on where it
was stopped.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import tyro

from agents.base import Budget
from agents.registry import make_planner
from alphallm_env.errors import RunError
from alphallm_env.mdp.rewards import RewardSource
from alphallm_env.problems import load_problems
from alphallm_env.runtime.files import Json, write_whole
from experiments.choice.offers import OfferBook, RecordedChoiceEnv
from experiments.choice.report import BaselineRow, Runs, baselines_table, draw_curves, row_of
from experiments.choice.rules import Chooser, Played, play, reference_choosers
from experiments.choice.training import Point, Recipe, read_curve, recipe, solved, train, trained
from experiments.evaluate import evaluate
from experiments.runs.monitor import quiet_libraries, results_console
from experiments.runs.outcomes import Outcome
from experiments.runs.records import RunFolder

REFERENCE = "most_probable"


@dataclass(frozen=True)
class BaselinesConfig:
    """Settings of one comparison. Hyper-parameters are those of `experiments/zoo`."""

    algorithms: tuple[str, ...] = ("ppo", "a2c", "dqn", "maskable_ppo")
    planners: tuple[str, ...] = ("greedy", "majority", "orm_rerank", "eta_mcts")
    num_seeds: int = 3
    problems: str = "gsm_symbolic"
    train_limit: int = 400  # problems
    development_limit: int = 60
    test_limit: int = 100
    num_steps: int = 0  # of each training; 0 is what the zoo says
    num_options: int = 4
    max_tokens: int = 120  # of one solution
    reward: RewardSource = "verifier"  # what the agents learn from
    embedding: bool = False  # whether they observe the embedding of the state
    concurrency: int = 50  # problems that a planner searches at once
    smoke: bool = False  # a few problems and steps: does it run?
    out: Path | None = None
    json: Path | None = None

    def __post_init__(self) -> None:
        if self.num_seeds < 1:
            raise ValueError(f"num_seeds must be >= 1, got {self.num_seeds}")


_SMOKE_HYPERPARAMETERS = {"n_steps": 8, "batch_size": 8, "learning_starts": 8}


def smoke_settings(config: BaselinesConfig) -> BaselinesConfig:
    """Returns settings that take seconds."""
    return replace(config, num_seeds=2, train_limit=3, development_limit=2, test_limit=3, num_steps=64)


def smoke_recipe(recipe: Recipe) -> Recipe:
    """Returns a recipe that learns from a handful of steps."""
    smaller = {key: _SMOKE_HYPERPARAMETERS.get(key, value) for key, value in recipe.hyperparameters.items()}
    return replace(recipe, num_envs=4, hyperparameters=smaller, num_points=2)


class Comparison:
    """One run: its environments, and its parts, each of which is worked out once and read back ever after."""

    def __init__(self, config: BaselinesConfig, folder: RunFolder) -> None:
        self.config = config
        self.folder = folder
        book = OfferBook(folder.path / "searches" / "offers.jsonl")
        self.train_env = self._env("train", config.train_limit, config.reward, book)
        self.development_env = self._env("development", config.development_limit, "verifier", book)
        self.test_env = self._env("test", config.test_limit, "verifier", book)
        self.test_problems = load_problems(config.problems, "test", config.test_limit)
        self._check_no_overlap()

    def _env(self, split: str, limit: int, reward: RewardSource, book: OfferBook) -> RecordedChoiceEnv:
        config = self.config
        return RecordedChoiceEnv(
            config.problems, split, limit, book=book, reward=reward, num_options=config.num_options,
            max_tokens=config.max_tokens, embedding=config.embedding, render_mode=None,
        )  # fmt: skip

    def _check_no_overlap(self) -> None:
        learnt = load_problems(self.config.problems, "train", self.config.train_limit)
        questions = {problem.question for problem in learnt}
        shared = [problem for problem in self.test_problems if problem.question in questions]
        if shared:
            raise RunError(f"expected no problem both to learn from and to test on, got {len(shared)} of them")

    def recipe(self, algorithm: str) -> Recipe:
        """Returns how an algorithm is trained here."""
        found = recipe(algorithm, self.config.num_steps or None)
        return smoke_recipe(found) if self.config.smoke else found

    def trained(self, algorithm: str, seed: int) -> Path:
        """Returns the folder of an agent, which is trained unless it is there."""
        name = f"{algorithm}-{seed}"
        logs = self.folder.path / "tensorboard" / name
        return self.folder.checkpoint(
            name,
            lambda scratch: train(self.recipe(algorithm), self.train_env, self.development_env, seed, scratch, logs),
        )

    def agent_runs(self, algorithm: str) -> tuple[Runs, list[list[Point]]]:
        """Returns what an algorithm does on the test problems, and its learning curves, by seed."""
        runs: list[list[Played]] = []
        curves: list[list[Point]] = []
        for seed in range(self.config.num_seeds):
            folder = self.trained(algorithm, seed)
            curves.append(read_curve(folder))

            def load(folder: Path = folder, seed: int = seed) -> Chooser:
                return trained(self.recipe(algorithm), self.train_env, seed, folder)

            runs.append(self._played(algorithm, seed, load))
        return runs, curves

    def rule_runs(self) -> dict[str, Runs]:
        """Returns what the rules that learn nothing do on the test problems, by seed."""
        return {
            name: [
                self._played(name, seed, lambda name=name, seed=seed: reference_choosers(seed)[name])
                for seed in range(self.config.num_seeds)
            ]
            for name in reference_choosers(0)
        }

    def rules_on_development(self) -> dict[str, float]:
        """Returns the share of development problems that each rule solves."""
        return {name: solved(chooser, self.development_env)[0] for name, chooser in reference_choosers(0).items()}

    def _played(self, name: str, seed: int, make: Callable[[], Chooser]) -> list[Played]:
        """Returns an agent's episodes on the test problems, whose proposals every agent of this seed shares."""

        def work() -> Json:
            episodes = play(self.test_env, make(), self.test_env.problem_ids, seed)
            return cast(Json, [asdict(episode) for episode in episodes])

        found = cast("list[dict[str, Any]]", self.folder.stage(f"{name}-{seed}", work))
        return [Played(**episode) for episode in found]

    def planner_runs(self, name: str, tokens: int) -> Runs:
        """Returns what a planner does on the test problems at so many tokens each, by seed."""
        return [self._planned(name, tokens, seed) for seed in range(self.config.num_seeds)]

    def _planned(self, name: str, tokens: int, seed: int) -> list[Played]:
        journal = self.folder.journal(f"{name.replace(':', '_')}-{seed}", Outcome.to_json, Outcome.from_json)
        outcomes = evaluate(
            make_planner(name, self.config.problems), self.test_env.simulator, self.test_problems,
            Budget(tokens=tokens), seed, self.config.concurrency, journal,
        )  # fmt: skip
        return [
            Played(outcome.problem.id, outcome.is_correct, outcome.usage.tokens, outcome.best.state.depth, 0)
            for outcome in outcomes
        ]


def mean_tokens(runs: Sequence[Runs]) -> int:
    """Returns the mean tokens a problem of several agents' runs."""
    return round(float(np.mean([played.num_tokens for agent in runs for run in agent for played in run])))


def main(config: BaselinesConfig) -> list[BaselineRow]:
    """Trains, evaluates, prints the table and writes the results."""
    quiet_libraries()
    config = smoke_settings(config) if config.smoke else config
    with tempfile.TemporaryDirectory() as scratch:
        return _run(config, config.out or Path(scratch))


def _run(config: BaselinesConfig, path: Path) -> list[BaselineRow]:
    settings = {key: value for key, value in asdict(config).items() if key not in ("out", "json")}
    folder = RunFolder(path, cast("dict[str, Json]", settings))
    comparison, console, started = Comparison(config, folder), results_console(), time.monotonic()

    def tell(name: str) -> None:
        console.print(f"{name}: done after {time.monotonic() - started:.0f} s")

    rules = comparison.rule_runs()
    tell("rules")
    agents: dict[str, Runs] = {}
    curves: dict[str, list[list[Point]]] = {}
    for algorithm in config.algorithms:
        agents[algorithm], curves[algorithm] = comparison.agent_runs(algorithm)
        tell(algorithm)
    budget = mean_tokens(list((agents or rules).values()))
    planners: dict[str, Runs] = {}
    for name in config.planners:
        planners[name] = comparison.planner_runs(name, budget)
        tell(name)
    kinds = {"rule": rules, "trained": agents, "planner": planners}
    rows = [row_of(name, kind, runs, rules[REFERENCE]) for kind, group in kinds.items() for name, runs in group.items()]
    title = f"{config.test_limit} problems of {config.problems}, {config.num_seeds} seeds, {budget:,} tokens"
    console.print(baselines_table(rows, title))
    on_development = comparison.rules_on_development()
    if curves:
        draw_curves(curves, on_development, "Learning to choose", path / "curves.png")
    results = {
        "budget": budget,
        "rows": [row.to_json() for row in rows],
        "development": on_development,
        "curves": {name: [[asdict(point) for point in run] for run in runs] for name, runs in curves.items()},
        "offers": len(comparison.train_env.book),
    }
    for file in (path / "results.json", config.json):
        if file:
            write_whole(file, json.dumps(results, indent=2) + "\n")
    return rows


if __name__ == "__main__":
    main(tyro.cli(BaselinesConfig))
