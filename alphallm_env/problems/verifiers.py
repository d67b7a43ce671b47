"""Verifiers by name: they judge a solution by its question alone, where a problem set has no gold answers."""

from __future__ import annotations

from collections.abc import Hashable
from functools import cache
from typing import Protocol, cast, runtime_checkable

from alphallm_env.registry import Registry
from alphallm_env.types import State


@runtime_checkable
class ProblemVerifier(Protocol):
    """Judges lines and whole solutions from the question alone. `Problem.verifier` names it."""

    def is_legal(self, question: str, text: str) -> bool:
        """Returns whether every line of an unfinished or finished solution is legal. Free: any planner may use it."""
        ...

    def is_correct(self, question: str, text: str, answer: str) -> bool:
        """Returns whether a finished solution, which states `answer`, solves the question."""
        ...


@runtime_checkable
class HasPositions(Protocol):
    """A verifier that says what is left to do: of two texts at one position, what completes one completes the other."""

    def position(self, question: str, text: str) -> Hashable | None:
        """Returns what is left to do after the lines of an unfinished solution, None where a line is not legal."""
        ...


def _as_verifier(found: object) -> ProblemVerifier:
    """Returns a verifier; calls a class without arguments to make one. Raises TypeError for anything else."""
    made = cast(object, found()) if isinstance(found, type) else found
    if not isinstance(made, ProblemVerifier):
        raise TypeError(f"expected a verifier with is_legal and is_correct, got {made!r}")
    return made


VERIFIERS: Registry[ProblemVerifier] = Registry(
    "verifier", {"countdown": "alphallm_env.problems.countdown.verifier:CountdownVerifier"}, _as_verifier
)


@cache
def verifier_of(name: str) -> ProblemVerifier:
    """Returns the verifier of that name, made once. Raises ValueError, which lists the names, for an unknown one."""
    return VERIFIERS.resolve(name)


def position_of(state: State) -> Hashable | None:
    """Returns what is left to do at a running state; None where its problem's verifier does not tell, and at an end."""
    if not state.verifier or state.ending is not None:
        return None
    verifier = verifier_of(state.verifier)
    return verifier.position(state.question, state.text) if isinstance(verifier, HasPositions) else None


def is_legal(state: State) -> bool | None:
    """Returns whether every line of a state is legal, as its problem's verifier reads it; None without one."""
    return verifier_of(state.verifier).is_legal(state.question, state.text) if state.verifier else None
