"""What a simulation costs beside its models: ηMCTS over models that cost nothing, five children a node, ten deep.

`search` takes options and scores from a simulator that asks nobody: that is the search alone. `whole_search` has a
policy and critics, which cost nothing either, and everything between them and the search: requests, the engine's
batches, metering, transitions, rollouts, merging, the reading of answers.
"""

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
from alphallm_env.critics.base import Critics
from alphallm_env.lm.base import Completion, GenerationRequest, LabelProbs, Reading
from alphallm_env.lm.policy import Policy
from alphallm_env.lm.prompts import TinyTemplate
from alphallm_env.mdp import dynamics
from alphallm_env.mdp.dynamics import Rules
from alphallm_env.mdp.options import TO_THE_END
from alphallm_env.runtime.counting import count_scored
from alphallm_env.runtime.engine import Engine
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


_SUMS = [(number, number * 7 % 31) for number in range(61)]
_STEPS = [Completion(f"{a} + {b} = {a + b}\n", 7, -1.6, StopReason.RULE, 20, 10) for a, b in _SUMS]
_ENDS = [Completion(f"{a} + {b} = {a + b}\n#### {a + b}\n", 12, -2.6, StopReason.END_OF_TEXT, 20, 10) for a, b in _SUMS]


class FreeLM:
    """A language model of 61 lines, one of which a seed picks: it costs nothing."""

    name = "free"
    is_reproducible = True

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """Returns a line for each request, or a line and an answer where the text is to end."""
        return [(_ENDS if request.rule is TO_THE_END else _STEPS)[request.seed % 61] for request in requests]

    def label_probs(self, prompts: Sequence[str], labels: Sequence[str]) -> list[LabelProbs]:
        """Returns the same probability for every label."""
        return [LabelProbs((1 / len(labels),) * len(labels), 20) for _ in prompts]

    def count_tokens(self, text: str) -> int:
        """Returns the number of words."""
        return len(text.split())


_READINGS = {
    text: Reading((number * 7919 % 1_009 / 1_009,), 7)
    for number, text in enumerate(["", *(completion.text for completion in (*_STEPS, *_ENDS))])
}


class FreeCritic:
    """A critic whose scores look random and cost nothing. With an engine it asks there, as critics with a model do."""

    is_reproducible = True

    def __init__(self, name: str, engine: Engine | None) -> None:
        self.name = name
        self._engine = engine

    async def evaluate(self, states: Sequence[State]) -> list[float]:
        """Returns one score per state."""
        if self._engine is None:
            return [reading.lowest[0] for reading in self._read(states)]
        readings = await self._engine.submit(self._read, states, role=Role.CRITIC)
        count_scored(self, [state.question + state.text for state in states], readings)
        return [reading.lowest[0] for reading in readings]

    def _read(self, states: Sequence[State]) -> list[Reading]:
        return [_READINGS[state.option.text if state.option else ""] for state in states]


PARTS: dict[str, dict[str, object]] = {
    "engine": {},  # the policy through the engine, the value function not
    "critics": {"beta_prm": 1.0},  # and a value function and a PRM through the engine
    "rollouts": {"num_rollouts": 4},  # and four rollouts a leaf, which the ORM judges
    "merge": {"merge_rule": "mathematics"},  # options with the same mathematics joined
    "all": {"beta_prm": 1.0, "num_rollouts": 4, "merge_rule": "mathematics"},
}


def whole_search(part: str, num_simulations: int) -> tuple[PlanResult, float]:
    """Returns a search of `num_simulations` with a part of `PARTS` on, and its seconds by the processor's clock."""
    with Engine() as engine:
        asks = engine if part in ("critics", "all") else None
        critics = Critics(FreeCritic("value", asks), FreeCritic("prm", asks), FreeCritic("orm", engine))
        simulator = Simulator(Policy(FreeLM(), TinyTemplate()), critics, Rules(max_tokens=1_000), engine=engine)
        planner = EtaMCTS(CONFIG.with_settings(**PARTS[part]))
        work = planner.metered_search(
            simulator, dynamics.initial_state(_PROBLEM), Budget(simulations=num_simulations), derive_seed(0)
        )
        started = time.process_time()
        return engine.run(work), time.process_time() - started


def microseconds(num_simulations: int, repeats: int = 9, part: str = "") -> float:
    """Returns the least microseconds of a simulation, over whole searches: other load only adds to it."""
    per_search = max(1, 2_000 // num_simulations)
    found: list[float] = []
    for _ in range(repeats):
        gc.collect()
        seconds = sum(
            (whole_search(part, num_simulations) if part else search(num_simulations))[1] for _ in range(per_search)
        )
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
