"""ηMCTS: tree search over options with adaptive width, state merge and three critics (AlphaLLM).

The phases select, expand, evaluate and back up repeat until the budget is spent (`agents.tree.search`).
"""

from __future__ import annotations

from typing import cast

import gymnasium as gym
import numpy as np

from agents.base import UNLIMITED, AsyncPlanner, Budget, PlanResult
from agents.config import MCTSConfig
from agents.presets import PRESETS
from agents.tree.node import Node
from agents.tree.reuse import kept_subtree
from agents.tree.search import TreeSearch
from alphallm_env.envs.text import MathReasoningEnv
from alphallm_env.runtime.metering import Meter
from alphallm_env.runtime.seeds import derive_seed
from alphallm_env.simulator import Simulator
from alphallm_env.types import State


class EtaMCTS(AsyncPlanner):
    """Plans by ηMCTS. One instance serves any number of searches at once."""

    def __init__(self, config: MCTSConfig | None = None, name: str = "eta_mcts") -> None:
        self.config = config or MCTSConfig()
        self.name = name

    def plan(
        self, env: gym.Env[str, str], budget: Budget, rng: np.random.Generator, tree: Node | None = None
    ) -> PlanResult:
        """Returns an episode that starts from the environment's current state, and the tree. Blocks.

        Ends when the budget is spent, nothing new can be found, or after `max_simulations`. Where nothing was
        finished by then, one greedy completion is written past the budget. `tree` is the root of an earlier result's
        tree, whose part below the current state is kept (see `begin`).
        """
        return self.begin(env, budget=budget, seed=int(rng.integers(2**62)), tree=tree).run()

    async def search(self, simulator: Simulator, state: State, budget: Budget, seed: int, meter: Meter) -> PlanResult:
        """Returns the episode that the answer rule chooses from the tree, and the tree."""
        return await TreeSearch(simulator, self.config, _fresh_root(state, seed), seed, budget, meter).run_async()

    def begin(
        self,
        world: gym.Env[str, str] | Simulator,
        state: State | None = None,
        *,
        budget: Budget = UNLIMITED,
        seed: int = 0,
        tree: Node | None = None,
    ) -> TreeSearch:
        """Returns a search that has run no simulation yet, and whose loop the caller owns.

        It starts from `state`: without one, from the environment's current state. Of `tree`, the root of an earlier
        search's tree, it keeps what is at and below that state, copied with its statistics, so that the old tree does
        not change; the budget counts from 0. A tree without that state is ignored (`kept_subtree`).
        """
        if isinstance(world, Simulator):
            simulator = world
            if state is None:
                raise ValueError("expected a state to start from beside a simulator, got None")
        else:
            unwrapped = cast(MathReasoningEnv, world.unwrapped)
            simulator, state = unwrapped.simulator, state or unwrapped.clone_state()
        kept = None if tree is None else kept_subtree(tree, state, simulator)
        search = TreeSearch(simulator, self.config, kept or _fresh_root(state, seed), seed, budget)
        if kept is not None:
            search.update_exhausted()
        return search

    def load(self, data: bytes, simulator: Simulator) -> TreeSearch:
        """Returns the search that `TreeSearch.to_bytes` wrote, ready to resume as if it had never stopped.

        The simulator must have the same models, critics and rules. What its critics charge once a search (the notes of
        the shipped ones) is charged again: with a token budget the search may end a little earlier. Raises StateError
        for other bytes, ValueError where the search was begun with other settings than this planner's.
        """
        return TreeSearch.from_bytes(data, simulator, self.config)


def _fresh_root(state: State, seed: int) -> Node:
    return Node(state, seed=derive_seed(seed, "tree"))


def eta_mcts(preset: str = "tiny_small", *, name: str | None = None, **settings: object) -> EtaMCTS:
    """Returns ηMCTS with a preset's settings, of which `settings` changes some, each under its own name.

    Rules may be given by name, as in `eta_mcts(selection="puct", merge_rule="cosine")`. Raises ValueError
    for an unknown preset, setting or name.
    """
    if preset not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, got {preset!r}")
    return EtaMCTS(PRESETS[preset].with_settings(**settings), name or f"eta_mcts:{preset}")
