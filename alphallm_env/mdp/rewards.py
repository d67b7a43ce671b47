"""The reward of an option: reward functions by name, and the verdict on a finished solution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from alphallm_env.registry import Registry
from alphallm_env.types import Ending, Problem, State

CORRECT = "correct"
UNANSWERED = "unanswered"  # the episode ended without a final answer
NO_GOLD = "no_gold"  # the problem has no gold answer to compare with


@dataclass(frozen=True, slots=True)
class Reward:
    """The reward of one step by its components."""

    prm: float = 0.0  # the PRM's score of the option, in [0, 1]
    orm: float = 0.0  # the ORM's score of the whole solution, in [0, 1]
    verifier: float = 0.0  # 1 for a correct answer
    invalid: float = 0.0  # what an invalid action costs, <= 0
    other: float = 0.0  # all other components

    @property
    def total(self) -> float:
        """What `step` returns."""
        return self.prm + self.orm + self.verifier + self.invalid + self.other


@runtime_checkable
class RewardFunction(Protocol):
    """Computes the reward of an option from the state after it, critics' scores and the problem.

    It is a pure function: the environment asks the critics, for many episodes in one batch, and passes their scores.
    Plain attributes satisfy the properties.
    """

    @property
    def critics(self) -> tuple[str, ...]:
        """The critics that it may need, of value, prm and orm. Without any, an episode needs no model."""
        ...

    @property
    def needs_answers(self) -> bool:
        """Whether every problem must have a gold answer: an environment refuses other problems when it is made."""
        ...

    def critics_for(self, state: State) -> Sequence[str]:
        """Returns those of `critics` whose scores of `state` the reward depends on."""
        ...

    def reward(self, state: State, problem: Problem, scores: Mapping[str, float]) -> Reward:
        """Returns the reward of the last option of `state`. `scores` holds at least those of `critics_for(state)`."""
        ...


@dataclass(frozen=True)
class CriticsReward:
    """The PRM's score of each option, and the ORM's of the whole solution once that states its answer.

    A dead end states no answer, so it is worth 0 and no critic is asked. An episode that a budget cut is not
    finished: its last option is scored as any other.
    """

    critics: tuple[str, ...] = ("orm", "prm")
    needs_answers: bool = False

    def critics_for(self, state: State) -> Sequence[str]:
        """Returns the ORM for a solution that states its answer, no critic for a dead end, else the PRM."""
        if state.ending is Ending.DEAD_END:
            return ()
        return ("orm",) if state.ending is Ending.ANSWERED else ("prm",)

    def reward(self, state: State, problem: Problem, scores: Mapping[str, float]) -> Reward:  # noqa: ARG002
        """Returns the score of the critic that `critics_for` names, 0 without one."""
        asked = self.critics_for(state)
        return Reward(prm=scores["prm"] if "prm" in asked else 0.0, orm=scores["orm"] if "orm" in asked else 0.0)


@dataclass(frozen=True)
class VerifierReward:
    """1 for the option that completes a correct answer, else 0."""

    critics: tuple[str, ...] = ()
    needs_answers: bool = True

    def critics_for(self, state: State) -> Sequence[str]:  # noqa: ARG002
        """Returns nothing: no model is asked."""
        return ()

    def reward(self, state: State, problem: Problem, scores: Mapping[str, float]) -> Reward:  # noqa: ARG002
        """Returns 1 where the grader finds the answer correct."""
        return Reward(verifier=float(verdict_on(state, problem) == CORRECT))


def as_reward(found: object) -> RewardFunction:
    """Returns a reward function; calls a class or function without arguments to make one.

    Raises TypeError for anything else.
    """
    made = found() if isinstance(found, type) or (callable(found) and not isinstance(found, RewardFunction)) else found
    if not isinstance(made, RewardFunction):
        raise TypeError(f"expected a RewardFunction with critics, needs_answers, critics_for and reward, got {made!r}")
    return made


REWARDS: Registry[RewardFunction] = Registry(
    "reward", {"critics": CriticsReward(), "verifier": VerifierReward()}, as_reward
)


def verdict_on(state: State, problem: Problem) -> str:
    """Returns how an ended episode compares with the gold answer, "" while it runs: the verdict on its text."""
    return "" if state.ending is None else verdict_of(state.text, problem)


def verdict_of(text: str, problem: Problem) -> str:
    """Returns how what a text answers compares with the gold answer, however the text came to its end.

    It is correct, incorrect, ungradable (the grader could not decide), unanswered or no_gold.
    """
    from alphallm_env.grading import extract_answer, grade

    answer = extract_answer(text)
    if answer is None:
        return UNANSWERED
    return NO_GOLD if problem.answer is None else grade(answer, problem.answer).value
