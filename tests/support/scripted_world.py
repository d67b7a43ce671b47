"""A scripted model, scripted critics and small hand-made trees for the planners' tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from agents.base import AsyncPlanner, Budget, PlanResult
from agents.tree.node import Node
from alphallm_env.critics.base import Critics
from alphallm_env.lm.policy import Policy
from alphallm_env.lm.prompts import TinyTemplate
from alphallm_env.mdp.dynamics import Rules, transition
from alphallm_env.runtime.metering import current_meter
from alphallm_env.simulator import Simulator
from alphallm_env.testing.scripted import Continuations, ScriptedLM
from alphallm_env.types import Option, Problem, State, Trajectory

PROBLEM = Problem("sum", "What is 2 * 3 + 1?", "7")
START = State(PROBLEM.id, PROBLEM.question)

# Right with probability 0.6 · 0.7 = 0.42: the answer 7. Every text states some answer after three lines.
SUM_SCRIPT: dict[str, Continuations] = {
    "": [("2 * 3 = 6\n", 0.6), ("2 + 3 = 5\n", 0.4)],
    "2 * 3 = 6\n": [("6 + 1 = 7\n", 0.7), ("6 + 1 = 8\n", 0.3)],
    "2 + 3 = 5\n": [("5 + 1 = 6\n", 0.5), ("5 + 1 = 5\n", 0.5)],
    "2 * 3 = 6\n6 + 1 = 7\n": [("#### 7\n", 1.0)],
    "2 * 3 = 6\n6 + 1 = 8\n": [("#### 8\n", 1.0)],
    "2 + 3 = 5\n5 + 1 = 6\n": [("#### 6\n", 1.0)],
    "2 + 3 = 5\n5 + 1 = 5\n": [("#### 5\n", 1.0)],
}


class ScriptedCritic:
    """Scores a state by a function of its text, charges one token for each, and records what was asked."""

    is_reproducible = True

    def __init__(self, name: str, score: Callable[[str], float] = lambda text: 0.5) -> None:
        self.name = name
        self.asked: list[str] = []
        self._score = score

    async def evaluate(self, states: Sequence[State]) -> list[float]:
        self.asked += [state.text for state in states]
        current_meter().scored(len(states), flops=2 * len(states))
        await asyncio.sleep(0)
        return [self._score(state.text) for state in states]


def is_right(text: str) -> float:
    return 0.9 if "#### 7\n" in text else 0.1


def looks_right(text: str) -> float:
    return 0.7 if "2 * 3" in text or not text else 0.3


def make_simulator(
    script: Mapping[str, Continuations] = SUM_SCRIPT,
    *,
    value: Callable[[str], float] = looks_right,
    prm: Callable[[str], float] = looks_right,
    orm: Callable[[str], float] = is_right,
    rules: Rules | None = None,
) -> Simulator:
    critics = Critics(ScriptedCritic("value", value), ScriptedCritic("prm", prm), ScriptedCritic("orm", orm))
    return Simulator(Policy(ScriptedLM(script), TinyTemplate()), critics, rules or Rules())


def asked(simulator: Simulator, critic: str) -> list[str]:
    scripted = simulator.critics.require(critic)
    assert isinstance(scripted, ScriptedCritic)
    return scripted.asked


def search(planner: AsyncPlanner, simulator: Simulator, budget: Budget, seed: int = 0) -> PlanResult:
    with simulator.engine:
        return simulator.engine.run(planner.metered_search(simulator, START, budget, seed))


def step(state: State, text: str, num_tokens: int = 1, log_prob: float | None = None) -> State:
    return transition(state, Option(text, num_tokens, log_prob), Rules()).state


def add_child(
    parent: Node,
    text: str,
    q: float = 0.0,
    visits: int = 1,
    *,
    score: float = 0.0,
    log_prob: float | None = None,
) -> Node:
    child = parent.add_child(step(parent.state, text, log_prob=log_prob))
    child.visit_count, child.value_sum, child.max_value, child.q, child.score = visits, q * visits, q, q, score
    return child


def finish(node: Node, text: str, score: float) -> Trajectory:
    """Keeps a text that a rollout from the node ended with."""
    node.finished += (Trajectory(step(node.state, text), score),)
    return node.finished[-1]
