"""The protocol of critics, one number in [0, 1] per state or an error, and the three critics of a simulator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from alphallm_env.critics.provenance import Provenance, provenance_of
from alphallm_env.errors import CriticError
from alphallm_env.lm.base import LanguageModel, clear_caches, is_reproducible
from alphallm_env.types import Option, State


@runtime_checkable
class Critic(Protocol):
    """Estimates how likely each state is to end in a correct answer, or how good its last option is.

    Value function, PRM, ORM, verifier and mixes of them share this interface. Optional capabilities are
    declared by further protocols: `HasProvenance` (`provenance.py`), `HasCache` and `is_reproducible` (`lm/base.py`).
    """

    @property
    def name(self) -> str:
        """The critic's name in the record of a run."""
        ...

    async def evaluate(self, states: Sequence[State]) -> list[float]:
        """Returns one value in [0, 1] per state, in the given order. Raises CriticError if it cannot."""
        ...


@runtime_checkable
class HasSolvers(Protocol):
    """A critic, or a part of one, that declares the language models in it: what could solve a problem by itself."""

    @property
    def solvers(self) -> tuple[LanguageModel, ...]:
        """The models, each once."""
        ...


def solvers_among(*parts: object | None) -> tuple[LanguageModel, ...]:
    """Returns the language models among parts of critics, and those in them, each once."""
    found: dict[int, LanguageModel] = {}
    for part in parts:
        models = (part,) if isinstance(part, LanguageModel) else part.solvers if isinstance(part, HasSolvers) else ()
        found |= {id(model): model for model in models}
    return tuple(found.values())


class CompositeCritic(ABC):
    """A critic made of parts: the model that it queries, other critics, a note taker.

    It is reproducible if all its parts are, and clears their caches.
    """

    name: str

    def __init__(self, *parts: object | None) -> None:
        """`parts` are all that the scores depend on; None among them is ignored."""
        self._parts = tuple(part for part in parts if part is not None)

    @property
    def is_reproducible(self) -> bool:
        """Whether a score does not depend on the other items of a batch."""
        return is_reproducible(*self._parts)

    @property
    def solvers(self) -> tuple[LanguageModel, ...]:
        """The language models among its parts."""
        return solvers_among(*self._parts)

    def clear_cache(self) -> None:
        """Clears the caches of its parts."""
        clear_caches(*self._parts)

    @abstractmethod
    async def evaluate(self, states: Sequence[State]) -> list[float]:
        """Returns one value in [0, 1] per state, in the given order. Raises CriticError if it cannot."""


def checked_scores(scores: Sequence[float], states: Sequence[State], name: str) -> list[float]:
    """Returns `scores` as they are. Raises CriticError unless there is one in [0, 1] for each state."""
    if len(scores) != len(states):
        raise CriticError(f"critic {name} must give {len(states)} scores, got {len(scores)}")
    for score in scores:
        if not 0.0 <= score <= 1.0:  # true of NaN
            raise CriticError(f"critic {name} must score in [0, 1], got {score}")
    return list(scores)


def last_option(state: State) -> tuple[State, Option]:
    """Returns the input of a PRM: the state before the last option, and that option.

    Raises CriticError at an initial state.
    """
    if state.parent is None or state.option is None:
        raise CriticError("a PRM judges the last option; expected a state after one, got an initial state")
    return state.parent, state.option


CRITIC_NAMES = ("value", "prm", "orm")


@dataclass(frozen=True)
class Critics:
    """A value function, a PRM and an ORM; None for one that is missing."""

    value: Critic | None = None
    prm: Critic | None = None
    orm: Critic | None = None

    def by_name(self) -> dict[str, Critic]:
        """Returns the critics that are not missing, under the names value, prm and orm."""
        critics = {"value": self.value, "prm": self.prm, "orm": self.orm}
        return {name: critic for name, critic in critics.items() if critic is not None}

    def require(self, name: str) -> Critic:
        """Returns the critic called value, prm or orm. Raises CriticError if it is missing."""
        if name not in CRITIC_NAMES:
            raise CriticError(f"critic must be one of {', '.join(CRITIC_NAMES)}, got {name!r}")
        critic: Critic | None = getattr(self, name)
        if critic is None:
            raise CriticError(f"a critic {name!r} is needed here, got {', '.join(self.by_name()) or 'no critics'}")
        return critic

    @property
    def solvers(self) -> tuple[LanguageModel, ...]:
        """The language models in the critics, each once."""
        return solvers_among(self.value, self.prm, self.orm)

    def provenance(self) -> dict[str, Provenance]:
        """Returns the provenance of each critic, by name, for the record of a run."""
        return {name: provenance_of(critic) for name, critic in self.by_name().items()}
