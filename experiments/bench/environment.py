"""What an environment costs: steps a second alone and side by side, snapshots, the decision process by itself.

    python -m experiments.bench.environment --json FILE
    python -m experiments.bench.environment --num-envs 1 32

Every key of the JSON is a line of the tables. Vectors of environments are timed by the clock on the wall, with two
threads as on a small laptop: run it on an idle machine. With `--threads 1` only batched arithmetic is faster. All else
is timed by the processor's clock. Ratios are of figures measured in turns.
"""

from __future__ import annotations

import copy
import json
import statistics
import time
import timeit
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import gymnasium as gym
import numpy as np
import torch
import tyro
from gymnasium.vector import SyncVectorEnv
from rich.table import Table

from alphallm_env import MathReasoningEnv, OptionChoiceEnv, Policy, Problem, Rules, Simulator, State
from alphallm_env.critics.base import Critics
from alphallm_env.critics.monte_carlo import MonteCarloValue
from alphallm_env.critics.prompted.generative import OutcomeRewardModel, ProcessRewardModel
from alphallm_env.lm.prompts import TinyTemplate
from alphallm_env.runtime.engine import Engine
from alphallm_env.runtime.files import write_whole
from alphallm_env.testing.scripted import ScriptedLM
from experiments.runs.screen import quiet_libraries, results_console

CHOICE = "AlphaLLM/GSMSymbolicChoice-v1"
TEXT = "AlphaLLM/GSMSymbolic-v1"
LINE = "2 + 3 = 5\n"
DEPTHS = (1, 10, 100)


@dataclass(frozen=True)
class BenchConfig:
    """What to measure."""

    json: Path | None = None
    num_envs: tuple[int, ...] = (1, 8, 32, 128)
    min_steps: int = 48  # of all environments together, in each measurement
    min_rounds: int = 3  # steps of each environment
    repeats: int = 3
    threads: int = 2
    seed: int = 0


# Side by side: our vector environment and Gymnasium's own, of the same environments, seeds and actions.


def valid_actions(infos: dict[str, Any], rng: np.random.Generator) -> list[int]:
    """Returns for each environment an action on offer, at random."""
    return [int(rng.choice(np.flatnonzero(mask))) for mask in infos["action_mask"]]


def texts(infos: dict[str, Any], rng: np.random.Generator) -> tuple[str, ...]:
    """Returns for each environment a line that differs from all others."""
    return tuple(f"{number} + 3 = {number + 3}\n" for number in rng.integers(1_000, size=len(infos["depth"])))


def steps_per_second(envs: gym.vector.VectorEnv[Any, Any, Any], config: BenchConfig, *, choice: bool) -> float:
    """Returns the steps of all environments together in a second, resets included, with empty caches."""
    act = valid_actions if choice else texts
    rounds = max(config.min_rounds, config.min_steps // envs.num_envs)
    for env in cast(Any, envs).envs:
        env.unwrapped.clear_cache()
    rng = np.random.default_rng(config.seed)
    started = time.perf_counter()
    _, infos = envs.reset(seed=config.seed)
    for _ in range(rounds):
        _, _, _, _, infos = envs.step(act(infos, rng))
    return envs.num_envs * rounds / (time.perf_counter() - started)


def side_by_side(name: str, num_envs: int, config: BenchConfig) -> tuple[float, float]:
    """Returns the median steps a second of `SyncVectorEnv` and of ours, which take turns."""
    choice = name == CHOICE
    theirs = SyncVectorEnv([lambda: gym.make(name, disable_env_checker=True)] * num_envs)
    ours = gym.make_vec(name, num_envs=num_envs)
    found: list[tuple[float, float]] = []
    for _ in range(config.repeats):
        found.append((steps_per_second(theirs, config, choice=choice), steps_per_second(ours, config, choice=choice)))
    theirs.close()
    ours.close()
    sync, batched = zip(*found, strict=True)
    return statistics.median(sync), statistics.median(batched)


# Snapshots.


def line_env(depth: int) -> MathReasoningEnv:
    """Returns an environment that needs no model, `depth` options into its episode."""
    env = MathReasoningEnv(limit=5, reward="verifier", max_options=1_000, max_tokens=10_000)
    env.reset(seed=0)
    for _ in range(depth):
        env.step(LINE)
    return env


def microseconds(work: Callable[[], object], number: int) -> float:
    """Returns the least microseconds of a call over a few runs of `number`: other load only adds to it."""
    return 1e6 * min(timeit.repeat(work, timer=time.process_time, number=number, repeat=7)) / number


def of_snapshots(env: MathReasoningEnv | OptionChoiceEnv) -> tuple[float, float]:
    """Returns microseconds of clone and restore together, and of a deep copy of the environment."""
    clone, restore = env.clone_state, cast("Callable[[object], None]", env.restore_state)
    return microseconds(lambda: restore(clone()), 20_000), microseconds(lambda: copy.deepcopy(env), 50)


# The decision process alone.


def _doubts(prompt: str, labels: Sequence[str]) -> tuple[float, float]:  # noqa: ARG001
    return 0.6, 0.4


def scripted_simulator() -> Simulator:
    """Returns a simulator whose models cost next to nothing: three lines, and the answer after the fourth."""
    lines: Sequence[tuple[str, float]] = [(LINE, 0.5), ("3 + 2 = 5\n", 0.3), ("so 5\n", 0.2)]
    script = {"": lines} | {text: lines for text, _ in lines}
    for _ in range(3):
        script |= {before + text: lines for before in list(script) for text, _ in lines}
    lm, template, engine = ScriptedLM(script, _doubts), TinyTemplate(), Engine()
    prm, orm = ProcessRewardModel(lm, template, engine), OutcomeRewardModel(lm, template, engine)
    rules = Rules(max_options=4)
    judged = Simulator(Policy(lm, template), Critics(prm=prm, orm=orm), rules, engine=engine)
    value = MonteCarloValue(judged, orm, num_rollouts=1)
    return Simulator(judged.policy, Critics(value, prm, orm), rules, engine=engine)


def played_per_second(env: gym.Env[Any, Any], action: object, num_steps: int) -> float:
    """Returns the steps a second of one environment with one action, resets included."""
    started = time.process_time()
    env.reset(seed=0)
    for _ in range(num_steps):
        _, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            env.reset()
    return num_steps / (time.process_time() - started)


def transitions_per_second(num_steps: int = 20_000) -> float:
    """Returns the transitions a second: pure functions of state and option."""
    env = line_env(0)
    option = env._as_option(LINE)  # pyright: ignore[reportPrivateUsage]
    start: State = env.clone_state()
    started = time.process_time()
    state = start
    for _ in range(num_steps):
        after = env.transition(state, option).state
        state = start if after.ending else after
    return num_steps / (time.process_time() - started)


def of_the_process() -> dict[str, float]:
    """Returns steps a second with models that cost next to nothing."""
    problems = [Problem("bench/0", "How many?", "5")]
    simulator = scripted_simulator()
    verified = MathReasoningEnv(limit=5, reward="verifier", max_options=10)
    judged = MathReasoningEnv.from_parts(simulator, problems)
    choice = OptionChoiceEnv.from_parts(simulator, problems, embedding=False, num_options=2)
    choice.reset(seed=0)
    choice.step(0)
    cloned, copied = of_snapshots(choice)
    return {
        "choice_clone_restore_us": cloned,
        "choice_deepcopy_us": copied,
        "transitions_per_second": transitions_per_second(),
        "text_verifier_steps_per_second": played_per_second(verified, LINE, 5_000),
        "text_scripted_steps_per_second": played_per_second(judged, LINE, 1_000),
        "choice_scripted_steps_per_second": played_per_second(choice, 0, 500),
    }


def main(config: BenchConfig) -> dict[str, float]:
    """Measures, prints the tables and writes the JSON."""
    quiet_libraries()
    torch.set_num_threads(config.threads)
    figures = of_the_process()
    for depth in DEPTHS:
        cloned, copied = of_snapshots(line_env(depth))
        figures |= {f"clone_restore_us_{depth}": cloned, f"deepcopy_us_{depth}": copied}
        figures[f"deepcopy_over_clone_{depth}"] = copied / cloned
    side_by_side(CHOICE, 1, BenchConfig(min_steps=4, repeats=1))  # warm-up
    for label, name in (("choice", CHOICE), ("text", TEXT)):
        for num_envs in config.num_envs:
            sync, batched = side_by_side(name, num_envs, config)
            figures |= {f"{label}_sync_{num_envs}": sync, f"{label}_vector_{num_envs}": batched}
            figures[f"{label}_speedup_{num_envs}"] = batched / sync
    table = Table(title="the environment")
    table.add_column("key")
    table.add_column("figure", justify="right")
    for key, figure in figures.items():
        table.add_row(key, f"{figure:,.2f}")
    results_console().print(table)
    if config.json:
        write_whole(config.json, json.dumps(figures, indent=2) + "\n")
    return figures


if __name__ == "__main__":
    main(tyro.cli(BenchConfig))
