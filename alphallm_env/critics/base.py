"""What a critic is: one number in [0, 1] per state, in order, or an error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from alphallm_env.errors import CriticError
from alphallm_env.types import Option, State


@runtime_checkable
class Critic(Protocol):
    """Estimates how likely each state is to end in a correct answer, or how good its last option is.

    Value function, PRM, ORM, verifier and mixes of them are all asked this way. One that has a property
    `provenance` tells where its scores come from (`provenance.py`).
    """

    @property
    def name(self) -> str:
        """What a run's record calls this critic."""
        ...

    async def evaluate(self, states: Sequence[State]) -> list[float]:
        """Returns one value in [0, 1] per state, in the given order. Raises CriticError if it cannot."""
        ...


def checked_scores(scores: Sequence[float], states: Sequence[State], name: str) -> list[float]:
    """Returns `scores` as they are. Raises CriticError unless there is one in [0, 1] for each state."""
    if len(scores) != len(states):
        raise CriticError(f"critic {name} must give {len(states)} scores, got {len(scores)}")
    for score in scores:
        if math.isnan(score) or not 0.0 <= score <= 1.0:
            raise CriticError(f"critic {name} must score in [0, 1], got {score}")
    return list(scores)


def last_option(state: State) -> tuple[State, Option]:
    """Returns what a PRM judges: the state before the last option, and that option.

    Raises CriticError at an initial state.
    """
    if state.parent is None or state.option is None:
        raise CriticError("a PRM judges the last option; expected a state after one, got an initial state")
    return state.parent, state.option
