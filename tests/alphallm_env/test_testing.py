"""The contracts pass what is right and name what is wrong."""

from dataclasses import dataclass, replace

import pytest

from alphallm_env import Trajectory
from alphallm_env.engine import Engine
from alphallm_env.randomness import derive_seed
from alphallm_env.testing import check_critic, check_environment, check_language_model, check_planner
from alphallm_env.types import Option, State


@dataclass(frozen=True)
class Plan:
    best: Trajectory
    options: tuple[Option, ...]


class Sampler:
    """Samples `budget` options one after another, then plans to take them."""

    def plan(self, env, budget, rng):
        simulator, state = env.unwrapped.simulator, env.unwrapped.clone_state()
        start, seed = state, int(rng.integers(2**62))
        for _ in range(budget):
            if state.ending is None:
                [option] = simulator.engine.run(simulator.propose(state, 1, seed))
                state = simulator.transition(state, option).state
        return Plan(Trajectory(state, 0.5), state.options[start.depth :])


class Mover(Sampler):
    def plan(self, env, budget, rng):
        found = super().plan(env, budget, rng)
        env.step(found.options[0])
        return found


class Forgetful(Sampler):
    """Returns the options from the question on, not from where planning began."""

    def plan(self, env, budget, rng):
        found = super().plan(env, budget, rng)
        return replace(found, options=found.best.options)


class Moody(Sampler):
    calls = 0

    def plan(self, env, budget, rng):
        self.calls += 1
        found = super().plan(env, budget, rng)
        return replace(found, best=replace(found.best, score=self.calls / 10))


def test_a_right_planner_passes(make_env):
    check_planner(Sampler(), make_env, 3)


@pytest.mark.parametrize(
    ("planner", "law"),
    [(Mover, "must not move"), (Forgetful, "ended|must lead to"), (Moody, "one seed must give one plan")],
)
def test_a_wrong_planner_is_named(make_env, planner, law):
    with pytest.raises((AssertionError, ValueError), match=law):
        check_planner(planner(), make_env, 3)


def test_the_environment_passes_in_both_modes(make_env):
    check_environment(make_env)
    check_environment(lambda: make_env(reward="verifier"))


def test_an_environment_that_forgets_is_named(make_env):
    def make():
        env = make_env(reward="verifier")
        env.restore_state = lambda state: None
        return env

    with pytest.raises(AssertionError, match="must give the same state"):
        check_environment(make)


def test_the_recording_model_passes(make_lm):
    check_language_model(make_lm())


def test_language_models_that_break_a_law_are_named(make_lm):
    class Swapped(type(make_lm())):
        def generate(self, requests):
            return super().generate(requests)[::-1]

    class Overrun(type(make_lm())):
        def generate(self, requests):
            return [replace(c, num_tokens=c.num_tokens + 100) for c in super().generate(requests)]

    class Certain(type(make_lm())):
        def label_probs(self, prompts, labels):
            return [replace(found, probs=(1.0, 1.0)) for found in super().label_probs(prompts, labels)]

    for model, law in (
        (Swapped, "one request must give"),
        (Overrun, "num_tokens must be"),
        (Certain, "at most 1"),
    ):
        with pytest.raises(AssertionError, match=law):
            check_language_model(model())


class Hasher:
    name = "hasher"

    async def evaluate(self, states):
        return [derive_seed(state.digest) % 1000 / 1000 for state in states]


class Sorter(Hasher):
    async def evaluate(self, states):
        return sorted(await super().evaluate(states))


class Loud(Hasher):
    async def evaluate(self, states):
        return [2.0 for _ in states]


STATES = [State("p", "Q").child(Option(f"line {n}\n", 3), None) for n in range(5)]


def test_critics(make_simulator):
    simulator = make_simulator()
    check_critic(simulator.critics.prm, STATES, simulator.engine)
    with Engine() as engine:
        check_critic(Hasher(), STATES, engine)
        with pytest.raises(AssertionError, match=r"in a batch and|must follow"):
            check_critic(Sorter(), STATES, engine)
        with pytest.raises(AssertionError, match=r"in \[0, 1\], got 2.0"):
            check_critic(Loud(), STATES, engine)
