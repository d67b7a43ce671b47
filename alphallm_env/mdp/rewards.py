"""The reward of an option: reward functions by name, and the verdict on a finished solution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from alphallm_env.problems.verifiers import verifier_of
from alphallm_env.registry import Registry
from alphallm_env.types import Ending, Problem, State

CORRECT = "correct"
UNANSWERED = "unanswered"  # the episode ended without a final answer
INCORRECT = "incorrect"
NO_GOLD = "no_gold"  # the problem has neither a verifier nor a gold answer to compare with


@dataclass(frozen=True, slots=True)
class Reward:
    """The reward of one step by its components."""

    prm: float = 0.0  # the PRM's score of the option, in [0, 1]
    orm: float = 0.0  # the ORM's score of the whole solution, in [0, 1]
    verifier: float = 0.0  # 1 for a correct answer
    before: float = 0.0  # minus what the state before was worth, where options earn gains
    invalid: float = 0.0  # what an invalid action costs, <= 0
    other: float = 0.0  # all other components

    @property
    def total(self) -> float:
        """What `step` returns."""
        return self.prm + self.orm + self.verifier + self.before + self.invalid + self.other


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
        """Whether every problem must be gradable: an environment refuses other problems when it is made."""
        ...

    def critics_for(self, state: State) -> Sequence[str]:
        """Returns those of `critics` whose scores of `state` the reward depends on."""
        ...

    def reward(self, state: State, problem: Problem, scores: Mapping[str, float]) -> Reward:
        """Returns the reward of the last option of `state`. `scores` holds at least those of `critics_for(state)`."""
        ...


@runtime_checkable
class PaysGains(Protocol):
    """A reward function whose `reward` is the worth of a state: an option earns what it adds to that (`gain`).

    The initial state is worth 0, and so is one where an episode stops without a worth of its own.
    """

    @property
    def pays_gains(self) -> bool:
        """Whether options earn gains; False is as good as no such property."""
        ...


def pays_gains(function: RewardFunction) -> bool:
    """Returns whether the options of a reward function earn gains of worth."""
    return isinstance(function, PaysGains) and function.pays_gains


def gain(before: Reward, after: Reward, discount: float) -> Reward:
    """Returns the reward of an option between two states of these worths: γ^τ · worth(s') − worth(s).

    Potential-based shaping with the worth as the potential (Ng, Harada & Russell 1999; for options of τ tokens the
    discount of the semi-MDP). Discounted, the rewards of an episode telescope to γ^T · worth(s_T), whatever the states
    between were worth and wherever its text is cut into options: by tokens exactly, by options for γ = 1.

    >>> gain(Reward(prm=0.5), Reward(orm=0.75), discount=0.5).total
    -0.125
    """
    return replace(after, before=after.before + (discount - 1.0) * after.total - before.total)


@dataclass(frozen=True)
class CriticsReward:
    """The PRM's score of each option, and the ORM's of the whole solution once that states its answer: AlphaLLM's.

    Its sum grows with the number of options: a line that is repeated earns its score again. `PotentialReward`'s does
    not.

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
class PotentialReward(CriticsReward):
    """What an option adds to the worth of the solution: the PRM's score while it runs, the ORM's once it is answered.

    A start, a dead end and an episode that a budget cut are worth 0: where an episode ends without an answer the
    potential must be 0, or shaping changes which policy is best (Grzes 2017). So the discounted return of an episode is
    γ^T · ORM, or 0 without an answer; T counts options, or tokens. The PRM's scores pay parts of it in advance and no
    more: neither a repeated line nor another cut into options is paid.
    """

    pays_gains: bool = True

    def reward(self, state: State, problem: Problem, scores: Mapping[str, float]) -> Reward:
        """Returns the worth of a state: the score of the critic that `critics_for` names, 0 for a cut solution."""
        found = super().reward(state, problem, scores)
        is_cut = state.ending is not None and state.ending is not Ending.ANSWERED
        return replace(found, before=-found.prm) if is_cut else found


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
    "reward", {"potential": PotentialReward(), "critics": CriticsReward(), "verifier": VerifierReward()}, as_reward
)


def verdict_on(state: State, problem: Problem) -> str:
    """Returns the verdict on an ended episode's text, "" while it runs."""
    return "" if state.ending is None else verdict_of(state.text, problem)


def verdict_of(text: str, problem: Problem) -> str:
    """Returns whether a text solves a problem, however the text came to its end.

    The problem's verifier decides from the question alone; without one, what the text answers is compared with the gold
    answer. It is correct, incorrect, ungradable (the grader could not decide), unanswered or no_gold.
    """
    from alphallm_env.grading import extract_answer, grade

    answer = extract_answer(text)
    if answer is None:
        return UNANSWERED
    if problem.verifier:
        is_correct = verifier_of(problem.verifier).is_correct(problem.question, text, answer)
        return CORRECT if is_correct else INCORRECT
    return NO_GOLD if problem.answer is None else grade(answer, problem.answer).value
