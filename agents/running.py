"""Many searches at once: a planner over many problems, results in the problems' order.

Each search has a seed of its own, made from the problem: what it finds does not depend on the others.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice

import gymnasium as gym
import numpy as np

from agents.base import AsyncPlanner, Budget, Planner, PlanResult, with_transcripts
from alphallm_env.envs.text import MathReasoningEnv
from alphallm_env.runtime.metering import Meter, Usage, metering
from alphallm_env.runtime.seeds import derive_seed
from alphallm_env.simulator import Simulator
from alphallm_env.types import Problem

Episode = tuple[Problem, PlanResult]
EnvironmentMaker = Callable[[Problem], gym.Env[str, str]]


def run_episodes(
    planner: Planner,
    simulator: Simulator,
    problems: Iterable[Problem],
    budget: Budget,
    seed: int = 0,
    *,
    concurrency: int = 64,
    make_env: EnvironmentMaker | None = None,
) -> Iterator[Episode]:
    """Yields each problem with what the planner found, in order, while up to `concurrency` searches run.

    An `AsyncPlanner` runs on the simulator's engine. Any other planner runs in threads, each search in an
    environment of its own, which `make_env` makes so that its first reset starts the problem (by default
    one with the simulator's models and critics, without the gold answer); one planner serves all threads.
    A search that fails raises here, at its turn, and cancels the others.
    """
    if concurrency < 1:
        raise ValueError(f"concurrency must be >= 1, got {concurrency}")
    if isinstance(planner, AsyncPlanner):
        return _on_engine(planner, simulator, problems, budget, seed, concurrency)
    make_env = make_env or (lambda problem: _environment(simulator, problem))
    return _in_threads(planner, simulator, problems, budget, seed, concurrency, make_env)


def _environment(simulator: Simulator, problem: Problem) -> gym.Env[str, str]:
    """Returns the environment of one problem without its gold answer, which `info` would show to a planner."""
    return MathReasoningEnv.from_parts(simulator, [replace(problem, answer=None, solution=None)])


def search_seed(seed: int, problem: Problem, planner: Planner) -> int:
    """Returns the seed of one search."""
    return derive_seed(seed, problem.id, planner.name)


def _on_engine(
    planner: AsyncPlanner,
    simulator: Simulator,
    problems: Iterable[Problem],
    budget: Budget,
    seed: int,
    concurrency: int,
) -> Iterator[Episode]:
    waiting = iter(problems)
    window: deque[tuple[Problem, asyncio.Task[PlanResult]]] = deque()

    async def start_and_take(new: list[Problem]) -> Episode:
        for problem in new:
            start = simulator.initial_state(problem)
            work = planner.metered_search(simulator, start, budget, search_seed(seed, problem, planner))
            window.append((problem, asyncio.create_task(work)))
        problem, task = window.popleft()
        return problem, await task

    async def cancel(tasks: list[asyncio.Task[PlanResult]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    try:
        while (new := list(islice(waiting, concurrency - len(window)))) or window:
            yield simulator.engine.run(start_and_take(new))
    finally:
        # All are done where the engine was closed meanwhile: its loop is gone, and they cannot be awaited.
        if unfinished := [task for _, task in window if not task.done()]:
            simulator.engine.run(cancel(unfinished))


def _in_threads(
    planner: Planner,
    simulator: Simulator,
    problems: Iterable[Problem],
    budget: Budget,
    seed: int,
    concurrency: int,
    make_env: EnvironmentMaker,
) -> Iterator[Episode]:
    def search(problem: Problem) -> PlanResult:
        rng = np.random.default_rng(search_seed(seed, problem, planner))
        with simulator.engine.participant():
            return _planned(planner, make_env(problem), budget, rng)

    waiting = iter(problems)
    window: deque[tuple[Problem, Future[PlanResult]]] = deque()
    executor = ThreadPoolExecutor(concurrency, thread_name_prefix="search")
    try:
        while (new := list(islice(waiting, concurrency - len(window)))) or window:
            window.extend((problem, executor.submit(search, problem)) for problem in new)
            problem, future = window.popleft()
            yield problem, future.result()
    finally:
        executor.shutdown(cancel_futures=True)


def _planned(planner: Planner, env: gym.Env[str, str], budget: Budget, rng: np.random.Generator) -> PlanResult:
    """Returns the plan for the environment's first episode, with the usage measured here, not as reported."""
    started = time.perf_counter()
    try:
        env.reset(seed=int(rng.integers(2**31)))
        with metering(Meter()) as meter:
            result = with_transcripts(planner.plan(env, budget, rng), meter)
    finally:
        env.close()
    spent = Usage(simulations=result.usage.simulations, seconds=time.perf_counter() - started)
    return replace(result, usage=replace(meter.usage, simulations=0, seconds=0.0) + spent)
