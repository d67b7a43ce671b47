"""Steps that are checked as they are drawn: what rules can tell comes before what a critic is paid for."""

from __future__ import annotations

from dataclasses import dataclass

from agents.base import UNLIMITED, Budget
from alphallm_env.runtime.metering import Meter
from alphallm_env.runtime.seeds import derive_seed
from alphallm_env.simulator import Simulator
from alphallm_env.types import State

REDRAWS = 3


def check_redraws(redraws: int | None) -> None:
    """Raises ValueError for a number of redraws that is none."""
    if redraws is not None and redraws < 0:
        raise ValueError(f"redraws must be >= 0 or None, got {redraws}")


@dataclass(frozen=True)
class StepSampler:
    """Draws the options of one search one by one, each anew where `Simulator.is_sound` refuses it.

    `redraws` is the number of further tries at a step while the budget lasts, None for no checks at all. What is
    refused is paid for, and counts as rejected.
    """

    simulator: Simulator
    seed: int
    meter: Meter
    budget: Budget = UNLIMITED
    redraws: int | None = REDRAWS
    temperature: float | None = None  # of the policy; its own where None

    def __post_init__(self) -> None:
        check_redraws(self.redraws)

    async def step(self, state: State, index: int) -> State | None:
        """Returns the state after draw `index` from a running state, None where every try was refused."""
        for attempt in range(1 + (self.redraws or 0)):
            if attempt and not self.budget.allows(self.meter.usage):
                break
            seed = derive_seed(self.seed, "redraw", attempt) if attempt else self.seed
            [option] = await self.simulator.propose(state, 1, seed, first_index=index, temperature=self.temperature)
            after = self.simulator.next_state(state, option)
            if self.redraws is None or self.simulator.is_sound(after) is not False:
                return after
            self.meter.rejected(option.num_tokens)
        return None

    async def solution(self, state: State, index: int, *, by_steps: bool = False) -> State:
        """Returns the end of sample `index`, or its last sound state where it cannot go on: it has no answer then.

        Without checks the rest is one option, unless it is asked for `by_steps`.
        """
        if self.redraws is None and not by_steps:
            options = await self.simulator.propose(
                state, 1, self.seed, first_index=index, to_the_end=True, temperature=self.temperature
            )
            return self.simulator.next_state(state, options[0])
        while state.ending is None:
            after = await self.step(state, index)
            if after is None:
                break
            state = after
        return state
