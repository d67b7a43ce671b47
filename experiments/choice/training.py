"""Training of one standard agent: hyper-parameters of the zoo, learning curves, weights on disk."""

from __future__ import annotations

import copy
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import yaml
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import configure
from stable_baselines3.common.vec_env import VecMonitor

from agents.sb3 import SB3Chooser, load_policy, make_agent, save_policy
from alphallm_env.adapters.sb3 import SB3VecEnv
from alphallm_env.envs.vector import BatchedVectorEnv
from alphallm_env.runtime.files import write_whole
from experiments.choice.offers import RecordedChoiceEnv
from experiments.choice.rules import Chooser, play

ZOO = Path(__file__).parent / "zoo"
ENV_ID = "AlphaLLM/GSMSymbolicChoice-v1"
POLICY_FILE = "policy.safetensors"
CURVE_FILE = "curve.json"


@dataclass(frozen=True)
class Recipe:
    """How an algorithm is trained. `num_points` of its learning curve follow the one before training."""

    algorithm: str
    num_envs: int
    num_steps: int  # of all environments together
    hyperparameters: dict[str, Any]
    num_points: int = 10


@dataclass(frozen=True)
class Point:
    """A learning curve's point: success on development problems, without exploration, after so many steps."""

    num_steps: int
    success: float
    invalid_rate: float  # of the steps taken


def read_zoo(algorithm: str) -> dict[str, Any]:
    """Returns an algorithm's hyper-parameters, as rl-zoo3 reads them. Raises ValueError where there is no such file."""
    file = ZOO / f"{algorithm}.yml"
    if not file.exists():
        raise ValueError(f"algorithm must be one of {', '.join(sorted(f.stem for f in ZOO.glob('*.yml')))}, "
                         f"got {algorithm!r}")  # fmt: skip
    return cast("dict[str, Any]", yaml.safe_load(file.read_text())[ENV_ID])


def recipe(algorithm: str, num_steps: int | None = None) -> Recipe:
    """Returns the recipe of the zoo, its steps replaced where given; `env_kwargs` are for rl-zoo3 alone."""
    found = read_zoo(algorithm)
    del found["env_kwargs"]
    num_envs, default_steps = int(found.pop("n_envs")), int(found.pop("n_timesteps"))
    return Recipe(algorithm, num_envs, num_steps or default_steps, found)


def train(
    recipe: Recipe,
    env: RecordedChoiceEnv,
    development: RecordedChoiceEnv,
    seed: int,
    folder: Path,
    logs: Path,
) -> None:
    """Trains an agent; writes its policy and its learning curve to `folder`, and event files to `logs`."""
    shutil.rmtree(logs, ignore_errors=True)  # of a run that was stopped
    agent = untrained(recipe, env, seed)
    agent.set_logger(configure(str(logs), ["tensorboard"]))
    curve = LearningCurve(development, recipe)
    agent.learn(recipe.num_steps, callback=curve)
    agent.logger.close()
    save_policy(agent, folder / POLICY_FILE)
    write_whole(folder / CURVE_FILE, json.dumps([asdict(point) for point in curve.points]) + "\n")


def trained(recipe: Recipe, env: RecordedChoiceEnv, seed: int, folder: Path) -> SB3Chooser:
    """Returns the agent whose policy `train` wrote to `folder`."""
    return SB3Chooser(load_policy(untrained(recipe, env, seed), folder / POLICY_FILE))


def read_curve(folder: Path) -> list[Point]:
    """Returns the learning curve that `train` wrote to `folder`."""
    return [Point(**point) for point in json.loads((folder / CURVE_FILE).read_text())]


def untrained(recipe: Recipe, env: RecordedChoiceEnv, seed: int) -> BaseAlgorithm:
    """Returns an untrained agent on a vector of copies of `env`."""
    envs = BatchedVectorEnv(copy.deepcopy(env), recipe.num_envs, autoreset_mode=AutoresetMode.SAME_STEP)
    return make_agent(recipe.algorithm, VecMonitor(SB3VecEnv(envs)), recipe.hyperparameters, seed)


class LearningCurve(BaseCallback):
    """Plays the development problems `num_points` times during a training, and logs how many are solved."""

    def __init__(self, development: RecordedChoiceEnv, recipe: Recipe) -> None:
        super().__init__()
        self.points: list[Point] = []
        self._development = development
        self._steps_apart = max(1, recipe.num_steps // recipe.num_points)

    def _on_training_start(self) -> None:
        self._measure()

    def _on_step(self) -> bool:
        if self.num_timesteps >= len(self.points) * self._steps_apart:
            self._measure()
        return True

    def _on_training_end(self) -> None:
        if self.points[-1].num_steps < self.num_timesteps:
            self._measure()

    def _measure(self) -> None:
        success, invalid_rate = solved(SB3Chooser(self.model), self._development)
        self.points.append(Point(self.num_timesteps, success, invalid_rate))
        self.logger.record("development/success", success)
        self.logger.record("development/invalid_rate", invalid_rate)
        self.logger.dump(self.num_timesteps)


def solved(chooser: Chooser, env: RecordedChoiceEnv, seed: int = 0) -> tuple[float, float]:
    """Returns the share of an environment's problems that are solved, and of steps that are invalid."""
    episodes = play(env, chooser, env.problem_ids, seed)
    steps = sum(episode.num_steps for episode in episodes)
    invalid = sum(episode.num_invalid for episode in episodes)
    return float(np.mean([episode.is_success for episode in episodes])), invalid / steps
