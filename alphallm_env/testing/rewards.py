"""The contract of reward functions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields

from alphallm_env.critics.base import CRITIC_NAMES
from alphallm_env.mdp.dynamics import Rules, initial_state, transition
from alphallm_env.mdp.rewards import Reward, RewardFunction
from alphallm_env.types import Option, Problem, State, StopReason

PROBLEM = Problem("reward/1", "Ann has 2 pens and buys 3 more. How many pens does Ann have?", "5")
_LINE, _ANSWER, _WRONG = "2 + 3 = 5\n", "#### 5\n", "#### 6\n"


def states_to_reward(problem: Problem = PROBLEM) -> list[State]:
    """Returns states of each kind after an option: running, answered right and wrong, a dead end, out of budget."""
    start = initial_state(problem)

    def after(state: State, text: str, stop: StopReason = StopReason.RULE, rules: Rules | None = None) -> State:
        return transition(state, Option(text, len(text.split()), None, stop), rules or Rules()).state

    running = after(start, _LINE)
    return [
        running,
        after(running, _ANSWER),
        after(running, _WRONG),
        after(running, "That is all.", StopReason.END_OF_TEXT),
        after(running, _LINE, rules=Rules(max_options=2)),
    ]


def check_reward(reward: RewardFunction, states: Sequence[State] | None = None, problem: Problem = PROBLEM) -> None:
    """Checks that each state has one finite reward, the sum of its components, which depends on what it declares.

    It must need no critic's score but those that `critics_for` names, and be the same for the same arguments.
    """
    unknown = set(reward.critics) - set(CRITIC_NAMES)
    assert not unknown, f"critics must be of {', '.join(CRITIC_NAMES)}, got {sorted(unknown)}"
    for state in states_to_reward(problem) if states is None else states:
        named = tuple(reward.critics_for(state))
        undeclared = set(named) - set(reward.critics)
        assert not undeclared, f"critics_for must name critics of {reward.critics}, got {sorted(undeclared)}"
        scores = {name: 0.25 + 0.25 * index for index, name in enumerate(CRITIC_NAMES)}
        found = _paid(reward, state, problem, {name: scores[name] for name in named})
        components = sum(getattr(found, field.name) for field in fields(found))
        assert math.isclose(found.total, components), f"total must be the sum of the components, got {found}"
        assert math.isfinite(found.total), f"a reward must be finite, got {found}"
        again = _paid(reward, state, problem, {name: scores[name] for name in named})
        assert again == found, f"the same arguments must give the same reward, got {found}, then {again}"
        others = _paid(reward, state, problem, scores)
        assert others == found, f"a reward must depend on the scores of {named} only: {found}, and {others} with others"


def _paid(reward: RewardFunction, state: State, problem: Problem, scores: Mapping[str, float]) -> Reward:
    try:
        found = reward.reward(state, problem, scores)
    except KeyError as error:
        raise AssertionError(f"critics_for must name every critic needed, got {list(scores)}: {error}") from error
    assert isinstance(found, Reward), f"expected a Reward, got {found!r}"  # pyright: ignore[reportUnnecessaryIsInstance]
    return found
