import asyncio
import threading
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from scripted_world import is_right, make_simulator

from agents.base import AsyncPlanner, Budget, Planner, PlanResult
from agents.best_of_n import BestOfN
from agents.mcts import eta_mcts
from agents.running import run_episodes, run_unordered
from agents.tree.node import render_tree
from alphallm_env.envs.text import MathReasoningEnv
from alphallm_env.runtime.metering import Meter, Usage
from alphallm_env.simulator import Simulator
from alphallm_env.types import Option, Problem, State, Trajectory

PROBLEMS = [Problem(f"problem-{number}", f"Question {number}?", "7") for number in range(40)]
BUDGET = Budget(tokens=200)


class FirstGuess(Planner):
    """A user's planner that knows only the environment: plays two scripted lines in it."""

    name = "first_guess"

    def plan(self, env: gym.Env[str, str], budget: Budget, rng: np.random.Generator) -> PlanResult:
        start = env.unwrapped.clone_state()
        rewards = [float(env.step(Option(text, 4))[1]) for text in ("2 * 3 = 6\n", f"#### {rng.integers(9)}\n")]
        end = env.unwrapped.clone_state()
        env.unwrapped.restore_state(start)
        best = Trajectory(end, rewards[-1])
        return PlanResult(start, best, (best,), Usage(policy_tokens=1, simulations=1))


def summary(simulator: Simulator, planner: Planner, concurrency: int) -> list[object]:
    with simulator.engine:
        episodes = list(run_episodes(planner, simulator, PROBLEMS, BUDGET, 3, concurrency=concurrency))
    assert [problem for problem, _ in episodes] == PROBLEMS
    return [
        (
            result.best,
            result.finished,
            replace(result.usage, seconds=0.0),
            render_tree(result.root) if result.root else "",
        )
        for _, result in episodes
    ]


@pytest.mark.parametrize(
    "planner",
    [eta_mcts(), eta_mcts(leaves_in_flight=3), BestOfN("majority"), BestOfN("orm"), FirstGuess()],
    ids=["eta_mcts", "in_flight", "majority", "orm", "sync"],
)
def test_results_do_not_depend_on_the_concurrency(planner: Planner):
    alone, some, all_at_once = (summary(make_simulator(), planner, concurrency) for concurrency in (1, 8, 64))
    assert alone == some == all_at_once


def test_searches_of_different_problems_differ():
    assert len({str(result) for result in summary(make_simulator(), eta_mcts(), 8)}) > 1


def test_concurrent_searches_share_batches():
    def batches(concurrency: int) -> int:
        simulator = make_simulator()
        summary(simulator, eta_mcts(), concurrency)
        return simulator.engine.statistics.batches

    assert batches(40) < batches(1) / 5


def test_the_usage_of_a_sync_planner_is_measured_not_believed():
    simulator = make_simulator()
    with simulator.engine:
        (_, result), *_ = run_episodes(FirstGuess(), simulator, PROBLEMS[:1], BUDGET)
    assert result.usage.policy_tokens == 0  # it generated nothing
    assert result.usage.critic_tokens == 2  # the PRM's reward, then the ORM's
    assert result.usage.simulations == 1
    assert result.usage.seconds > 0


class Curious(FirstGuess):
    """Keeps what the environment tells it."""

    def __init__(self) -> None:
        self.infos: list[dict[str, object]] = []

    def plan(self, env: gym.Env[str, str], budget: Budget, rng: np.random.Generator) -> PlanResult:
        result = super().plan(env, budget, rng)
        self.infos.append(env.step(Option("#### 7\n", 2))[4])
        return result


def test_a_sync_planner_is_not_told_what_is_right():
    planner, simulator = Curious(), make_simulator()
    with simulator.engine:
        list(run_episodes(planner, simulator, PROBLEMS[:2], BUDGET))
    assert [info["verdict"] for info in planner.infos] == ["no_gold", "no_gold"]


def test_environments_can_be_given():
    simulator = make_simulator()
    made: list[str] = []

    def make_env(problem: Problem) -> gym.Env[str, str]:
        made.append(problem.id)
        return MathReasoningEnv.from_parts(simulator, [problem])

    with simulator.engine:
        list(run_episodes(FirstGuess(), simulator, PROBLEMS[:3], BUDGET, concurrency=1, make_env=make_env))
    assert made == ["problem-0", "problem-1", "problem-2"]


def test_the_concurrency_must_make_sense():
    with pytest.raises(ValueError, match="concurrency"):
        run_episodes(FirstGuess(), make_simulator(), PROBLEMS, BUDGET, concurrency=0)


def test_results_come_while_the_problems_still_arrive():
    simulator = make_simulator()
    taken: list[Problem] = []

    def arriving():
        for problem in PROBLEMS:
            taken.append(problem)
            yield problem

    with simulator.engine:
        episodes = run_episodes(BestOfN(), simulator, arriving(), BUDGET, concurrency=4)
        next(episodes)
        assert len(taken) <= 2 * 4  # those that are searched, and as many that wait for a place
        episodes.close()


def test_a_failing_search_raises_at_its_turn():
    def broken(text: str) -> float:
        return is_right(text) if "#### 7" in text else 7.0  # no score in [0, 1]

    simulator = make_simulator(orm=broken)
    with simulator.engine, pytest.raises(Exception, match="must score in"):
        list(run_episodes(BestOfN("orm"), simulator, PROBLEMS, BUDGET, concurrency=4))


def test_episodes_can_be_closed_after_their_engine():
    simulator = make_simulator()
    with simulator.engine:
        episodes = run_episodes(eta_mcts(), simulator, PROBLEMS, BUDGET, concurrency=4)
        next(episodes)
    episodes.close()


class Waiting(FirstGuess):
    """Lets the search of the first problem end only once all others have."""

    def __init__(self, others: int) -> None:
        self.left = threading.Semaphore(0)
        self.others = others

    def plan(self, env: gym.Env[str, str], budget: Budget, rng: np.random.Generator) -> PlanResult:
        if env.unwrapped.clone_state().question == PROBLEMS[0].question:
            for _ in range(self.others):
                assert self.left.acquire(timeout=60), "a search waits for the slowest one"
        else:
            self.left.release()
        return super().plan(env, budget, rng)


class WaitingOnEngine(AsyncPlanner):
    """The same on the engine's loop."""

    name = "waiting"

    def __init__(self, others: int) -> None:
        self.left = asyncio.Semaphore(0)
        self.others = others

    async def search(self, simulator: Simulator, state: State, budget: Budget, seed: int, meter: Meter) -> PlanResult:
        if state.question == PROBLEMS[0].question:
            for _ in range(self.others):
                await asyncio.wait_for(self.left.acquire(), 60)
        else:
            self.left.release()
        best = Trajectory(state, 0.0)
        return PlanResult(state, best, (best,), Usage())


@pytest.mark.parametrize("kind", [Waiting, WaitingOnEngine])
def test_no_search_waits_for_the_slowest_one(kind: type[Waiting] | type[WaitingOnEngine]):
    simulator = make_simulator()
    with simulator.engine:
        planner = kind(len(PROBLEMS) - 1)
        found = [problem for problem, _ in run_unordered(planner, simulator, PROBLEMS, BUDGET, concurrency=2)]
    assert PROBLEMS[0] in found[-4:]  # those taken together may come in any order
    assert sorted(found, key=PROBLEMS.index) == PROBLEMS


def test_a_failing_search_keeps_what_ended_before_its_turn():
    class Failing(FirstGuess):
        def plan(self, env: gym.Env[str, str], budget: Budget, rng: np.random.Generator) -> PlanResult:
            if env.unwrapped.clone_state().question == PROBLEMS[5].question:
                raise ZeroDivisionError
            return super().plan(env, budget, rng)

    simulator, found = make_simulator(), []
    with simulator.engine, pytest.raises(ZeroDivisionError):
        found.extend(problem for problem, _ in run_episodes(Failing(), simulator, PROBLEMS, BUDGET, concurrency=3))
    assert found == PROBLEMS[:5]
