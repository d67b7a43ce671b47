"""Contracts that any environment, planner, language model or critic can be run through.

Each function raises AssertionError, saying which law is broken and how. They know only the protocols, so
they serve parts written elsewhere as well as ours:

    from alphallm_env.testing import check_planner

    def test_lucky_keeps_the_contract():
        check_planner(Lucky(), make_env, agents.Budget(tokens=500))
"""

from __future__ import annotations

import asyncio
import math
import pickle
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar, cast, runtime_checkable

import gymnasium as gym
import numpy as np
from gymnasium.utils.env_checker import check_env, data_equivalence

from alphallm_env.critics.base import Critic
from alphallm_env.engine import Engine
from alphallm_env.env import MathReasoningEnv
from alphallm_env.lm.base import Completion, GenerationRequest, LabelProbs, LanguageModel
from alphallm_env.options import SentenceRule
from alphallm_env.types import Option, State, StopReason, Trajectory

ACTIONS = ("2 + 3 = 5\n", "π ≈ 3.14\n", "Twice that is 10.\n", "#### 10\n")
PROMPTS = ("Question: What is 2 + 3?\nAnswer:", "Question: What is 7 * 6, more or less?\nAnswer:")

BudgetType = TypeVar("BudgetType", contravariant=True)


class Plan(Protocol):
    """What a planner returns, as far as the contract looks at it."""

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


def check_environment(make: Callable[[], gym.Env[str, str]], actions: Sequence[str] = ACTIONS) -> None:
    """Checks Gymnasium's own contract, that snapshots replay to the bit, and that `info` keeps its shape.

    `actions` are played until an episode ends.
    """
    check_env(make().unwrapped, skip_render_check=make().spec is None, skip_close_check=True)
    env = make()
    env.reset(seed=7)
    infos = [env.reset(seed=7)[1]]
    for action in actions:
        before = _inner(env).clone_state()
        first = env.step(action)
        after = _inner(env).clone_state()
        _check_snapshot(after)
        _inner(env).restore_state(before)
        assert _inner(env).clone_state() == before, "clone_state after restore_state must give the same state"
        second = env.step(action)
        same = all(data_equivalence(a, b, exact=True) for a, b in zip(first, second, strict=True))
        assert same, f"a restored state must replay to the bit: {action!r} gave {first}, then {second}"
        infos.append(first[4])
        if first[2] or first[3]:
            break
    _check_infos(infos)
    _check_rng_snapshot(env)
    env.close()
    env.close()


def _inner(env: gym.Env[str, str]) -> MathReasoningEnv:
    return cast(MathReasoningEnv, env.unwrapped)


def _check_snapshot(state: State) -> None:
    assert State.from_bytes(state.to_bytes()) == state, "a snapshot must survive to_bytes and from_bytes"
    assert pickle.loads(pickle.dumps(state)) == state, "a snapshot must survive pickling"


def _check_infos(infos: Sequence[dict[str, object]]) -> None:
    shapes = [{key: type(value) for key, value in info.items()} for info in infos]
    for step, shape in enumerate(shapes):
        assert shape == shapes[0], f"info must keep keys and types: {shapes[0]} at reset, {shape} at step {step}"
    for step, info in enumerate(infos[:-1]):
        assert info.get("is_success") is False, f"is_success must be False before the end, not so at step {step}"


def _check_rng_snapshot(env: gym.Env[str, str]) -> None:
    env.reset(seed=11)
    snapshot = _inner(env).clone_state(include_rng=True)
    upcoming = [env.reset()[0] for _ in range(5)]
    _inner(env).restore_state(snapshot)
    again = [env.reset()[0] for _ in range(5)]
    assert upcoming == again, "restoring a snapshot with its generator must give the same next questions"


def check_planner(
    planner: PlannerLike[BudgetType],
    make: Callable[[], gym.Env[str, str]],
    budget: BudgetType,
    seed: int = 3,
) -> None:
    """Checks that planning leaves the environment alone, that the plan can be executed and is repeatable.

    Also plans from the middle of the plan, where a planner that forgets where it began would go wrong.
    """
    env = make()
    env.reset(seed=seed)
    plan = _checked_plan(planner, env, budget, seed)
    again = planner.plan(env, budget, np.random.default_rng(seed))
    assert again.best == plan.best, f"one seed must give one plan, got {plan.best} and {again.best}"
    if len(plan.options) > 1:
        env.step(cast(str, plan.options[0]))
        _checked_plan(planner, env, budget, seed)


def _checked_plan(planner: PlannerLike[BudgetType], env: gym.Env[str, str], budget: BudgetType, seed: int) -> Plan:
    start = _inner(env).clone_state()
    plan = planner.plan(env, budget, np.random.default_rng(seed))
    moved = _inner(env).clone_state()
    assert moved == start, f"planning must not move the environment: it went from {start} to {moved}"
    assert plan.options, "a plan from a running state must have at least one option"
    score = plan.best.score
    assert 0.0 <= score <= 1.0, f"a trajectory's score must be in [0, 1], got {score}"
    for option in plan.options:
        env.step(cast(str, option))
    reached = _inner(env).clone_state()
    assert reached == plan.best.state, f"the options must lead to {plan.best.state}, they led to {reached}"
    _inner(env).restore_state(start)
    return plan


@runtime_checkable
class AsynchronousModel(Protocol):
    """What a language model offers beside the blocking methods if it answers asynchronously."""

    async def generate_async(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """Returns what `generate` returns."""
        ...

    async def label_probs_async(self, prompts: Sequence[str], labels: Sequence[str]) -> list[LabelProbs]:
        """Returns what `label_probs` returns."""
        ...


def check_language_model(lm: LanguageModel, prompts: Sequence[str] = PROMPTS, max_tokens: int = 12) -> None:
    """Checks order, repeatability, limits, and that a batch equals its items one by one.

    Texts must be equal to the letter, unless the model says `is_reproducible = False`; log-probabilities and
    label probabilities within 0.001, since a batch may be computed in another order. A model that answers
    asynchronously too must do so on any event loop.
    """
    requests = [
        GenerationRequest(prompt, seed, max_tokens, SentenceRule(), temperature)
        for prompt in prompts
        for seed, temperature in ((1, 1.0), (2, 1.0), (1, 0.0))
    ]
    batch = lm.generate(requests)
    assert len(batch) == len(requests), f"expected {len(requests)} completions, got {len(batch)}"
    for request, completion in zip(requests, batch, strict=True):
        _check_completion(request, completion)
    if getattr(lm, "is_reproducible", True):
        _check_repeatable(lm, requests, batch)
    assert list(lm.generate([])) == [], "no requests must give no completions"
    assert lm.count_tokens("") < lm.count_tokens(prompts[0]), "a text must have more tokens than no text"
    _check_label_probs(lm, prompts)
    if isinstance(lm, AsynchronousModel):
        for _ in range(2):  # each time on a new event loop
            asyncio.run(_check_asynchronous(lm, requests, batch, prompts))


def _check_repeatable(lm: LanguageModel, requests: Sequence[GenerationRequest], batch: Sequence[Completion]) -> None:
    for request, completion in zip(requests, batch, strict=True):
        _check_same(request, completion, lm.generate([request])[0], "in a batch and alone")
    for request, completion in zip(reversed(requests), lm.generate(requests[::-1]), strict=True):
        _check_same(request, batch[requests.index(request)], completion, "in another order")


async def _check_asynchronous(
    lm: AsynchronousModel, requests: Sequence[GenerationRequest], batch: Sequence[Completion], prompts: Sequence[str]
) -> None:
    answers = await asyncio.gather(*(lm.generate_async([request]) for request in requests))
    for request, expected, [completion] in zip(requests, batch, answers, strict=True):
        _check_completion(request, completion)
        if getattr(lm, "is_reproducible", True):
            _check_same(request, expected, completion, "awaited and not")
    found = await lm.label_probs_async(prompts, ("True", "False"))
    assert len(found) == len(prompts), f"expected {len(prompts)} label probabilities, got {len(found)}"


def _check_completion(request: GenerationRequest, completion: Completion) -> None:
    shown = f"{completion} for {request}"
    assert 1 <= completion.num_tokens <= request.max_tokens, f"num_tokens must be in [1, max_tokens]: {shown}"
    assert math.isfinite(completion.log_prob), f"log_prob must be finite: {shown}"
    assert completion.log_prob <= 0.0, f"log_prob must be <= 0: {shown}"
    if completion.stop_reason is StopReason.RULE:
        assert request.rule.terminates(completion.text), f"stopped by a rule that does not fire: {shown}"
    if completion.stop_reason is StopReason.LENGTH:
        assert completion.num_tokens == request.max_tokens, f"cut before its token limit: {shown}"


def _check_same(request: GenerationRequest, one: Completion, other: Completion, how: str) -> None:
    same = (one.text, one.num_tokens, one.stop_reason) == (other.text, other.num_tokens, other.stop_reason)
    assert same, f"one request must give one completion {how}: {one} and {other} for {request}"
    assert math.isclose(one.log_prob, other.log_prob, rel_tol=1e-3, abs_tol=1e-3), (
        f"log_prob must be the same {how}: {one.log_prob} and {other.log_prob} for {request}"
    )


def _check_label_probs(lm: LanguageModel, prompts: Sequence[str], labels: Sequence[str] = ("True", "False")) -> None:
    batch = lm.label_probs(prompts, labels)
    assert len(batch) == len(prompts), f"expected {len(prompts)} label probabilities, got {len(batch)}"
    for prompt, found in zip(prompts, batch, strict=True):
        assert len(found.probs) == len(labels), f"expected {len(labels)} probabilities, got {found}"
        valid = all(0.0 <= prob <= 1.0 for prob in found.probs) and sum(found.probs) <= 1.001
        assert valid, f"label probabilities must be in [0, 1] and sum to at most 1, got {found}"
        alone = lm.label_probs([prompt], labels)[0]
        assert np.allclose(found.probs, alone.probs, atol=1e-3 if getattr(lm, "is_reproducible", True) else 0.05), (
            f"a prompt must be judged the same in a batch and alone: {found} and {alone}"
        )


def check_critic(critic: Critic, states: Sequence[State], engine: Engine) -> None:
    """Checks one score in [0, 1] per state, in order, whatever is asked beside it. `engine` is the critic's.

    Scores must agree within 0.001.
    """

    def evaluate(asked: Sequence[State]) -> list[float]:
        scores = engine.run(critic.evaluate(asked))
        assert len(scores) == len(asked), f"expected {len(asked)} scores, got {len(scores)}"
        return scores

    scores = evaluate(states)
    for state, score in zip(states, scores, strict=True):
        assert 0.0 <= score <= 1.0, f"a score must be in [0, 1], got {score} for {state}"
        alone = evaluate([state])[0]
        assert abs(alone - score) <= 1e-3, f"{state} scored {score} in a batch and {alone} alone"
    backwards = evaluate(states[::-1])[::-1]
    assert np.allclose(scores, backwards, atol=1e-3), (
        f"scores must follow the states' order: {scores} forwards and {backwards} backwards"
    )
