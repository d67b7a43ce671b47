"""Our vector environment, seen by stable-baselines3: what its own DummyVecEnv would show of the same environments."""

import copy

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported
from stable_baselines3.common.vec_env import DummyVecEnv

from alphallm_env import Problem, Rules
from alphallm_env.adapters.sb3 import SB3VecEnv, info_of
from alphallm_env.envs.vector import BatchedVectorEnv

PROBLEMS = [Problem("a", "How many?", "5"), Problem("b", "How few?", "5")]


@pytest.fixture(scope="module")
def env(make_choice):
    return make_choice(rules=Rules(max_options=3), problems=PROBLEMS, embedding=False, num_options=3, reward="verifier")


def batched(env, num_envs=3, mode=AutoresetMode.SAME_STEP, **arguments):
    return BatchedVectorEnv(copy.deepcopy(env), num_envs, autoreset_mode=mode, **arguments)


def assert_same(one, other):
    assert type(one) is type(other) or np.isscalar(one), (one, other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    else:
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("max_episode_steps", [None, 2])
def test_episodes_are_those_of_a_dummy_vec_env(env, max_episode_steps):
    def single():
        made = copy.deepcopy(env)
        return made if max_episode_steps is None else gym.wrappers.TimeLimit(made, max_episode_steps)

    ours, theirs = SB3VecEnv(batched(env, max_episode_steps=max_episode_steps)), DummyVecEnv([single] * 3)
    for vec_env in (ours, theirs):
        vec_env.seed(7)
    assert_same(ours.reset(), dict(theirs.reset()))
    rng, num_done, num_truncated = np.random.default_rng(0), 0, 0
    for _ in range(12):
        actions = rng.integers(3, size=3)
        (observations, rewards, dones, infos), expected = ours.step(actions), theirs.step(actions)
        assert_same(observations, dict(expected[0]))
        assert_same(rewards, expected[1])
        assert_same(dones, expected[2])
        for info, other in zip(infos, expected[3], strict=True):
            assert_same(info, other)
        for info, other in zip(ours.reset_infos, theirs.reset_infos, strict=True):
            assert_same(info, other)
        num_done += dones.sum()
        num_truncated += sum(info["TimeLimit.truncated"] for info in infos)
    assert num_done > 0
    assert num_truncated > 0


def test_masks_attributes_and_methods_are_found(env):
    vec_env = SB3VecEnv(batched(env, max_episode_steps=9))
    observations = vec_env.reset()
    assert is_masking_supported(vec_env)
    np.testing.assert_array_equal(get_action_masks(vec_env), observations["action_mask"].astype(bool))
    assert vec_env.get_attr("num_options", [0, 2]) == [3, 3]
    assert not vec_env.has_attr("no_such_thing")
    vec_env.set_attr("note", 1, indices=1)
    assert vec_env.get_attr("note", 1) == [1]
    assert vec_env.env_is_wrapped(gym.wrappers.TimeLimit, 0) == [True]
    assert vec_env.env_is_wrapped(gym.wrappers.RecordEpisodeStatistics) == [False] * 3
    assert list(vec_env.get_images()) == [None] * 3
    vec_env.close()


def test_options_of_reset_reach_every_environment(env):
    vec_env = SB3VecEnv(batched(env))
    vec_env.set_options({"problem_id": "b"})
    vec_env.reset()
    assert [info["problem_id"] for info in vec_env.reset_infos] == ["b"] * 3
    vec_env.set_options([{"problem_id": "a"}, {}, {}])
    with pytest.raises(ValueError, match="must be the same for all environments"):
        vec_env.reset()


def test_misuse_is_refused(env):
    with pytest.raises(ValueError, match=r"autoreset_mode must be .*SAME_STEP, got .*NEXT_STEP"):
        SB3VecEnv(batched(env, mode=AutoresetMode.NEXT_STEP))
    with pytest.raises(TypeError, match="must be a BatchedVectorEnv"):
        SB3VecEnv(gym.wrappers.vector.RecordEpisodeStatistics(batched(env)))
    with pytest.raises(RuntimeError, match="step_async before step_wait"):
        SB3VecEnv(batched(env)).step_wait()


def test_info_of_one_leaves_out_what_only_others_have():
    infos = {
        "tokens": np.array([3, 0]), "_tokens": np.array([True, False]),
        "final_info": {"text": np.array([None, "x"], dtype=object), "_text": np.array([False, True])},
        "_final_info": np.array([False, True]),
    }  # fmt: skip
    assert info_of(infos, 0) == {"tokens": 3}
    assert type(info_of(infos, 0)["tokens"]) is int
    assert info_of(infos, 1) == {"final_info": {"text": "x"}}
