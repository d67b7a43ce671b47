"""Step beams: partial solutions side by side, of which a critic keeps the best after every step."""

from __future__ import annotations

from typing import Any

from agents.field.rounds import Round, RoundsPlanner
from alphallm_env.runtime.concurrency import gather
from alphallm_env.types import State


class StepBeam(RoundsPlanner):
    """Beam search over options (Xie et al. 2023), and with several trees DVTS (Beeching et al. 2024).

    Each round grows `num_trees` beams from the start, which never mix. After every step a beam keeps the `width` states
    that the critic scores highest among `expansions` options of each. Options of one text count once. The budget is
    looked at after every step.
    """

    name = "step_beam"

    def __init__(self, width: int = 4, expansions: int = 4, num_trees: int = 1, **settings: Any) -> None:
        for name, number in (("width", width), ("expansions", expansions), ("num_trees", num_trees)):
            if number < 1:
                raise ValueError(f"{name} must be >= 1, got {number}")
        super().__init__(**settings)
        self.width = width
        self.expansions = expansions
        self.num_trees = num_trees

    async def play(self, this: Round) -> list[State]:
        """Returns the ends of all beams of one round, and where the budget cut them, their best running states."""
        beams = [[this.start] for _ in range(self.num_trees)]
        ended: list[State] = []
        while any(beams):
            grown = await gather(self._grown(this, tree, beam) for tree, beam in enumerate(beams) if beam)
            ended += [state for states in grown for state in states if state.ending is not None]
            running = [[state for state in states if state.ending is None] for states in grown]
            if not this.may_go_on:
                return [*(state for states in running for state in states), *ended]
            scores = iter(await this.simulator.score(self.critic, [state for states in running for state in states]))
            beams = [self._best(states, [next(scores) for _ in states]) for states in running]
        return ended

    async def _grown(self, this: Round, tree: int, beam: list[State]) -> list[State]:
        """Returns the states one step after those of a beam, each text once."""
        first = (this.number * self.num_trees + tree) * self.expansions
        found = await gather(
            this.sampler.step(state, first + draw) for state in beam for draw in range(self.expansions)
        )
        return list({state.text: state for state in found if state is not None}.values())

    def _best(self, states: list[State], scores: list[float]) -> list[State]:
        ranked = sorted(range(len(states)), key=lambda place: -scores[place])
        return [states[place] for place in ranked[: self.width]]


def dvts(num_trees: int = 4, expansions: int = 4, **settings: Any) -> StepBeam:
    """Returns diverse verifier tree search: trees that each follow their best step, and never compete."""
    return StepBeam(1, expansions, num_trees, **{"name": "dvts", **settings})
