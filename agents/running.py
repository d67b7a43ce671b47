"""Many searches at once: a planner over many problems, results in the problems' order or as they come.

Each search has a seed of its own, made from the problem: what it finds does not depend on the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
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
Search = asyncio.Task[PlanResult] | Future[PlanResult]


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

    A search that ends makes way for the next one, whether or not its turn to be yielded has come. For that, up to
    `concurrency` problems beyond those that are searched are taken from `problems`.
    An `AsyncPlanner` runs on the simulator's engine. Any other planner runs in threads, each search in an
    environment of its own, which `make_env` makes so that its first reset starts the problem (by default
    one with the simulator's models and critics, without the gold answer); one planner serves all threads.
    A search that fails raises here, at its turn, and cancels the others.
    """
    return _in_order(_searches(planner, simulator, problems, budget, seed, concurrency, make_env))


def run_unordered(
    planner: Planner,
    simulator: Simulator,
    problems: Iterable[Problem],
    budget: Budget,
    seed: int = 0,
    *,
    concurrency: int = 64,
    make_env: EnvironmentMaker | None = None,
) -> Iterator[Episode]:
    """Yields what `run_episodes` yields, each as soon as its search has ended."""
    searches = _searches(planner, simulator, problems, budget, seed, concurrency, make_env)
    return ((problem, search.result()) for _, problem, search in searches)


def _searches(
    planner: Planner,
    simulator: Simulator,
    problems: Iterable[Problem],
    budget: Budget,
    seed: int,
    concurrency: int,
    make_env: EnvironmentMaker | None,
) -> Generator[tuple[int, Problem, Search]]:
    """Returns a generator of the searches that have ended, each with its problem and that one's number."""
    if concurrency < 1:
        raise ValueError(f"concurrency must be >= 1, got {concurrency}")
    if isinstance(planner, AsyncPlanner):
        return _on_engine(planner, simulator, problems, budget, seed, concurrency)
    make_env = make_env or (lambda problem: _environment(simulator, problem))
    return _in_threads(planner, simulator, problems, budget, seed, concurrency, make_env)


def _in_order(searches: Generator[tuple[int, Problem, Search]]) -> Iterator[Episode]:
    ended: dict[int, tuple[Problem, Search]] = {}
    turn = 0
    with contextlib.closing(searches):
        for number, problem, search in searches:
            ended[number] = problem, search
            while turn in ended:
                at_turn, done = ended.pop(turn)
                yield at_turn, done.result()
                turn += 1


def _environment(simulator: Simulator, problem: Problem) -> gym.Env[str, str]:
    """Returns the environment of one problem without its gold answer, which `info` would show to a planner."""
    return MathReasoningEnv.from_parts(simulator, [replace(problem, answer=None, solution=None, source="")])


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
) -> Generator[tuple[int, Problem, Search]]:
    waiting = enumerate(problems)
    window: dict[asyncio.Task[PlanResult], tuple[int, Problem]] = {}
    places = asyncio.Semaphore(concurrency)

    async def search(problem: Problem) -> PlanResult:
        async with places:
            start = simulator.initial_state(problem)
            return await planner.metered_search(simulator, start, budget, search_seed(seed, problem, planner))

    async def start_and_wait(new: list[tuple[int, Problem]]) -> list[asyncio.Task[PlanResult]]:
        """Returns the searches that have ended, at least one, in the order of their problems."""
        window.update({asyncio.create_task(search(problem)): (number, problem) for number, problem in new})
        await asyncio.wait(window, return_when=asyncio.FIRST_COMPLETED)
        return [task for task in window if task.done()]

    async def cancel(tasks: list[asyncio.Task[PlanResult]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    try:
        while (new := list(islice(waiting, 2 * concurrency - len(window)))) or window:
            for task in simulator.engine.run(start_and_wait(new)):
                yield *window.pop(task), task
    finally:
        # All are done where the engine was closed meanwhile: its loop is gone, and they cannot be awaited.
        if unfinished := [task for task in window if not task.done()]:
            simulator.engine.run(cancel(unfinished))


def _in_threads(
    planner: Planner,
    simulator: Simulator,
    problems: Iterable[Problem],
    budget: Budget,
    seed: int,
    concurrency: int,
    make_env: EnvironmentMaker,
) -> Generator[tuple[int, Problem, Search]]:
    def search(problem: Problem) -> PlanResult:
        rng = np.random.default_rng(search_seed(seed, problem, planner))
        with simulator.engine.participant():
            return _planned(planner, make_env(problem), budget, rng)

    waiting = enumerate(problems)
    window: dict[Future[PlanResult], tuple[int, Problem]] = {}
    executor = ThreadPoolExecutor(concurrency, thread_name_prefix="search")
    try:
        while (new := list(islice(waiting, 2 * concurrency - len(window)))) or window:
            window.update({executor.submit(search, problem): (number, problem) for number, problem in new})
            wait(window, return_when=FIRST_COMPLETED)
            for future in [future for future in window if future.done()]:
                yield *window.pop(future), future
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
