"""Searches on servers that fail: what survives, what is lost, what is computed or recorded twice.

Two servers on loopback (`alphallm_env/testing/faulty_server.py`) answer the searches of a small set of problems. Every
third request meets a fault of one kind, or a server dies. A search survives if it ends with the same tree and the same
trajectories as without faults.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from agents.base import Budget, PlanResult
from agents.mcts import EtaMCTS, eta_mcts
from agents.tree.node import render_tree
from agents.tree.search import SearchInterruptedError
from alphallm_env.lm.policy import Policy
from alphallm_env.lm.prompts import FewShotTemplate
from alphallm_env.lm.server.client import ServerLM
from alphallm_env.lm.server.pool import ServerSettings
from alphallm_env.loading import build_simulator
from alphallm_env.mdp.dynamics import Rules
from alphallm_env.runtime.engine import Engine
from alphallm_env.simulator import Simulator
from alphallm_env.testing.faulty_server import FaultServer
from alphallm_env.types import Problem, Trajectory

KINDS = ("429", "500", "garbage", "shape", "half", "close", "hang")
DIES, ALL_DIE = "one server dies", "all servers die, one comes back"
BUDGET = Budget(simulations=8)
Result = PlanResult | None  # None where a search was lost
_EVERY = 3  # each third request fails
_DIES_AFTER = 40  # requests
_SETTINGS = ServerSettings(attempts=8, first_wait=0.001, longest_wait=0.002, rest=0.05, timeout=0.5)


@dataclass(frozen=True)
class Survival:
    """What became of the faults of one kind, and of the searches that met them."""

    tried: int  # faults met
    survived: int  # of these, all but one for each search that was harmed
    lost: int  # searches without a result
    repeated_tokens: int  # that searches counted more than undisturbed ones: the work of a failed call, done again


class _Words(FewShotTemplate):
    """What the fault server's model understands: a question or a judgement, and `Answer:`."""

    labels = ("True", "False")

    def judge_state(self, question: str, solution: str, notes: str = "") -> str:
        """Returns the question, opened."""
        return f"{question} ? Answer:{notes}{solution}"

    def judge_step(self, question: str, before: str, step: str, notes: str = "") -> str:
        """Returns a question whose answer is a label."""
        return f"Judge {question} {before}{step}{notes} Answer:"

    def judge_outcome(self, question: str, solution: str, notes: str = "") -> str:
        """Returns a question whose answer is a label."""
        return f"Judge {question} {solution}{notes} Answer:"


def survived_by_kind(num_problems: int = 16, kinds: Sequence[str] = (*KINDS, DIES, ALL_DIE)) -> dict[str, Survival]:
    """Returns what became of faults, by kind."""
    problems = [Problem(f"bench/{number}", f"Question {number}", str(number)) for number in range(num_problems)]
    undisturbed, _ = searched(problems, "")
    return {kind: _survival(undisturbed, *searched(problems, kind)) for kind in kinds}


def _survival(undisturbed: Sequence[Result], disturbed: Sequence[Result], num_faults: int) -> Survival:
    harmed = sum(_found(one) != _found(other) for one, other in zip(undisturbed, disturbed, strict=True))
    return Survival(
        tried=num_faults,
        survived=max(0, num_faults - harmed),
        lost=disturbed.count(None),
        repeated_tokens=_num_tokens(disturbed) - _num_tokens(undisturbed),
    )


def _found(result: Result) -> tuple[str, tuple[Trajectory, ...]] | None:
    """Returns all that a search found."""
    return (render_tree(result.root), result.finished) if result and result.root else None


def _num_tokens(results: Sequence[Result]) -> int:
    return sum(result.usage.tokens for result in results if result)


def searched(problems: Sequence[Problem], kind: str) -> tuple[list[Result], int]:
    """Returns the searches of all problems under faults of a kind, None where one was lost, and the faults met."""
    planner = eta_mcts("tiny_small", num_rollouts=1, max_simulations=100)
    with ExitStack() as stack:
        servers = [stack.enter_context(FaultServer(num_verbs=3, seconds=0.002)) for _ in range(2)]
        engine = stack.enter_context(Engine())
        lm = ServerLM([server.url for server in servers], settings=_SETTINGS)
        stack.callback(lm.close)
        simulator = build_simulator(Policy(lm, _Words()), "prompted", Rules(), engine)
        _let_fail(servers, kind)
        results = engine.run(_search_all(planner, simulator, problems))
        if kind == ALL_DIE:
            servers[0].dies_after = 0
            servers[0].start()
        plans = engine.run(_resume_all(results))
        met = sum(server.num_faults for server in servers)
    return plans, met


async def _search_all(
    planner: EtaMCTS, simulator: Simulator, problems: Sequence[Problem]
) -> list[PlanResult | BaseException]:
    states = [simulator.initial_state(problem) for problem in problems]
    work = [planner.metered_search(simulator, state, BUDGET, seed) for seed, state in enumerate(states)]
    return await asyncio.gather(*work, return_exceptions=True)


async def _resume_all(results: Sequence[PlanResult | BaseException]) -> list[Result]:
    """Returns the results, those of interrupted searches after another try."""

    async def resumed(result: PlanResult | BaseException) -> Result:
        try:
            return await result.search.run_async() if isinstance(result, SearchInterruptedError) else _whole(result)
        except SearchInterruptedError:
            return None

    return await asyncio.gather(*[resumed(result) for result in results])


def _whole(result: PlanResult | BaseException) -> PlanResult:
    if isinstance(result, BaseException):
        raise result
    return result


def _let_fail(servers: Sequence[FaultServer], kind: str) -> None:
    if kind in (DIES, ALL_DIE):
        for server in servers if kind == ALL_DIE else servers[:1]:
            server.dies_after = _DIES_AFTER
    elif kind:
        for server in servers:
            server.faults = deque(([""] * (_EVERY - 1) + [kind]) * 10_000)
