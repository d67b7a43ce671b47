import pickle
from typing import ClassVar

import gymnasium as gym
import pytest
from gymnasium import wrappers
from gymnasium.utils.env_checker import data_equivalence

from alphallm_env import Rules, StateError, clone_wrapped, restore_wrapped

LINES = ("2 + 3\n", "= 5\n", "so it is five\n", "as I said\n")


class Tally(gym.Wrapper):
    """Counts steps as a wrapper of one's own would, and says which attributes change."""

    snapshot_attributes: ClassVar[tuple[str, ...]] = ("seen",)

    def __init__(self, env):
        super().__init__(env)
        self.seen = []

    def step(self, action):
        self.seen.append(action)
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, reward, terminated, truncated, {**info, "seen": tuple(self.seen)}


class Keeper(gym.Wrapper):
    """Has everything that moves in one immutable value."""

    def __init__(self, env):
        super().__init__(env)
        self._episode = 0

    @property
    def episode_state(self):
        return self._episode

    @episode_state.setter
    def episode_state(self, state):
        self._episode = state

    def step(self, action):
        self._episode += 1
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, reward, terminated, truncated, {**info, "kept": self._episode}


def without_clock(step):
    step[4].get("episode", {}).pop("t", None)
    return step


@pytest.mark.parametrize("kind", ["text", "choice"])
def test_a_wrapped_environment_replays_with_what_its_wrappers_count(make_env, make_choice, kind):
    inner = (make_env if kind == "text" else make_choice)(rules=Rules(max_options=9))
    env = wrappers.RecordEpisodeStatistics(Keeper(Tally(wrappers.TimeLimit(wrappers.OrderEnforcing(inner), 3))))
    actions = LINES if kind == "text" else (0, 1, 0, 1)
    env.reset(seed=0)
    env.step(actions[0])
    snapshot = clone_wrapped(env)
    first = [without_clock(env.step(action)) for action in actions[1:3]]
    assert first[-1][3], "the limit of three steps truncates"
    assert first[-1][4]["episode"]["l"] == 3
    assert (first[-1][4]["kept"], len(first[-1][4]["seen"])) == (3, 3)
    env.reset()
    env.step(actions[3])
    restore_wrapped(env, snapshot)
    again = [without_clock(env.step(action)) for action in actions[1:3]]
    assert data_equivalence(again, first, exact=True)
    assert len(env.return_queue) == 1, "episodes after the snapshot are forgotten with it"


def test_a_snapshot_stays_as_it_is_whatever_happens_later(make_env):
    env = Tally(make_env())
    env.reset(seed=0)
    snapshot = clone_wrapped(env)
    env.step(LINES[0])
    restore_wrapped(env, snapshot)
    env.step(LINES[1])
    restore_wrapped(env, snapshot)
    assert env.seen == []


def test_it_can_hold_the_generator_and_be_pickled(make_env):
    env = wrappers.TimeLimit(make_env(), 5)
    env.reset(seed=0)
    snapshot = pickle.loads(pickle.dumps(clone_wrapped(env, include_rng=True)))
    upcoming = [env.reset()[0] for _ in range(6)]
    restore_wrapped(env, snapshot)
    assert [env.reset()[0] for _ in range(6)] == upcoming


def test_an_environment_may_have_no_wrapper_at_all(make_env):
    env = make_env()
    env.reset(seed=0)
    snapshot = clone_wrapped(env)
    env.step(LINES[0])
    restore_wrapped(env, snapshot)
    assert env.clone_state().depth == 0


def test_other_wrappers_and_environments_are_refused(make_env):
    env = wrappers.TimeLimit(make_env(), 5)
    env.reset(seed=0)
    bare = make_env()
    bare.reset(seed=1)
    before = bare.clone_state()
    with pytest.raises(StateError, match=r"the wrappers \['TimeLimit'\] of the snapshot, got \[\]"):
        restore_wrapped(bare, clone_wrapped(env))
    assert bare.clone_state() is before
    with pytest.raises(StateError, match="with clone_state and restore_state, got <CartPole"):
        clone_wrapped(gym.make("CartPole-v1"))
