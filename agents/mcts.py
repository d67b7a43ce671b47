"""ηMCTS: tree search over options with adaptive width, state merge and three critics (AlphaLLM).

The phases are select, expand, evaluate and back up, over and over until the budget is spent.
"""

from __future__ import annotations

import time

from agents.backup import backup
from agents.base import AsyncPlanner, Budget, PlanResult
from agents.evaluation import Evaluator, together
from agents.expansion import Sampling, grow
from agents.presets import PRESETS, MCTSConfig, resolved
from agents.selection import select_child
from agents.tree import Node, finished_trajectories, walk
from alphallm_env.metering import Meter, Usage
from alphallm_env.randomness import derive_seed
from alphallm_env.simulator import Simulator
from alphallm_env.types import State, Trajectory


class EtaMCTS(AsyncPlanner):
    """Plans by ηMCTS. One instance serves any number of searches at once."""

    def __init__(self, config: MCTSConfig | None = None, name: str = "eta_mcts") -> None:
        self.config = config or MCTSConfig()
        self.name = name

    async def search(self, simulator: Simulator, state: State, budget: Budget, seed: int, meter: Meter) -> PlanResult:
        """Returns the episode that the answer rule chooses from the tree, and the tree.

        Ends when the budget is spent, nothing new can be found, or after `max_simulations`. Where nothing
        was finished by then, one greedy completion is written past the budget.
        """
        started = time.perf_counter()
        tree = TreeSearch(simulator, self.config, state, seed)
        await tree.begin()
        while budget.allows(meter.usage) and not tree.is_over(meter.usage):
            wave = tree.select(budget, meter.usage)
            children = await tree.expand(wave)
            await tree.evaluate(children)
            tree.back_up(wave, children)
            meter.add(Usage(simulations=max(1, len(children))))
        best = await tree.answer()
        meter.add(Usage(seconds=time.perf_counter() - started))
        return PlanResult(state, best, tuple(finished_trajectories(tree.root)), meter.usage, tree.root)


Wave = dict[Node, int]  # how many new children each chosen node is to get


class TreeSearch:
    """The state of one search: the tree, and the phases that change it."""

    def __init__(self, simulator: Simulator, config: MCTSConfig, state: State, seed: int) -> None:
        self.root = Node(state, seed=derive_seed(seed, "tree"))
        self._simulator = simulator
        self._config = config
        self._sampling = config.sampling
        self._width = config.width
        self._evaluator = Evaluator(simulator, config.scoring, needs_values=config.alpha > 0)
        self._extra_width = 0
        self._root_selection = config.root_selection.start(seed) if config.root_selection else None

    async def begin(self) -> None:
        """Evaluates the root."""
        await self._evaluator.evaluate_root(self.root)

    def is_over(self, usage: Usage) -> bool:
        """Returns whether going on is pointless, whatever budget there is."""
        if usage.simulations >= self._config.max_simulations:
            return True
        return self.root.is_exhausted and not (self._config.widens and self._widen())

    def _widen(self) -> bool:
        """Allows every node more children than n(s), up to c_max, one by one until one node wants them.

        Differs: AlphaLLM does not say what a search does with budget that is left when its tree is done.
        """
        while self.root.is_exhausted and self._extra_width < max(
            self._width.max_children_root, self._width.max_children
        ):
            self._extra_width += 1
            for node in reversed(list(walk(self.root))):
                node.is_exhausted = self._has_nothing_new(node)
        return not self.root.is_exhausted

    def _has_nothing_new(self, node: Node) -> bool:
        """Returns whether the node wants no child and none below it does, which its children already know."""
        wants_child = self._width.wants_child(node, self._extra_width)
        return not wants_child and all(child.is_exhausted for child in node.children)

    def select(self, budget: Budget, usage: Usage) -> Wave:
        """Returns the nodes that the next simulations expand, chosen one by one under virtual loss."""
        left = self._config.max_simulations - usage.simulations
        if budget.simulations is not None:
            left = min(left, budget.simulations - usage.simulations)
        wave: Wave = {}
        for _ in range(self._config.leaves_in_flight):
            node = self._descend()
            if node is None or left < 1:
                break
            num_children = min(left, self._num_to_expand(node))
            left -= num_children
            node.num_pending += num_children
            wave[node] = wave.get(node, 0) + num_children
            for above in node.path():
                above.virtual_loss += num_children
        return wave

    def _descend(self) -> Node | None:
        """Returns the first node on the way down that wants a child; None if all there is, is in flight."""
        node = self.root
        while not self._width.wants_child(node, self._extra_width):
            searchable = [child for child in node.children if not child.is_exhausted]
            if not searchable:
                return None
            node = self._choose(node, searchable)
        return node

    def _choose(self, parent: Node, children: list[Node]) -> Node:
        config = self._config
        if parent is self.root and self._root_selection is not None:
            return self._root_selection.choose(children, config.backup)
        return select_child(parent, children, config.selection, config.c, config.backup)

    def _num_to_expand(self, node: Node) -> int:
        """Returns 1, or as many as the node still lacks of its first c_min children, up to a batch."""
        min_children, _ = self._width.limits(node)
        missing = min_children - len(node.children) - node.num_pending
        return max(1, min(self._config.expansion_batch, missing))

    async def expand(self, wave: Wave) -> list[Node]:
        """Returns the new children of the wave's nodes, all drawn together."""
        work = [grow(self._simulator, node, num_children, self._sampling) for node, num_children in wave.items()]
        return [child for children in await together(work) for child in children]

    async def evaluate(self, children: list[Node]) -> None:
        """Scores the new children, all together."""
        await self._evaluator.evaluate(children)

    def back_up(self, wave: Wave, children: list[Node]) -> None:
        """Carries the children's scores up, takes the virtual losses back, and closes what is exhausted."""
        config, rules = self._config, self._simulator.rules
        gamma = rules.gamma if config.gamma is None else config.gamma
        for child in children:
            assert child.score is not None
            backup(child, child.score, gamma, rules.discount_per_token)
        for node, num_children in wave.items():
            node.num_pending = 0
            for above in node.path():
                above.virtual_loss -= num_children
        for node in [*children, *wave]:
            self._close(node)

    def _close(self, node: Node) -> None:
        """Marks nodes from `node` upwards as exhausted, as long as they are."""
        for above in node.path():
            if not self._has_nothing_new(above):
                return
            above.is_exhausted = True

    async def answer(self) -> Trajectory:
        """Returns the trajectory that the answer rule chooses, completed if need be."""
        choice = self._config.answer_rule(self.root, self._config.backup)
        return await self._complete(choice) if isinstance(choice, Node) else choice

    async def _complete(self, node: Node) -> Trajectory:
        """Returns the policy's greedy completion of the node's state, scored like any other leaf."""
        options = await self._simulator.propose(node.state, 1, node.seed, to_the_end=True, temperature=0.0)
        leaf = Node(self._simulator.transition(node.state, options[0]).state, node, seed=node.seed)
        await self._evaluator.evaluate([leaf])
        node.finished.extend(leaf.finished)
        return leaf.finished[0]


def eta_mcts(preset: str = "tiny_small", *, name: str | None = None, **overrides: object) -> EtaMCTS:
    """Returns ηMCTS with a preset's settings, of which `overrides` changes some.

    Rules may be given by name, as in `eta_mcts(selection="puct", merge_rule="cosine")`. Raises ValueError
    for an unknown preset, setting or name.
    """
    if preset not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, got {preset!r}")
    return EtaMCTS(resolved(PRESETS[preset], overrides), name or f"eta_mcts:{preset}")


__all__ = ["PRESETS", "EtaMCTS", "MCTSConfig", "Sampling", "TreeSearch", "eta_mcts"]
