"""The contracts pass what is right and name what is wrong."""

import itertools
import threading
from dataclasses import dataclass, replace

import gymnasium as gym
import numpy as np
import pytest

from alphallm_env import MathReasoningEnv, Trajectory
from alphallm_env.runtime.engine import Engine
from alphallm_env.runtime.metering import Meter, Usage, current_meter, metering
from alphallm_env.runtime.seeds import derive_seed
from alphallm_env.testing import check_critic, check_environment, check_language_model, check_planner
from alphallm_env.types import Option, State

# Planners


@dataclass(frozen=True)
class Plan:
    best: Trajectory
    options: tuple[Option, ...]
    usage: Usage


@dataclass(frozen=True)
class Tokens:
    tokens: int


class Sampler:
    """Samples options one after another until the budget is spent, then plans to take them."""

    def plan(self, env, budget, rng):
        simulator, state = env.unwrapped.simulator, env.unwrapped.clone_state()
        start, seed = state, int(rng.integers(2**62))
        with metering(Meter()) as meter:
            while state.ending is None and meter.usage.tokens < budget.tokens:
                [option] = simulator.engine.run(simulator.propose(state, 1, seed))
                state = simulator.transition(state, option).state
        return Plan(Trajectory(state, 0.5), state.options[start.depth :], meter.usage)


class Mover(Sampler):
    def plan(self, env, budget, rng):
        found = super().plan(env, budget, rng)
        env.step(found.options[0])
        return found


class Borrower(Sampler):
    def plan(self, env, budget, rng):
        return super().plan(env, budget, env.unwrapped.np_random)


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
        return replace(found, best=replace(found.best, score=self.calls / 100))


class Proud(Sampler):
    def plan(self, env, budget, rng):
        found = super().plan(env, budget, rng)
        return replace(found, best=replace(found.best, score=1.5))


class Idle(Sampler):
    def plan(self, env, budget, rng):
        start = env.unwrapped.clone_state()
        return Plan(Trajectory(start, 0.5), (), Usage())


class Cheat(Sampler):
    """Asks the environment which answer is right."""

    def plan(self, env, budget, rng):
        world = env.unwrapped
        start = world.clone_state()
        with metering(Meter()) as meter:
            for answer in ("98765432123", "5"):
                *_, info = world.step(f"#### {answer}\n")
                reached = world.clone_state()
                world.restore_state(start)
                if info["is_success"]:
                    break
        return Plan(Trajectory(reached, 1.0), reached.options[start.depth :], meter.usage)


class Hider(Sampler):
    """Reports what the policy wrote, and leaves out what critics read."""

    def plan(self, env, budget, rng):
        found = super().plan(env, budget, rng)
        simulator = env.unwrapped.simulator
        simulator.engine.run(simulator.score("orm", [found.best.state]))
        return found


class Spender(Sampler):
    """Takes twice the budget, then plans what it would have planned anyway."""

    def plan(self, env, budget, rng):
        with metering(Meter()) as meter:
            found = super().plan(env, budget, rng)
            current_meter().scored(2 * budget.tokens)
        return replace(found, usage=meter.usage)


class Shared(Sampler):
    """Keeps on itself where it began, and lets others in before it reads that again."""

    def __init__(self):
        self.turn = threading.Barrier(2)

    def plan(self, env, budget, rng):
        found = super().plan(env, budget, rng)
        self.best = found.best
        try:
            self.turn.wait(timeout=0.2)
        except threading.BrokenBarrierError:
            self.turn.reset()
        return replace(found, best=self.best)


def test_a_right_planner_passes(make_env):
    check_planner(Sampler(), make_env, Tokens(20))


@pytest.mark.parametrize(
    ("planner", "law"),
    [
        (Mover, "must not move the environment: it went from .* to"),
        (Borrower, "must draw from `rng`"),
        (Forgetful, "go on after the end|must lead to"),
        (Moody, "one seed must give one plan again"),
        (Proud, r"score must be in \[0, 1\], got 1.5"),
        (Idle, "at least one option"),
        (Hider, r"must report every token: expected \d+ \(\d+ of the policy, 0 of rollouts, \d+ of critics\), got"),
        (Spender, "budget of 3000 tokens may be overrun by 1000, and 60.. were spent"),
        (Shared, "one plan beside others"),
    ],
)
def test_a_wrong_planner_is_named(make_env, planner, law):
    with pytest.raises(AssertionError, match=law):
        check_planner(planner(), make_env, Tokens(3_000))


def test_a_planner_that_reads_the_gold_answer_is_named(make_env):
    with pytest.raises(AssertionError, match="one plan whatever the gold answer is"):
        check_planner(Cheat(), make_env, Tokens(3_000))


def test_a_budget_of_anything_else_is_left_to_the_planner(make_env):
    class Counter(Sampler):
        def plan(self, env, budget, rng):
            return super().plan(env, Tokens(budget * 5), rng)

    check_planner(Counter(), make_env, 3)


# Environments


def test_the_environment_passes_in_both_modes(make_env):
    check_environment(make_env)
    check_environment(lambda: make_env(reward="verifier"))


def test_so_does_one_in_a_wrapper(make_env):
    check_environment(lambda: gym.wrappers.OrderEnforcing(make_env()))


def test_an_environment_without_snapshots_is_named():
    with pytest.raises(AssertionError, match="CartPoleEnv must have clone_state and restore_state"):
        check_environment(lambda: gym.make("CartPole-v1"), [0, 1])


class Forgets(MathReasoningEnv):
    def restore_state(self, state):
        pass


class Forgives(MathReasoningEnv):
    """Takes every text, and steps after the end."""

    def step(self, action):
        if self.clone_state().ending is not None or action == "\ud800":
            return self._observation(self.clone_state()), 0.0, True, False, {}
        return super().step(action)


class Slips(MathReasoningEnv):
    """Loses its state where misuse is refused."""

    def step(self, action):
        try:
            return super().step(action)
        except ValueError:
            self.reset()
            raise


class Drifts(MathReasoningEnv):
    """Rewards by how often it was restored."""

    restored = 0

    def restore_state(self, state):
        self.restored += 1
        super().restore_state(state)

    def step(self, action):
        observation, _, *rest = super().step(action)
        return observation, float(self.restored), *rest


class Unlike(MathReasoningEnv):
    """Rewards by how many were reset before it."""

    numbers = itertools.count()

    def step(self, action):
        observation, _, *rest = super().step(action)
        return observation, float(self.number), *rest

    def reset(self, *, seed=None, options=None):
        self.number = self.__dict__.get("number", next(self.numbers))
        return super().reset(seed=seed, options=options)


class Shares(MathReasoningEnv):
    """Is its own deep copy."""

    def __deepcopy__(self, memo):
        return self


class Repeats(MathReasoningEnv):
    """Leaves its generator alone when a snapshot with one is restored."""

    def restore_state(self, state):
        super().restore_state(getattr(state, "state", state))


def giving(change):
    """Returns an environment that gives what `change` makes of each step's reward, ends and info."""

    class Changed(MathReasoningEnv):
        def step(self, action):
            observation, *rest = super().step(action)
            return observation, *change(*rest)

    return Changed


WRONG_ENVIRONMENTS = [
    (Forgets, "must give the same state"),
    (Forgives, "text that UTF-8 cannot encode must raise, got"),
    (Slips, "text that UTF-8 cannot encode must leave the state"),
    (Drifts, "a restored state must replay .* to the bit"),
    (Unlike, "one seed must give one trajectory"),
    (Shares, "a deep copy must step like the original|ended"),
    (Repeats, "must give the same next starts"),
    (giving(lambda r, te, tr, i: (np.float32(r), te, tr, i)), "reward of .* must be a Python float"),
    (giving(lambda r, te, tr, i: (float("inf"), te, tr, i)), "reward of .* must be finite, got inf"),
    (giving(lambda r, te, tr, i: (r, int(te), tr, i)), "terminated of .* must be a Python bool"),
    (giving(lambda r, te, tr, i: (r, te, te, i)), "ends in one way"),
    (giving(lambda r, te, tr, i: (r, te, tr, {**i, "depth": 1.0})), "must keep keys and types"),
    (giving(lambda r, te, tr, i: (r, te, tr, {**i, "is_success": True})), "must be False before the end"),
]


@pytest.mark.parametrize(("kind", "law"), WRONG_ENVIRONMENTS)
def test_a_wrong_environment_is_named(make_simulator, problems, kind, law):
    with pytest.raises((AssertionError, ValueError), match=law):
        check_environment(lambda: kind.from_parts(make_simulator(), problems, reward="verifier"))


def test_a_reserved_key_of_info_is_named(make_simulator, problems):
    class Recorded(MathReasoningEnv):
        def _info(self, *arguments, **named):
            return {**super()._info(*arguments, **named), "episode": 1}

    with pytest.raises(AssertionError, match=r"leave Gymnasium's own keys alone, got \['episode'\]"):
        check_environment(lambda: Recorded.from_parts(make_simulator(), problems, reward="verifier"))


# Language models


def test_the_recording_model_passes(make_lm):
    check_language_model(make_lm())


def changed(make_lm, method, change):
    """Returns a recording model whose `method` gives what `change` makes of its arguments and answers."""

    class Changed(type(make_lm())):
        pass

    def call(self, asked, *more):
        return change(asked, getattr(super(Changed, self), method)(asked, *more))

    setattr(Changed, method, call)
    return Changed()


WRONG_MODELS = [
    ("generate", lambda _, done: done[::-1], "one request must give"),
    ("generate", lambda _, done: done[:-1], "expected 6 completions, got 5"),
    ("generate", lambda _, done: [replace(c, num_tokens=c.num_tokens + 100) for c in done], "num_tokens must be in"),
    ("generate", lambda _, done: [replace(c, num_tokens=1) for c in done], "about 6 are in the text, got 1"),
    ("generate", lambda _, done: [replace(c, log_prob=0.5) for c in done], "log_prob must be <= 0"),
    ("generate", lambda _, done: [replace(c, text=c.text + "more") for c in done], "a rule that does not fire"),
    (
        "generate",
        lambda asked, done: [replace(c, text=f"{r.seed} {c.text}") if not r.temperature else c
                             for r, c in zip(asked, done, strict=True)],
        "must not depend on the seed",
    ),
    ("label_probs", lambda _, found: [replace(f, probs=(1.0, 1.0)) for f in found], "at most 1"),
    ("label_probs", lambda _, found: [replace(f, probs=f.probs[:1]) for f in found], "expected 2 probabilities"),
    ("label_probs", lambda _, found: found[::-1], "judged the same in a batch and alone"),
    ("count_tokens", lambda text, _: 7, "more tokens than no text"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "change", "law"), WRONG_MODELS)
def test_a_language_model_that_breaks_a_law_is_named(make_lm, method, change, law):
    with pytest.raises(AssertionError, match=law):
        check_language_model(changed(make_lm, method, change))


def test_a_language_model_that_does_not_stop_is_named(make_lm):
    class Endless(type(make_lm())):
        def generate(self, requests):
            return super().generate([replace(request, stop_text="") for request in requests])

    with pytest.raises(AssertionError, match=r"must end before '.*', got"):
        check_language_model(Endless())


def test_a_language_model_that_answers_wrongly_when_awaited_is_named(make_lm):
    class Twofold(type(make_lm())):
        async def generate_async(self, requests):
            return [replace(done, text="so\n") for done in self.generate(requests)]

        async def label_probs_async(self, prompts, labels):
            return self.label_probs(prompts, labels)

    with pytest.raises(AssertionError, match="awaited and not"):
        check_language_model(Twofold())


# Critics


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


class Lazy(Hasher):
    async def evaluate(self, states):
        return (await super().evaluate(states))[:1]


class Proportional(Hasher):
    """Compares the states that it is asked about with one another."""

    async def evaluate(self, states):
        scores = await super().evaluate(states)
        return [score / sum(scores) for score in scores]


class Stingy(Hasher):
    """Counts what it read the first time only."""

    seen = 0

    async def evaluate(self, states):
        current_meter().scored(0 if self.seen else len(states))
        self.seen += 1
        return await super().evaluate(states)


STATES = [State("p", "Q").child(Option(f"line {n}\n", 3), None) for n in range(5)]


def test_critics_that_keep_the_contract_pass(make_simulator):
    simulator = make_simulator()
    check_critic(simulator.critics.prm, STATES, simulator.engine)
    with Engine() as engine:
        check_critic(Hasher(), STATES, engine, is_free=True)


@pytest.mark.parametrize(
    ("critic", "law"),
    [
        (Sorter, r"in a batch and .* alone|must follow the states' order"),
        (Loud, r"in \[0, 1\], got 2.0"),
        (Lazy, "expected 5 scores, got 1"),
        (Proportional, r"in a batch and 1.0 alone"),
        (Stingy, "must cost the same: 5 tokens, then 0"),
        (Hasher, "must count its tokens on .*, got 0 for 5 states"),
    ],
)
def test_a_wrong_critic_is_named(critic, law):
    with Engine() as engine, pytest.raises(AssertionError, match=law):
        check_critic(critic(), STATES, engine)
