"""Evaluation: scores leaves by the value critic, the PRM, and rollouts that the ORM judges."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass

from agents.tree.node import Node
from alphallm_env.critics.monte_carlo import MonteCarloValue
from alphallm_env.grading import extract_answer
from alphallm_env.mdp.discounting import discount_between
from alphallm_env.runtime.concurrency import gather
from alphallm_env.simulator import Simulator
from alphallm_env.types import Ending, ScoreKind, State, Trajectory


@dataclass(frozen=True)
class LeafScoring:
    """The settings of a leaf's score: a weight for each critic. A weight of 0 switches it off: it is never asked.

    `beta_orm = 0` also switches off the rollouts; `num_rollouts = 0` alone leaves the ORM to ended texts.
    """

    beta_value: float = 1.0
    beta_prm: float = 1.0
    beta_orm: float = 1.0
    num_rollouts: int = 4  # per leaf
    rollout_temperature: float | None = None  # the rollout model's own where None

    def __post_init__(self) -> None:
        for name in ("beta_value", "beta_prm", "beta_orm", "num_rollouts"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be >= 0, got {getattr(self, name)}")
        if not (self.beta_value or self.beta_prm or self.uses_rollouts):
            raise ValueError(f"expected something that scores a running state, got {self}")

    @property
    def uses_rollouts(self) -> bool:
        """Whether leaves are rolled out to the end."""
        return self.beta_orm > 0 and self.num_rollouts > 0


def weighted_score(terms: Sequence[tuple[float, float]]) -> float:
    """Returns Σ β · score / Σ β over pairs (β, score).

    With (β_v, v(s)), (β_PRM, PRM(s)) and (β_ORM, mean ORM of the rollouts) this is s(s).
    Differs: AlphaLLM does not divide; divided, s(s) stays in [0, 1] and means the same whatever is
    switched on, so that one c fits all.

    >>> weighted_score([(1.0, 0.5), (3.0, 0.9)])
    0.8
    """
    total = weights = 0.0
    for beta, score in terms:
        total += beta * score
        weights += beta
    return total / weights


class OutcomeScorer:
    """Scores ended texts by the ORM, each different text of a search once. `scores` caches them by text."""

    def __init__(self, simulator: Simulator) -> None:
        self.scores: dict[str, float] = {}
        self._simulator = simulator

    async def score(self, states: Sequence[State]) -> list[float]:
        """Returns the ORM's scores, one per ended state.

        Differs: a text that states no answer is not correct: it scores 0, and no critic is asked.
        """
        known, texts = self.scores, [state.text for state in states]
        asked: dict[str, State] = {}
        for text, state in zip(texts, states, strict=True):
            if text not in known:
                if state.ending is Ending.ANSWERED:
                    asked[text] = state
                else:
                    known[text] = 0.0
        if asked:
            known.update(zip(asked, await self._simulator.score("orm", list(asked.values())), strict=True))
        return [known[text] for text in texts]


class Evaluator:
    """Scores the leaves of one search, and keeps every ended text with its score."""

    def __init__(
        self, simulator: Simulator, scoring: LeafScoring, *, needs_values: bool, gamma: float | None = None
    ) -> None:
        """`gamma` discounts rollouts by options or tokens from the leaf to their ends: the rules' own where None."""
        self._simulator = simulator
        self._gamma = gamma
        self._scoring = scoring
        self._values_states = needs_values or scoring.beta_value > 0
        # A Monte-Carlo value is the ORM's mean over rollouts: where a leaf gets rollouts anyway, it needs no others.
        self._values_are_shared = scoring.uses_rollouts and isinstance(simulator.critics.value, MonteCarloValue)
        self.outcomes = OutcomeScorer(simulator)

    async def evaluate_root(self, root: Node) -> None:
        """Sets v of the root, against which the importance of its children is measured, unless it has one."""
        if not self._values_states or root.value is not None:
            return
        if self._values_are_shared:
            ended: dict[Node, list[State]] = {}
            await self._roll_out([root], ended)
            await self._ask_orm(ended)
            root.value = root.orm
        else:
            await self._ask_value([root])

    async def evaluate(self, leaves: Sequence[Node]) -> None:
        """Sets the critics' scores, s(s) and the finished trajectories of new leaves, in one batch."""
        judged = [leaf for leaf in leaves if self._is_judged_as_state(leaf)]
        running = [leaf for leaf in leaves if not leaf.is_terminal]
        ended: dict[Node, list[State]] = {}
        await gather(self._queries(running, judged, ended))
        ended |= {leaf: [leaf.state] for leaf in leaves if leaf.is_terminal}
        await self._ask_orm(ended)
        for leaf in leaves:
            if self._values_states and self._values_are_shared and not leaf.is_terminal:
                leaf.value = leaf.orm
            leaf.score = self._score(leaf)
            if leaf.is_terminal:
                leaf.finished = (Trajectory(leaf.state, leaf.score, score_kind=leaf.score_kind),)

    async def evaluate_merged(self, nodes: Sequence[Node]) -> list[tuple[Node, float]]:
        """Returns the new s(s) of evaluated nodes with members that were merged since, whose texts are evaluated.

        The scores of a node are the means over its different texts; a running one's rollouts are those of its first.
        Every member that has ended becomes a finished trajectory, with the score of its own text.
        """
        probes = [Node(member) for node in nodes for member in _new_texts(node)]
        judged = [probe for probe in probes if self._is_judged_as_state(probe)]
        ended = {probe: [probe.state] for probe in probes if probe.is_terminal}
        await gather(self._queries([], judged, ended))
        await self._ask_orm(ended)
        by_state = {id(probe.state): probe for probe in probes}
        return [(node, self._combined(node, by_state)) for node in nodes]

    def _combined(self, node: Node, probes: Mapping[int, Node]) -> float:
        """Takes the probes of a node's new texts into its scores, and returns s(s)."""
        num_texts = len({member.text for member in node.members[: node.num_evaluated]})
        own = {trajectory.state.text: trajectory.score for trajectory in node.finished}
        for member in node.members[node.num_evaluated :]:
            if (probe := probes.get(id(member))) is not None:
                node.value = _with_one_more(node.value, probe.value, num_texts)
                node.prm = _with_one_more(node.prm, probe.prm, num_texts)
                node.orm = _with_one_more(node.orm, probe.orm, num_texts)
                own[member.text] = self._score(probe)
                num_texts += 1
            if node.is_terminal:
                node.finished += (Trajectory(member, own[member.text], score_kind=node.score_kind),)
        node.num_evaluated = len(node.members)
        return self._score(node)

    def _queries(
        self, running: list[Node], judged: list[Node], ended: dict[Node, list[State]]
    ) -> list[Coroutine[object, object, None]]:
        """Returns the model calls that new leaves need; rollouts are put into `ended`."""
        queries: list[Coroutine[object, object, None]] = []
        if self._scoring.uses_rollouts and running:
            queries.append(self._roll_out(running, ended))
        if self._values_states and not self._values_are_shared and judged:
            queries.append(self._ask_value(judged))
        if self._scoring.beta_prm > 0 and judged:
            queries.append(self._ask_prm(judged))
        return queries

    def _is_judged_as_state(self, leaf: Node) -> bool:
        """Returns whether value critic and PRM score a leaf; an ended one only with an answer, and with the ORM off."""
        if not leaf.is_terminal:
            return True
        return self._scoring.beta_orm == 0 and extract_answer(leaf.state.text) is not None

    async def _roll_out(self, leaves: Sequence[Node], ended: dict[Node, list[State]]) -> None:
        states, seeds = [leaf.state for leaf in leaves], [leaf.seed for leaf in leaves]
        scoring = self._scoring
        found = await self._simulator.rollouts_of_each(
            states, scoring.num_rollouts, seeds, temperature=scoring.rollout_temperature
        )
        ended.update(zip(leaves, found, strict=True))

    async def _ask_value(self, leaves: Sequence[Node]) -> None:
        values = await self._simulator.score("value", [leaf.state for leaf in leaves])
        for leaf, value in zip(leaves, values, strict=True):
            leaf.value = value

    async def _ask_prm(self, leaves: Sequence[Node]) -> None:
        scores = await self._simulator.score("prm", [leaf.state for leaf in leaves])
        for leaf, score in zip(leaves, scores, strict=True):
            leaf.prm = score

    async def _ask_orm(self, ended: dict[Node, list[State]]) -> None:
        """Sets the ORM's discounted mean over the ended texts of each leaf, and keeps them as finished trajectories."""
        if self._scoring.beta_orm == 0:
            return
        scores = iter(await self.outcomes.score([state for states in ended.values() for state in states]))
        rules, gamma = self._simulator.rules, self._gamma
        for leaf, states in ended.items():
            if states:
                judged = [(state, next(scores)) for state in states]
                leaf.finished = tuple([Trajectory(state, score, None, ScoreKind.ORM) for state, score in judged])
                returns = [discount_between(leaf.state, state, rules, gamma) * score for state, score in judged]
                leaf.orm = sum(returns) / len(states)

    def _score(self, leaf: Node) -> float:
        """Returns s(s): of an ended text the ORM's score alone, 0 where it states no answer."""
        scoring = self._scoring
        if leaf.is_terminal and leaf.orm is not None:
            return leaf.orm
        terms: list[tuple[float, float]] = []
        if scoring.beta_value > 0 and leaf.value is not None:
            terms.append((scoring.beta_value, leaf.value))
        if scoring.beta_prm > 0 and leaf.prm is not None:
            terms.append((scoring.beta_prm, leaf.prm))
        if scoring.beta_orm > 0 and leaf.orm is not None:
            terms.append((scoring.beta_orm, leaf.orm))
        return weighted_score(terms) if terms else 0.0


def _new_texts(node: Node) -> list[State]:
    """Returns the members that wait to be evaluated and whose texts no other member has, each text once."""
    known = {member.text for member in node.members[: node.num_evaluated]}
    new = {member.text: member for member in reversed(node.members[node.num_evaluated :]) if member.text not in known}
    return list(new.values())[::-1]


def _with_one_more(mean: float | None, score: float | None, num: int) -> float | None:
    """Returns the mean of `num` scores and one more; `mean` itself where a critic did not score."""
    return mean if mean is None or score is None else mean + (score - mean) / (num + 1)
