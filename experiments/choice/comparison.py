"""One comparison of agents on the Choice environment: its settings, its environments, and its parts, computed once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, cast

import tyro

from agents.base import Budget
from agents.registry import PLANNERS, make_planner
from alphallm_env.errors import RunError
from alphallm_env.mdp.rewards import REWARDS
from alphallm_env.problems import PROBLEM_SETS, load_problems
from alphallm_env.registration import ENVIRONMENTS
from alphallm_env.runtime.files import Json
from experiments.choice.offers import OfferBook, RecordedChoiceEnv
from experiments.choice.report import Runs
from experiments.choice.rules import Chooser, Played, play, reference_choosers
from experiments.choice.training import Point, Recipe, read_curve, recipe, solved, train, trained
from experiments.runs.records import RunFolder
from experiments.runs.searching import run_searches, search_journal


@dataclass(frozen=True)
class BaselinesConfig:
    """Compares standard agents on the Choice environment with rules and planners, at equal tokens."""

    algorithms: tuple[str, ...] = ("ppo", "a2c", "dqn", "maskable_ppo")
    """agents to train, with the hyper-parameters of experiments/choice/zoo"""
    planners: Annotated[
        tuple[str, ...],
        tyro.conf.arg(help=f"planners, at the tokens that the agents took: {PLANNERS.choices}; … is a preset"),
    ] = ("greedy", "majority", "orm_rerank", "eta_mcts")
    num_seeds: int = 3
    """runs of each agent, rule and planner"""
    problems: Annotated[
        str, tyro.conf.arg(help=f"{PROBLEM_SETS.choices}, FILE.jsonl or OWNER/NAME of the hub; … is a level, as full")
    ] = "gsm_symbolic"
    train_limit: int = 400
    """how many problems agents learn from"""
    development_limit: int = 60
    """how many problems the learning curves are measured on"""
    test_limit: int = 100
    """how many problems the table is measured on"""
    num_steps: int = 0
    """of each training; 0: as many as the zoo says"""
    num_options: int = 4
    """how many the policy proposes in each state"""
    max_tokens: int = 120
    """of one solution"""
    reward: Annotated[str, tyro.conf.arg(help=f"what agents are trained on: {REWARDS.choices}")] = "verifier"
    embedding: bool = False
    """observe the embedding of the state"""
    concurrency: int = 50
    """problems that a planner searches at once"""
    smoke: bool = False
    """cut down to a few problems and steps, to see whether it runs"""
    out: Path | None = None
    """the run's folder; a scratch one where None"""
    json: Path | None = None
    """write the results to this file too"""

    def __post_init__(self) -> None:
        if self.num_seeds < 1:
            raise ValueError(f"num_seeds must be >= 1, got {self.num_seeds}")


_SMOKE_HYPERPARAMETERS = {"n_steps": 8, "batch_size": 8, "learning_starts": 8}


def smoke_settings(config: BaselinesConfig) -> BaselinesConfig:
    """Returns the settings cut down to a few problems and steps, which take seconds."""
    return replace(config, num_seeds=2, train_limit=3, development_limit=2, test_limit=3, num_steps=64)


def smoke_recipe(recipe: Recipe) -> Recipe:
    """Returns the recipe cut down to small batches, a few environments and two points of the curve."""
    smaller = {key: _SMOKE_HYPERPARAMETERS.get(key, value) for key, value in recipe.hyperparameters.items()}
    return replace(recipe, num_envs=4, hyperparameters=smaller, num_points=2)


def models_of(problems: str) -> dict[str, Any]:
    """Returns the policy and the critics of the environment that plays these problems; none where it is the default.

    >>> models_of("countdown:3"), models_of("gsm_symbolic:full")
    ({'policy': 'tiny_countdown', 'critics': 'verifier,prm=learned'}, {})
    """
    set_name = problems.partition(":")[0]
    entries = [entry.arguments for name, entry in ENVIRONMENTS.items() if "Choice" in name]
    found = next((arguments for arguments in entries if arguments["problems"] == set_name), {})
    return {name: found[name] for name in ("policy", "critics") if name in found}


class Comparison:
    """One run: its environments, and its parts, each computed once and then read back from the run's folder."""

    def __init__(self, config: BaselinesConfig, folder: RunFolder) -> None:
        self.config = config
        self.folder = folder
        book = OfferBook(folder.path / "searches" / "offers.jsonl")
        self.train_env = self._env("train", config.train_limit, config.reward, book)
        self.development_env = self._env("development", config.development_limit, "verifier", book)
        self.test_env = self._env("test", config.test_limit, "verifier", book)
        self.test_problems = load_problems(config.problems, "test", config.test_limit)
        self._check_no_overlap()

    def _env(self, split: str, limit: int, reward: str, book: OfferBook) -> RecordedChoiceEnv:
        config = self.config
        return RecordedChoiceEnv(
            config.problems, split, limit, book=book, reward=reward,
            num_options=config.num_options, max_tokens=config.max_tokens, embedding=config.embedding, render_mode=None,
            **models_of(config.problems),
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
        journal = search_journal(self.folder, f"{name}-{seed}")
        records = run_searches(
            make_planner(name, self.config.problems), self.test_env.simulator, self.test_problems,
            Budget(tokens=tokens), seed, self.config.concurrency, journal,
        )  # fmt: skip
        return [
            Played(record.problem.id, record.is_correct, record.usage.tokens, record.best.state.depth, 0)
            for record in records
        ]
