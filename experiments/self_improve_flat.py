"""The loop of `self_improve.py` to read: flat, one step below the other, without resumption, monitor or report.

    python -m experiments.self_improve_flat

Its greedy accuracies are those of `self_improve --preset tiny` with the same settings and seed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from agents.base import Budget, PlanResult
from agents.registry import make_planner
from agents.running import run_episodes
from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.lm.shipped import resolve
from alphallm_env.loading import build_simulator, load_policy
from alphallm_env.mdp.dynamics import Rules
from alphallm_env.mdp.rewards import CORRECT, verdict_of
from alphallm_env.problems import gsm_symbolic, normalise_question
from alphallm_env.runtime.engine import Engine
from alphallm_env.runtime.seeds import derive_seed
from alphallm_env.training.base import FINE_TUNERS, FineTuning, Lesson
from alphallm_env.types import Ending, Problem
from experiments.loop.imagination import imagine
from experiments.loop.questions import QuestionFilter
from experiments.runs.screen import quiet_libraries
from experiments.runs.settings import settings_of


@dataclass(frozen=True)
class FlatConfig:
    """Runs the self-improvement loop of the tiny model, as plainly as it can be written."""

    rounds: int = 2
    """of imagining, searching and fine-tuning"""
    imagined: int = 240
    """problems a round"""
    seed_problems: int = 500
    """training problems that the policy is shown"""
    training_budget: int = 1_500
    """tokens per imagined problem"""
    orm_threshold: float = 0.9
    """the ORM score from which a trajectory is kept"""
    epochs: int = 3
    evaluation_problems: int = 400
    concurrency: int = 50
    """problems evaluated at once"""
    training_concurrency: int = 100
    """imagined problems searched at once"""
    seed: int = 0


def search(
    planner: str, policy: str, problems: Sequence[Problem], tokens: int, seed: int, concurrency: int, engine: Engine
) -> list[PlanResult]:
    """Returns what a planner finds for each problem, with the shipped critics and empty caches."""
    simulator = build_simulator(load_policy(policy), "tiny", Rules(max_tokens=120), engine)
    simulator.clear_cache()
    planning = make_planner(planner)
    episodes = run_episodes(planning, simulator, problems, Budget(tokens=tokens), seed, concurrency=concurrency)
    return [result for _, result in episodes]


def greedy_accuracy(stage: str, policy: str, problems: Sequence[Problem], config: FlatConfig, engine: Engine) -> float:
    """Returns the share of problems that the policy answers right by itself."""
    seed = derive_seed(config.seed, stage)
    results = search("greedy", policy, problems, 2_000, seed, config.concurrency, engine)
    verdicts = [verdict_of(result.best.state.text, p) for result, p in zip(results, problems, strict=True)]
    return verdicts.count(CORRECT) / len(problems)


def improve(config: FlatConfig, folder: Path, engine: Engine) -> list[float]:
    """Returns the greedy accuracy before the first round and after each; policies are written to `folder`."""
    seeds = gsm_symbolic.problems("train", config.seed_problems, config.seed)
    tests = gsm_symbolic.problems("test", config.evaluation_problems, config.seed)
    unseen = gsm_symbolic.problems("unseen_templates", 100, config.seed)
    known = {normalise_question(problem.question) for problem in (*tests, *unseen)}
    policy, lessons = "tiny", list[Lesson]()
    accuracies = [greedy_accuracy("before", policy, tests, config, engine)]
    print(f"before: {accuracies[0]:.3f}", flush=True)
    for number in range(1, config.rounds + 1):
        # Imagine: the policy writes new problems, which have no answers.
        seed = derive_seed(config.seed, "imagine", number)
        questions = QuestionFilter()
        problems = imagine(load_policy(policy), seeds, {"": config.imagined}, seed, known, questions).problems
        known |= {normalise_question(problem.question) for problem in problems}
        # Search: ηMCTS, guided by value function, PRM and ORM.
        seed = derive_seed(config.seed, "search", number)
        results = search(
            "eta_mcts_small", policy, problems, config.training_budget, seed, 2 * config.concurrency, engine
        )
        # Criticise: the trajectory that the ORM scores highest is a lesson, if it scores high enough.
        for problem, result in zip(problems, results, strict=True):
            best = max(result.finished, key=lambda trajectory: trajectory.score, default=result.best)
            if best.score >= config.orm_threshold and best.state.ending is Ending.ANSWERED:
                lessons.append(Lesson(problem.question, best.state.text, best.score, round=number))
        # Fine-tune: this round's policy on the lessons of all rounds so far.
        torch.manual_seed(config.seed)
        lm = TransformersLM.load(resolve(policy))
        settings = FineTuning(config.epochs, batch_size=32, lr=5e-4, seed=config.seed + number)
        template, out = load_policy(policy).template, folder / f"round{number}"
        result = FINE_TUNERS.resolve("sft").fine_tune(lm, template, lessons, settings, out, folder / "logs")
        policy = str(out)
        # Evaluate.
        accuracies.append(greedy_accuracy(f"round{number}", policy, tests, config, engine))
        print(f"round {number}: {accuracies[-1]:.3f} after {result.num_lessons} lessons", flush=True)
    return accuracies


def main(config: FlatConfig) -> list[float]:
    """Runs the loop in a folder that is removed afterwards, and prints the accuracies."""
    quiet_libraries()
    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as folder, Engine() as engine:
        return improve(config, Path(folder), engine)


if __name__ == "__main__":
    main(settings_of(FlatConfig))
