"""Standard agents on the Choice environment: made by name, kept as safetensors."""

import numpy as np
import pytest

from agents.sb3 import ALGORITHMS, SB3Chooser, load_policy, make_agent, save_policy
from alphallm_env import OptionChoiceEnv, Problem
from alphallm_env.adapters.sb3 import SB3VecEnv
from alphallm_env.envs.vector import BatchedVectorEnv
from alphallm_env.errors import ModelError
from experiments.bench.environment import scripted_simulator

SETTINGS = {
    "ppo": {"n_steps": 4, "batch_size": 8, "n_epochs": 1},
    "a2c": {"n_steps": 4},
    "dqn": {"learning_starts": 4, "buffer_size": 100},
    "maskable_ppo": {"n_steps": 4, "batch_size": 8, "n_epochs": 1},
}


@pytest.fixture(scope="module")
def vec_env():
    env = OptionChoiceEnv.from_parts(
        scripted_simulator(), [Problem("a", "How many?", "5")], embedding=False, num_options=4, reward="verifier"
    )
    return SB3VecEnv(BatchedVectorEnv(env, 2, autoreset_mode="SameStep"))


def made(name, vec_env, seed=0, **others):
    return make_agent(name, vec_env, {"policy": "MultiInputPolicy", **SETTINGS[name], **others}, seed)


def weights(agent):
    return {name: value.numpy().copy() for name, value in agent.policy.state_dict().items()}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_an_agent_learns_and_its_policy_is_the_same_after_saving_and_loading(name, vec_env, tmp_path):
    agent = made(name, vec_env)
    before = weights(agent)
    agent.learn(16)
    assert any((before[key] != after).any() for key, after in weights(agent).items())
    save_policy(agent, tmp_path / "policy.safetensors")
    assert [file.name for file in tmp_path.iterdir()] == ["policy.safetensors"]
    loaded = load_policy(made(name, vec_env, seed=1), tmp_path / "policy.safetensors")
    for key, value in weights(agent).items():
        np.testing.assert_array_equal(weights(loaded)[key], value)
    observations = vec_env.reset()
    actions = SB3Chooser(agent).choose(observations)
    np.testing.assert_array_equal(SB3Chooser(loaded).choose(observations), actions)
    assert (actions.shape, actions.dtype) == ((2,), np.int64)


def test_maskable_ppo_never_takes_what_is_not_on_offer(vec_env):
    agent = made("maskable_ppo", vec_env)  # of 4 actions only 3 are ever on offer
    rng = np.random.default_rng(0)
    template = vec_env.reset()
    observations = {key: rng.random((64, *value.shape[1:])).astype(value.dtype) for key, value in template.items()}
    observations["action_mask"] = np.tile(np.array([0, 0, 1, 0], dtype=np.int8), (64, 1))
    assert (SB3Chooser(agent).choose(observations) == 2).all()


def test_what_is_wrong_is_named(vec_env, tmp_path):
    with pytest.raises(ValueError, match="algorithm must be one of ppo, a2c, dqn, maskable_ppo, got 'sac'"):
        make_agent("sac", vec_env, {}, 0)
    with pytest.raises(TypeError, match="no_such_setting"):
        made("a2c", vec_env, no_such_setting=1)
    save_policy(made("a2c", vec_env), tmp_path / "policy.safetensors")
    with pytest.raises(ModelError, match="expected the weights of a DQN policy"):
        load_policy(made("dqn", vec_env), tmp_path / "policy.safetensors")
