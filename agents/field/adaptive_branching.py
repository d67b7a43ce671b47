"""Adaptive branching: Thompson sampling decides at every node whether the tree grows wider or deeper."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from agents.field.rounds import Round, RoundsPlanner
from alphallm_env.runtime.seeds import derive_seed
from alphallm_env.types import State

PRIOR = 0.5  # of both parameters of a Beta distribution: Jeffreys' prior


class Branch:
    """A state of the tree, with the scores of all solutions that were completed at it or below it."""

    def __init__(self, state: State, parent: Branch | None = None) -> None:
        self.state = state
        self.parent = parent
        self.children: list[Branch] = []
        self.scores: list[float] = []  # the first one is that of its own completion

    def path(self) -> Iterator[Branch]:
        """Yields the branch and those above it, up to the root."""
        branch: Branch | None = self
        while branch is not None:
            yield branch
            branch = branch.parent


class AdaptiveBranching(RoundsPlanner):
    """AB-MCTS with Beta posteriors (Inoue et al. 2025, AB-MCTS-A).

    A round descends from the root. At every node an arm stands for each child, whose rewards are the scores of all
    completions below it, and one for a new child, whose rewards are the first scores of the children so far. The arm
    with the highest draw from Beta(1/2 + Σ r, 1/2 + Σ (1 − r)) is taken. A new child is one option longer; the policy
    completes it, and the ORM's score of the solution counts for all nodes above.

    Differs: there a node is a whole answer that its children refine; here it is a part of a solution.
    """

    name = "ab_mcts"

    def remember(self, start: State) -> Branch:
        """Returns the root of the tree."""
        return Branch(start)

    async def play(self, this: Round) -> list[State]:
        """Returns the solution that was completed below a new node; nothing where no option was sound."""
        branch: Branch = this.memory
        rng = Random(derive_seed(this.sampler.seed, "ab_mcts", this.number))
        while (chosen := choose(branch, rng)) is not None:
            branch = chosen
        state = await this.sampler.step(branch.state, this.number)
        if state is None:
            return []
        child = next((old for old in branch.children if old.state.text == state.text), None)
        if child is None:
            child = Branch(state, branch)
            branch.children.append(child)
        end = state if state.ending is not None else await this.sampler.solution(state, this.number)
        [score] = await this.outcomes.score([end])
        for above in child.path():
            above.scores.append(score)
        return [end]


def choose(branch: Branch, rng: Random) -> Branch | None:
    """Returns the child to descend to, None for a new one. An ended child is no arm: nothing comes below it."""
    new = rng.betavariate(*posterior([child.scores[0] for child in branch.children]))
    drawn = [
        (rng.betavariate(*posterior(child.scores)), -place)
        for place, child in enumerate(branch.children)
        if child.state.ending is None
    ]
    best, place = max(drawn, default=(0.0, 0))
    return branch.children[-place] if best > new else None


def posterior(scores: list[float]) -> tuple[float, float]:
    """Returns the parameters of the Beta distribution after rewards in [0, 1].

    >>> posterior([1.0, 1.0, 0.25])
    (2.75, 1.25)
    """
    total = sum(scores)
    return PRIOR + total, PRIOR + len(scores) - total
