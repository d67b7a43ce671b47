"""The contract of planners."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar, cast

import gymnasium as gym
import numpy as np

from alphallm_env.envs.text import MathReasoningEnv
from alphallm_env.mdp.rewards import RewardFunction
from alphallm_env.runtime.metering import Meter, Usage, metering
from alphallm_env.testing.environments import clonable
from alphallm_env.types import Option, Problem, State, Trajectory

OVERRUN = 1_000  # tokens: a few solutions with their scores
SAME_SCORE = 1e-3

BudgetType = TypeVar("BudgetType", contravariant=True)


class Plan(Protocol):
    """What a planner returns, as far as the contract looks at it. A `usage`, if there is one, is compared too."""

    @property
    def best(self) -> Trajectory:
        """The chosen episode."""
        ...

    @property
    def options(self) -> tuple[Option, ...]:
        """The options to execute from where planning began."""
        ...


class PlannerLike(Protocol[BudgetType]):
    """A planner, whatever its budget is made of."""

    def plan(self, env: gym.Env[str, str], budget: BudgetType, rng: np.random.Generator) -> Plan:
        """Returns an episode that starts from the environment's current state."""
        ...


def check_planner(
    planner: PlannerLike[BudgetType],
    make: Callable[[], gym.Env[str, str]],
    budget: BudgetType,
    seed: int = 3,
    *,
    overrun: int = OVERRUN,
) -> None:
    """Checks that planning does not move the environment, and that its plans are executable, repeatable and in budget.

    - Planning leaves the environment and its generator as they were, and the options lead where the plan says.
    - One seed gives one plan, the same to the letter and its score within 0.001: again, after other plans, while
      others run in threads, and with another gold answer, which no planner may read.
    - All of this in the middle of an episode too, where a planner that restores the initial state instead fails.
    - Where `budget` has `tokens`, planning spends at most that many plus `overrun`, every token generated or scored;
      and where the plan reports `usage`, its tokens are those that were spent. Both as `metering` counts them.
    """
    env = make()
    env.reset(seed=seed)
    plan = _checked_plan(planner, env, budget, seed, overrun)
    _checked_plan(planner, env, budget, seed + 1, overrun)
    _check_same(plan, planner.plan(env, budget, np.random.default_rng(seed)), "again, after another plan")
    _check_gold_is_not_read(planner, env, budget, seed, plan)
    _check_side_by_side(planner, make, budget, seed)
    if len(plan.options) > 1:
        env.step(cast(str, plan.options[0]))
        _checked_plan(planner, env, budget, seed, overrun)


def _check_same(expected: Plan, found: Plan, when: str) -> None:
    one, other = expected.best, found.best
    same = _written(one.state) == _written(other.state) and abs(one.score - other.score) <= SAME_SCORE
    assert same, f"one seed must give one plan {when}: {one}, then {other}"


def _written(state: State) -> tuple[object, ...]:
    """Returns all of an episode but its log-probabilities, whose last bits depend on the batch."""
    options = [(option.text, option.num_tokens, option.stop_reason) for option in state.options]
    return (state.problem_id, state.ending, *options)


def _checked_plan(
    planner: PlannerLike[BudgetType], env: gym.Env[str, str], budget: BudgetType, seed: int, overrun: int
) -> Plan:
    inner = clonable(env)
    start, with_rng = inner.clone_state(), inner.clone_state(include_rng=True)
    with metering(Meter()) as meter:
        plan = planner.plan(env, budget, np.random.default_rng(seed))
    moved = inner.clone_state()
    assert moved == start, f"planning must not move the environment: it went from {start} to {moved}"
    assert inner.clone_state(include_rng=True) == with_rng, "planning must draw from `rng`, not from the environment's"
    _check_cost(plan, meter.usage, getattr(budget, "tokens", None), overrun)
    assert plan.options, "a plan from a running state must have at least one option"
    score = plan.best.score
    assert 0.0 <= score <= 1.0, f"a trajectory's score must be in [0, 1], got {score}"
    _check_options(plan, env)
    inner.restore_state(start)
    return plan


def _check_options(plan: Plan, env: gym.Env[str, str]) -> None:
    for number, option in enumerate(plan.options, start=1):
        _, _, terminated, truncated, _ = env.step(cast(str, option))
        over = terminated or truncated
        assert not over or number == len(plan.options), (
            f"the episode must not end before the last option: it ended after {number} of {len(plan.options)}"
        )
    reached = clonable(env).clone_state()
    assert reached == plan.best.state, f"the options must lead to {plan.best.state}, they led to {reached}"


def _check_cost(plan: Plan, spent: Usage, limit: int | None, overrun: int) -> None:
    reported = getattr(plan, "usage", None)
    if isinstance(reported, Usage):
        assert reported.tokens == spent.tokens, (
            f"usage must report every token: expected {spent.tokens} ({spent.policy_tokens} of the policy, "
            f"{spent.rollout_tokens} of rollouts, {spent.critic_tokens} of critics), got {reported.tokens}"
        )
    if limit is not None:
        assert spent.tokens <= limit + overrun, (
            f"a budget of {limit} tokens may be overrun by {overrun}, and {spent.tokens} were spent"
        )


def _check_gold_is_not_read(
    planner: PlannerLike[BudgetType], env: gym.Env[str, str], budget: BudgetType, seed: int, plan: Plan
) -> None:
    """Plans once more with another gold answer, or with none where critics give the reward."""
    inner = env.unwrapped
    if not isinstance(inner, MathReasoningEnv):
        return
    start: State = inner.clone_state()
    has_critics = inner.simulator.critics.prm is not None and inner.simulator.critics.orm is not None
    reward: str | RewardFunction = "potential" if has_critics else "verifier"
    if has_critics and not inner.reward_function.needs_answers:
        reward = inner.config.reward
    other = Problem(start.problem_id, start.question, None if has_critics else "-1234567.5")
    twin = MathReasoningEnv.from_parts(inner.simulator, [other], reward=reward)
    twin.reset(seed=seed)
    twin.restore_state(start)
    found = planner.plan(twin, budget, np.random.default_rng(seed))
    _check_same(plan, found, "whatever the gold answer is")


def _check_side_by_side(
    planner: PlannerLike[BudgetType], make: Callable[[], gym.Env[str, str]], budget: BudgetType, seed: int
) -> None:
    """Plans for two environments at once, in threads, with the one planner."""

    def planned(own_seed: int) -> Plan:
        env = make()
        env.reset(seed=own_seed)
        return planner.plan(env, budget, np.random.default_rng(own_seed))

    seeds: Sequence[int] = (seed, seed + 1)
    alone = [planned(own_seed) for own_seed in seeds]
    with ThreadPoolExecutor(len(seeds)) as executor:
        together = list(executor.map(planned, seeds))
    for expected, found in zip(alone, together, strict=True):
        _check_same(expected, found, "beside others")
