"""What a simulation costs beside its models: ηMCTS over models that cost nothing, five children a node, ten deep."""

from __future__ import annotations

import asyncio
import gc
import time
import tracemalloc
from collections.abc import Sequence

from agents.base import Budget, PlanResult
from agents.config import MCTSConfig
from agents.mcts import EtaMCTS
from agents.tree.node import num_nodes
from alphallm_env.lm.policy import Policy
from alphallm_env.lm.prompts import TinyTemplate
from alphallm_env.mdp import dynamics
from alphallm_env.mdp.dynamics import Rules
from alphallm_env.runtime.metering import Role
from alphallm_env.runtime.seeds import derive_seed
from alphallm_env.simulator import Simulator
from alphallm_env.testing.scripted import ScriptedLM
from alphallm_env.types import Option, Problem, State, StopReason

CHILDREN = 5
DEPTH = 10
_OPTIONS = [Option(f"{number}\n", 2, -1.6, StopReason.RULE) for number in range(CHILDREN)]
_LAST = [Option(f"#### {number}", 3, -1.6, StopReason.END_OF_TEXT) for number in range(CHILDREN)]
_PROBLEM = Problem("bench/0", "How many?")


class FreeSimulator(Simulator):
    """A decision process of five options a state and ten a solution, with scores from a hash: nothing is modelled."""

    async def propose(
        self,
        state: State,
        num_options: int,
        seed: int,  # noqa: ARG002
        *,
        first_index: int = 0,
        to_the_end: bool = False,
        temperature: float | None = None,  # noqa: ARG002
        role: Role = Role.POLICY,  # noqa: ARG002
    ) -> list[Option]:
        """Returns the next options that were not drawn yet."""
        options = _LAST if to_the_end or state.depth >= DEPTH - 1 else _OPTIONS
        return options[first_index : first_index + num_options]

    async def score(self, critic: str, states: Sequence[State]) -> list[float]:  # noqa: ARG002
        """Returns scores that look random."""
        return [(state.depth * 7919 + hash(state.option) * 104_729) % 1_009 / 1_009 for state in states]


CONFIG = MCTSConfig().with_settings(
    alpha=0, c_min_root=CHILDREN, c_min=CHILDREN, c_max_root=CHILDREN, c_max=CHILDREN, beta_prm=0, num_rollouts=0,
    depth_limit=DEPTH, expansion_batch=CHILDREN,
)  # fmt: skip


def search(num_simulations: int) -> tuple[PlanResult, float]:
    """Returns a search of `num_simulations`, and its seconds by the processor's clock."""
    simulator = FreeSimulator(Policy(ScriptedLM({"": [("x", 1.0)]}), TinyTemplate()), rules=Rules(max_tokens=1_000))
    state = dynamics.initial_state(_PROBLEM)

    async def timed() -> tuple[PlanResult, float]:
        started = time.process_time()
        planner = EtaMCTS(CONFIG)
        result = await planner.metered_search(simulator, state, Budget(simulations=num_simulations), derive_seed(0))
        return result, time.process_time() - started

    return asyncio.run(timed())


def microseconds(num_simulations: int, repeats: int = 9) -> float:
    """Returns the least microseconds of a simulation, over whole searches: other load only adds to it."""
    per_search = max(1, 2_000 // num_simulations)
    found: list[float] = []
    for _ in range(repeats):
        gc.collect()
        seconds = sum(search(num_simulations)[1] for _ in range(per_search))
        found.append(1e6 * seconds / per_search / num_simulations)
    return min(found)


def bytes_per_node(num_simulations: int = 5_000) -> float:
    """Returns the memory that a finished tree holds, by node. All its options share ten texts."""
    search(10)
    gc.collect()
    tracemalloc.start()
    result, _ = search(num_simulations)
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert result.root is not None
    return held / num_nodes(result.root)
