"""ηMCTS: tree search over options with adaptive width, state merge and three critics (AlphaLLM).

The phases are select, expand, evaluate and back up, over and over until the budget is spent.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from agents.base import AsyncPlanner, Budget, PlanResult, with_transcripts
from agents.presets import PRESETS, MCTSConfig, resolved
from agents.tree.backup import backup
from agents.tree.evaluation import Evaluator
from agents.tree.expansion import Sampling, grow
from agents.tree.node import Node, finished_trajectories, walk
from agents.tree.selection import select_child
from alphallm_env.errors import ServerError
from alphallm_env.runtime.concurrency import gather
from alphallm_env.runtime.metering import Meter, Usage, metering
from alphallm_env.runtime.seeds import derive_seed
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
        return await self._go_on(TreeSearch(simulator, self.config, state, seed), budget, meter)

    async def resume(self, interrupted: SearchInterruptedError, budget: Budget) -> PlanResult:
        """Goes on with a search where a failing server interrupted it. What was spent before counts.

        May be interrupted again. Run it as any coroutine of a search: `engine.run(planner.resume(error, budget))`.
        """
        with metering(interrupted.meter) as meter:
            return with_transcripts(await self._go_on(interrupted.search, budget, meter), meter)

    async def _go_on(self, tree: TreeSearch, budget: Budget, meter: Meter) -> PlanResult:
        started = time.perf_counter()
        try:
            await tree.begin()
            while tree.is_under_way or (budget.allows(meter.usage) and not tree.is_over(meter.usage)):
                await tree.simulate(budget, meter)
            best = await tree.answer()
        except ServerError as error:
            raise SearchInterruptedError(str(error), tree, meter) from error
        finally:
            meter.add(Usage(seconds=time.perf_counter() - started))
        return PlanResult(tree.root.state, best, tuple(finished_trajectories(tree.root)), meter.usage, tree.root)


class SearchInterruptedError(ServerError):
    """A server failed for good. The search is kept as it stood: `EtaMCTS.resume` goes on with it."""

    def __init__(self, message: str, search: TreeSearch, meter: Meter) -> None:
        super().__init__(message)
        self.search = search
        self.meter = meter


@dataclass
class Wave:
    """Simulations in flight: how many new children each chosen node is to get, and how many it had before."""

    wanted: dict[Node, int]
    before: dict[Node, int] = field(init=False)

    def __post_init__(self) -> None:
        self.before = {node: len(node.children) for node in self.wanted}

    def missing(self, node: Node) -> int:
        """Returns how many children a node still lacks; none where the policy has nothing new to say there."""
        return 0 if node.is_saturated else self.wanted[node] - (len(node.children) - self.before[node])

    def children(self) -> list[Node]:
        """Returns the new children."""
        return [child for node, before in self.before.items() for child in node.children[before:]]


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
        self._wave: Wave | None = None
        self._has_begun = False
        self._root_selection = config.root_selection.start(seed) if config.root_selection else None

    async def begin(self) -> None:
        """Evaluates the root."""
        if not self._has_begun:
            await self._evaluator.evaluate_root(self.root)
        self._has_begun = True

    @property
    def is_under_way(self) -> bool:
        """Whether simulations were begun that are not backed up yet."""
        return self._wave is not None

    async def simulate(self, budget: Budget, meter: Meter) -> None:
        """Runs the next simulations. After a failure the next call goes on with the same ones, whose children stay."""
        if self._wave is None:
            self._wave = self.select(budget, meter.usage)
        wave = self._wave
        await self.expand(wave)
        children = wave.children()
        await self.evaluate(children)
        self.back_up(wave, children)
        self._wave = None
        meter.add(Usage(simulations=max(1, len(children))))

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
        if budget.tokens is not None:
            left = min(left, _affordable(budget.tokens, usage))
        wanted: dict[Node, int] = {}
        for _ in range(self._config.leaves_in_flight):
            node = self._descend()
            if node is None or left < 1:
                break
            num_children = min(left, self._num_to_expand(node))
            left -= num_children
            node.num_pending += num_children
            wanted[node] = wanted.get(node, 0) + num_children
            for above in node.path():
                above.virtual_loss += num_children
        return Wave(wanted)

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

    async def expand(self, wave: Wave) -> None:
        """Draws the children that the wave's nodes lack, all together."""
        lacking = {node: missing for node in wave.wanted if (missing := wave.missing(node)) > 0}
        await gather([grow(self._simulator, node, missing, self._sampling) for node, missing in lacking.items()])

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
            child.is_exhausted = child.is_terminal
        for node, num_children in wave.wanted.items():
            node.num_pending = 0
            for above in node.path():
                above.virtual_loss -= num_children
        for node in wave.wanted:
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


def _affordable(tokens: int, usage: Usage) -> int:
    """Returns how many simulations of the mean cost so far the tokens that are left pay for, but at least one."""
    return max(1, (tokens - usage.tokens) * usage.simulations // max(1, usage.tokens))


def eta_mcts(preset: str = "tiny_small", *, name: str | None = None, **overrides: object) -> EtaMCTS:
    """Returns ηMCTS with a preset's settings, of which `overrides` changes some.

    Rules may be given by name, as in `eta_mcts(selection="puct", merge_rule="cosine")`. Raises ValueError
    for an unknown preset, setting or name.
    """
    if preset not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, got {preset!r}")
    return EtaMCTS(resolved(PRESETS[preset], overrides), name or f"eta_mcts:{preset}")


__all__ = ["PRESETS", "EtaMCTS", "MCTSConfig", "Sampling", "SearchInterruptedError", "TreeSearch", "eta_mcts"]
