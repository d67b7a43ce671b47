"""Sampling without replacement: no solution is drawn twice, and what is known of one is not written again."""

from __future__ import annotations

import math
from random import Random
from typing import Any

from agents.field.rounds import Round, RoundsPlanner
from alphallm_env.runtime.seeds import derive_seed
from alphallm_env.types import Option, State

_NOTHING = 1e-3  # of a node's probability: what is left of it is too rare to be drawn


class Branch:
    """A state in the trie of options: those drawn at it, and how much of its probability was not drawn yet."""

    def __init__(self, state: State, probability: float = 1.0) -> None:
        self.state = state
        self.probability = probability  # of its option, among all at the state before
        self.children: dict[str, Branch] = {}
        self.unseen = 1.0  # of the options that were never drawn
        self.left = 1.0  # the share of the solutions below, by probability, that were not drawn yet
        self.num_draws = 0

    def refresh(self) -> None:
        """Sets `left` anew, after what is below has changed."""
        left = self.unseen + sum(child.probability * child.left for child in self.children.values())
        self.left = left if left > _NOTHING else 0.0

    def close(self) -> None:
        """Takes all below for drawn: it has ended, or is refused."""
        self.unseen = self.left = 0.0
        self.children.clear()


class WithoutReplacement(RoundsPlanner):
    """Draws solutions one after another from the policy's distribution over those not drawn yet, until there is none.

    At each state of the trie an option that is known is taken by its probability, times the share of what is left
    below, and costs nothing; else one is drawn, and where known ones came `tries` times in a row, there are no others.
    Sequential sampling without replacement as in Shi et al. 2020 (UniqueRandomizer), over options in place of tokens.
    It follows the policy's distribution at temperature 1, at which options' probabilities are known; where they are
    not, an option counts as all that is left of its siblings.
    """

    name = "without_replacement"

    def __init__(self, tries: int = 32, **settings: Any) -> None:
        if tries < 1:
            raise ValueError(f"tries must be >= 1, got {tries}")
        super().__init__(**settings)
        self.tries = tries

    def remember(self, start: State) -> Branch:
        """Returns the trie, with nothing but the start."""
        return Branch(start)

    def has_more(self, memory: Branch) -> bool:
        """Returns whether some solution was not drawn yet."""
        return memory.left > 0.0

    async def play(self, this: Round) -> list[State]:
        """Returns a new solution, or where the budget ended or no step was sound, how far it came."""
        rng = Random(derive_seed(this.sampler.seed, "distinct", this.number))
        here: Branch = this.memory
        path = [here]
        while here.state.ending is None:
            known = list(here.children.values())
            weights = [here.unseen, *(child.probability * child.left for child in known)]
            if sum(weights) <= _NOTHING:
                here.close()
                break
            [place] = rng.choices(range(len(weights)), weights)
            drawn = known[place - 1] if place else await self._draw(this, here)
            if drawn is not None:
                here = drawn
                path.append(here)
            elif not this.may_go_on:
                break
        if here.state.ending is not None:
            here.close()
        for branch in reversed(path):
            branch.refresh()
        return [here.state]

    async def _draw(self, this: Round, at: Branch) -> Branch | None:
        """Returns a new child, None for a refused one, and where known ones came again: then there are no others."""
        for attempt in range(self.tries):
            if attempt and not this.may_go_on:
                return None
            [option] = await this.simulator.propose(
                at.state, 1, this.sampler.seed, first_index=at.num_draws, temperature=self.temperature
            )
            at.num_draws += 1
            if option.text not in at.children:
                return self._added(this, at, option)
            this.meter.rejected(option.num_tokens)
        at.unseen = 0.0
        return None

    def _added(self, this: Round, at: Branch, option: Option) -> Branch | None:
        probability = at.unseen if option.log_prob is None else min(at.unseen, math.exp(option.log_prob))
        child = at.children[option.text] = Branch(this.simulator.next_state(at.state, option), probability)
        at.unseen = max(0.0, at.unseen - probability)
        if self.redraws is None or this.simulator.is_sound(child.state) is not False:
            return child
        this.meter.rejected(option.num_tokens)
        child.close()
        return None
