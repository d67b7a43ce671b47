"""What an environment pays for an option, and how a finished solution is graded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from alphallm_env.simulator import Simulator
from alphallm_env.types import Ending, Problem, State

RewardSource = Literal["critics", "verifier"]
REWARD_SOURCES: tuple[str, ...] = get_args(RewardSource)

CORRECT = "correct"
UNANSWERED = "unanswered"  # the episode ended without a final answer
NO_GOLD = "no_gold"  # the problem has no gold answer to compare with


@dataclass(frozen=True, slots=True)
class Reward:
    """The reward of one step by its components; at most one differs from 0. All but `invalid` are in [0, 1]."""

    prm: float = 0.0
    orm: float = 0.0
    verifier: float = 0.0
    invalid: float = 0.0  # what an invalid action costs, <= 0

    @property
    def total(self) -> float:
        """What `step` returns."""
        return self.prm + self.orm + self.verifier + self.invalid


async def critics_rewards(simulator: Simulator, states: Sequence[State]) -> list[Reward]:
    """Returns by state the PRM's score of the last option, or the ORM's of the whole solution once it is answered.

    A dead end stated no answer, so it is worth 0 and no critic is asked. An episode that a budget cut is
    not finished: its last option is scored as any other.
    """
    answered = [state for state in states if state.ending is Ending.ANSWERED]
    others = [state for state in states if state.ending not in (Ending.ANSWERED, Ending.DEAD_END)]
    orm, prm = await simulator.score("orm", answered), await simulator.score("prm", others)
    rewards = {state: Reward(orm=score) for state, score in zip(answered, orm, strict=True)}
    rewards |= {state: Reward(prm=score) for state, score in zip(others, prm, strict=True)}
    return [rewards.get(state, Reward()) for state in states]


def verdict_on(state: State, problem: Problem) -> str:
    """Returns how an ended episode compares with the gold answer, "" while it runs.

    It is correct, incorrect, ungradable (the grader could not decide), unanswered or no_gold.
    """
    from alphallm_env.grading import extract_answer, grade

    if state.ending is None:
        return ""
    if state.ending is not Ending.ANSWERED:
        return UNANSWERED
    if problem.answer is None:
        return NO_GOLD
    return grade(extract_answer(state.text), problem.answer).value
