"""One search by ηMCTS: the tree, the phases that change it, and the loop, which the caller may own."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Generator
from dataclasses import dataclass, field

from agents.base import UNLIMITED, Budget, PlanResult, with_transcripts
from agents.config import MCTSConfig
from agents.tree.answering import root_options
from agents.tree.backup import backup, discount_to, rescore
from agents.tree.evaluation import Evaluator
from agents.tree.expansion import grow
from agents.tree.node import Node, finished_trajectories, walk
from agents.tree.saving import SavedSearch
from agents.tree.selection import Candidates, select_child
from agents.tree.transpositions import Positions, link
from alphallm_env.errors import ServerError
from alphallm_env.runtime.concurrency import gather
from alphallm_env.runtime.metering import Meter, Usage, active_meter, metering
from alphallm_env.simulator import Simulator
from alphallm_env.types import Trajectory


class SearchInterruptedError(ServerError):
    """A server failed for good. `search` has kept its tree: any of its methods resumes it."""

    def __init__(self, message: str, search: TreeSearch) -> None:
        super().__init__(message)
        self.search = search


@dataclass
class Wave:
    """Simulations in flight: how many new children each chosen node is to get, and how many it had before."""

    wanted: dict[Node, int]
    before: dict[Node, int] = field(default_factory=dict[Node, int])

    def __post_init__(self) -> None:
        if not self.before:
            self.before = {node: len(node.children) for node in self.wanted}

    def missing(self, node: Node) -> int:
        """Returns how many children a node still lacks; none where the policy has nothing new to offer there."""
        return 0 if node.is_resting else self.wanted[node] - (len(node.children) - self.before[node])

    def children(self) -> list[Node]:
        """Returns the new children."""
        return [child for node, before in self.before.items() for child in node.children[before:]]


class TreeSearch:
    """A search that is run a few simulations at a time, asked for its answer at any time, saved and resumed.

    `EtaMCTS.begin` makes one. Each method that calls a model blocks, and has a coroutine `…_async` for code that runs
    on the engine's loop. A search runs in waves of simulations (`leaves_in_flight`, `expansion_batch`) that are never
    cut in two, so its tree does not depend on how the caller cuts the loop.
    """

    def __init__(
        self,
        simulator: Simulator,
        config: MCTSConfig,
        root: Node,
        seed: int,
        budget: Budget = UNLIMITED,
        meter: Meter | None = None,
    ) -> None:
        self.root = root
        self.budget = budget  # may be raised during the search
        self._simulator = simulator
        self._config = config
        self._seed = seed
        self._meter = meter or Meter()
        self._gamma = simulator.rules.gamma if config.descent.gamma is None else config.descent.gamma
        self._evaluator = Evaluator(simulator, config.scoring, needs_values=config.width.alpha > 0, gamma=self._gamma)
        self._extra_width = 0
        self._wave: Wave | None = None
        root_selection = config.descent.root_selection
        self._root_chooser = root_selection.start(seed) if root_selection else None
        self._positions = Positions(simulator, root) if config.sampling.transpositions else None
        self._trace = config.start_trace(root)

    @property
    def usage(self) -> Usage:
        """What the search has spent so far."""
        return self._meter.usage

    @property
    def is_over(self) -> bool:
        """Whether no simulation is left: the budget is spent, `max_simulations` are done, or nothing new can be found.

        Or the answer is sure: a solution has the ORM score `stop_at`.

        False where a wave was interrupted, which the next call completes whatever the budget.
        """
        return self._wave is None and not (self.budget.allows(self._meter.usage) and self._has_work())

    def simulate(self, num_simulations: int | None = None) -> int:
        """Runs `num_simulations` more simulations, all that are left where None, and returns how many it ran.

        A wave is never cut: it stops after the one that reaches the number, or earlier where the search is over.
        Raises SearchInterruptedError where a server fails for good; the next call resumes with the same wave.
        """
        return self._simulator.engine.run(self.simulate_async(num_simulations))

    def answer(self) -> PlanResult:
        """Returns the episode that the answer rule chooses from the tree so far, and the tree.

        Where the rule chooses an unfinished one, the policy completes it greedily, past the budget if need be, and the
        tree keeps the completion.
        """
        return self._simulator.engine.run(self.answer_async())

    def run(self) -> PlanResult:
        """Runs all simulations that are left, and returns the answer."""
        return self._simulator.engine.run(self.run_async())

    async def simulate_async(self, num_simulations: int | None = None) -> int:
        """Does what `simulate` does, on the engine's loop."""
        before = self.usage.simulations
        with self._working():
            await self._simulate(math.inf if num_simulations is None else before + num_simulations)
        return self.usage.simulations - before

    async def answer_async(self) -> PlanResult:
        """Does what `answer` does, on the engine's loop."""
        with self._working():
            best = await self._answer()
        return self._result(best)

    async def run_async(self) -> PlanResult:
        """Does what `run` does, on the engine's loop."""
        with self._working():
            await self._simulate(math.inf)
            best = await self._answer()
        return self._result(best)

    def to_bytes(self) -> bytes:
        """Returns the whole search as UTF-8 JSON, which `EtaMCTS.load` reads. Call it while no call is running."""
        return SavedSearch(
            settings=dict(self._config.record()),
            seed=self._seed,
            budget=self.budget,
            usage=self.usage,
            read=self._meter.save_memory(),
            outcome_scores=self._evaluator.outcomes.scores,
            extra_width=self._extra_width,
            wave=self._saved_wave(),
            root_selection=self._root_chooser.save() if self._root_chooser else None,
            root=self.root,
        ).to_bytes(self._meter.with_transcript)

    def _saved_wave(self) -> list[tuple[int, int, int]] | None:
        if self._wave is None:
            return None
        numbers = {node: number for number, node in enumerate(walk(self.root))}
        return [(numbers[node], wanted, self._wave.before[node]) for node, wanted in self._wave.wanted.items()]

    @staticmethod
    def from_bytes(data: bytes, simulator: Simulator, config: MCTSConfig) -> TreeSearch:
        """Returns the search that `to_bytes` wrote. The simulator must have the same models, critics and rules.

        Raises StateError for other bytes, ValueError where the search was begun with other settings.
        """
        saved = SavedSearch.from_bytes(data)
        if saved.settings != (settings := config.record()):
            raise ValueError(f"expected a search with the settings {settings}, got one with {saved.settings}")
        search = TreeSearch(simulator, config, saved.root, saved.seed, saved.budget)
        search._restore(saved)
        return search

    def _restore(self, saved: SavedSearch) -> None:
        self._meter.add(saved.usage)
        self._meter.restore_memory(saved.read)
        for trajectory in finished_trajectories(self.root):
            if trajectory.transcript is not None:
                self._meter.keep(trajectory.state, trajectory.transcript)
        self._evaluator.outcomes.scores.update(saved.outcome_scores)
        self._extra_width = saved.extra_width
        if self._trace:
            self._trace.resume_from(saved.usage.simulations)
        if saved.wave is not None:
            nodes = list(walk(self.root))
            self._wave = Wave(
                {nodes[number]: wanted for number, wanted, _ in saved.wave},
                {nodes[number]: before for number, _, before in saved.wave},
            )
        if self._config.descent.root_selection:
            self._root_chooser = self._config.descent.root_selection.start(self._seed, saved.root_selection)

    @contextlib.contextmanager
    def _working(self) -> Generator[None]:
        """Charges model work and time to the search's meter, and turns a ServerError into SearchInterruptedError."""
        is_counting = active_meter() is self._meter
        with contextlib.nullcontext() if is_counting else metering(self._meter), self._meter.timed():
            try:
                yield
            except ServerError as error:
                raise SearchInterruptedError(str(error), self) from error

    def _result(self, best: Trajectory) -> PlanResult:
        root, finished = self.root, tuple(finished_trajectories(self.root))
        result = PlanResult(root.state, best, finished, self.usage, root, root_options(root), self._trace)
        return with_transcripts(result, self._meter)

    async def _simulate(self, until: float) -> None:
        """Runs waves until `until` simulations are done in total, or the search is over."""
        await self._evaluator.evaluate_root(self.root)
        while self._wave is not None or (self._meter.usage.simulations < until and not self.is_over):
            await self._run_wave()

    async def _run_wave(self) -> None:
        """Runs one wave. After a failure the next call resumes the same wave, with the children it has so far."""
        if self._wave is None:
            self._wave = self._select()
        wave = self._wave
        lacking = {node: missing for node in wave.wanted if (missing := wave.missing(node)) > 0}
        sampling, positions = self._config.sampling, self._positions
        await gather([grow(self._simulator, node, num, sampling, positions) for node, num in lacking.items()])
        children = wave.children()
        await self._evaluator.evaluate([child for child in children if child.score is None and child.same_as is None])
        await self._evaluate_merged(wave)
        self._back_up(wave, children)
        self._wave = None
        if self._trace:
            self._trace.end_wave(self._meter.usage.simulations, wave.wanted, children)
        self._meter.simulated(max(1, len(children)))

    async def _evaluate_merged(self, wave: Wave) -> None:
        """Evaluates the texts that were merged into siblings, and corrects what was backed up for these."""
        nodes = [child for node in wave.wanted for child in node.children if child.num_evaluated < len(child.members)]
        descent, rules = self._config.descent, self._simulator.rules
        for node, score in await self._evaluator.evaluate_merged(nodes) if nodes else ():
            if node.visit_count:
                rescore(node, score, self._gamma, rules.discount_per_token, descent.backup, rules.option_rule)
            node.score = score

    def _has_work(self) -> bool:
        """Returns whether simulations find anything new. An exhausted tree is widened first where `widens` is set."""
        if self._meter.usage.simulations >= self._config.max_simulations or self._is_sure():
            return False
        if not self.root.is_exhausted:
            return True
        return (self._config.width.widens and self._widen()) or self._wake()

    def _is_sure(self) -> bool:
        stop_at, scores = self._config.stop_at, self._evaluator.outcomes.scores
        return stop_at is not None and any(score >= stop_at for score in scores.values())

    def _wake(self) -> bool:
        """Returns whether nodes below c_min draw again, now that nothing else is left: they rest without evidence."""
        limits = self._config.width.limits
        resting = [n for n in walk(self.root) if n.is_resting and not n.is_saturated and len(n.children) < limits(n)[0]]
        for node in resting:
            node.rest_until = 0
        if resting:
            self.update_exhausted()
        return not self.root.is_exhausted

    def _widen(self) -> bool:
        """Returns whether some node wants a child after n(s) was raised everywhere, one at a time and up to c_max.

        Differs: AlphaLLM does not say what a search does with budget that is left when its tree is exhausted.
        """
        width = self._config.width
        while self.root.is_exhausted and self._extra_width < max(width.c_max_root, width.c_max):
            self._extra_width += 1
            self.update_exhausted()
        return not self.root.is_exhausted

    def update_exhausted(self) -> None:
        """Recomputes `is_exhausted` of all nodes, as is needed once the width or the root has changed."""
        nodes = list(walk(self.root))[::-1]
        is_settled = False
        while not is_settled:  # an alias may stand below the node that it is the same as in no order
            before = [node.is_exhausted for node in nodes]
            for node in nodes:
                other = node.same_as
                node.is_exhausted = self._has_nothing_new(node) if other is None else other.is_exhausted
            is_settled = before == [node.is_exhausted for node in nodes]

    def _has_nothing_new(self, node: Node) -> bool:
        """Returns whether the node wants no child and its children are exhausted."""
        wants_child = self._config.width.wants_child(node, self._extra_width)
        return not wants_child and all(child.is_exhausted for child in node.children)

    def _select(self) -> Wave:
        """Returns the nodes that the next simulations expand, chosen one by one under virtual loss."""
        left = self._num_left()
        wanted: dict[Node, int] = {}
        for _ in range(self._config.leaves_in_flight):
            node = self._descend()
            if node is None or left < 1:
                break
            num_children = min(left, self._num_to_expand(node))
            left -= num_children
            node.num_pending += num_children
            wanted[node] = wanted.get(node, 0) + num_children
            _add_virtual_loss(node, num_children)
            if self._trace:
                self._trace.end_descent(node, num_children)
        return Wave(wanted)

    def _num_left(self) -> int:
        """Returns how many simulations the budget allows, by the mean cost of one so far."""
        budget, usage = self.budget, self._meter.usage
        left = self._config.max_simulations - usage.simulations
        if budget.simulations is not None:
            left = min(left, budget.simulations - usage.simulations)
        return int(min(left, max(1, budget.affordable(usage, usage.simulations))))

    def _descend(self) -> Node | None:
        """Returns the first node on the way down that wants a child; None where all below is exhausted or in flight."""
        node, descent, chooser = self.root, self._config.descent, self._root_chooser
        wants_child, extra_width, trace = self._config.width.wants_child, self._extra_width, self._trace
        record = None
        if trace:
            trace.begin_descent(extra_width)
            record = trace.add_choice
        while not wants_child(node, extra_width):
            searchable = [child for child in node.children if not child.is_exhausted]
            if not searchable:
                return None
            if chooser is not None and node is self.root:
                candidates = Candidates(node, searchable)
                node = chooser.choose(candidates)
                if record:
                    record(candidates, None, node)
            else:
                node = select_child(node, searchable, descent.selection, descent.c, record)
            node = node.same_as or node
        return node

    def _num_to_expand(self, node: Node) -> int:
        """Returns 1, or as many as the node still lacks of its first c_min children, up to a batch."""
        min_children, _ = self._config.width.limits(node)
        missing = min_children - len(node.children) - node.num_pending
        return max(1, min(self._config.sampling.expansion_batch, missing))

    def _back_up(self, wave: Wave, children: list[Node]) -> None:
        """Backs up the children's scores, removes the virtual losses, and marks what is exhausted."""
        descent, rules = self._config.descent, self._simulator.rules
        for child in children:
            child.is_exhausted = child.is_terminal
        for node, num_children in wave.wanted.items():
            siblings = [child for child in node.children[wave.before[node] :] if child.same_as is None]
            scores = [child.score for child in siblings if child.score is not None]
            backup(siblings, scores, self._gamma, rules.discount_per_token, descent.backup, rules.option_rule)
            node.num_pending = 0
            _add_virtual_loss(node, -num_children)
        for child in children:
            if child.same_as is not None:
                link(child, descent.backup, self._discount_to)
        for node in wave.wanted:
            self._close(node)

    def _discount_to(self, node: Node) -> float:
        rules = self._simulator.rules
        return discount_to(node, self._gamma, rules.discount_per_token, rules.option_rule)

    def _close(self, node: Node) -> None:
        """Marks `node` and those above it as exhausted, up to the first that is not."""
        for above in node.path():
            if not self._has_nothing_new(above):
                return
            above.is_exhausted = True
            for alias in above.aliases:
                alias.is_exhausted = True
                if alias.parent is not None:
                    self._close(alias.parent)

    async def _answer(self) -> Trajectory:
        """Returns the trajectory that the answer rule chooses, completed if need be."""
        choice = self._config.answer_rule(self.root)
        return await self._complete(choice) if isinstance(choice, Node) else choice

    async def _complete(self, node: Node) -> Trajectory:
        """Returns the policy's greedy completion of the node's state, scored like any other leaf."""
        options = await self._simulator.propose(node.state, 1, node.seed, to_the_end=True, temperature=0.0)
        leaf = Node(self._simulator.next_state(node.state, options[0]), node, seed=node.seed)
        await self._evaluator.evaluate([leaf])
        node.finished += leaf.finished
        return leaf.finished[0]


def _add_virtual_loss(node: Node, num_simulations: int) -> None:
    above: Node | None = node
    while above is not None:
        above.virtual_loss += num_simulations
        above = above.parent
