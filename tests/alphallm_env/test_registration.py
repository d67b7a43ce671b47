import pickle
import warnings

import cloudpickle
import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env, data_equivalence
from stable_baselines3.common.env_checker import check_env as check_env_for_sb3

from alphallm_env import ENVIRONMENTS, ProblemError
from alphallm_env.mdp.rewards import CriticsReward, PotentialReward, VerifierReward

GENERATED = ("Symbolic", "Countdown")  # in the names of ids whose problems need no file
CHOICES = [name for name in ENVIRONMENTS if "Choice" in name]


@pytest.fixture(scope="module")
def arguments(tmp_path_factory):
    """Returns for each id what `make` needs to run without a network."""
    path = tmp_path_factory.mktemp("problems") / "problems.jsonl"
    path.write_text('{"question": "How much is 2 + 3?", "answer": 5}\n{"question": "What is 7 - 3?", "answer": 4}\n')
    short = {"max_tokens": 64, "max_option_tokens": 16}
    return {
        name: {"limit": 2} if any(word in name for word in GENERATED) else {"problems": str(path), **short}
        for name in ENVIRONMENTS
    }


def test_the_table_has_a_text_and_a_choice_id_for_each_set_of_problems():
    names = {"GSMSymbolic", "GSM8K", "MATH", "GSMSymbolicChoice", "GSM8KChoice", "MATHChoice"}
    versions = {f"AlphaLLM/{name}-v{version}" for name in names for version in (0, 1)}
    assert set(ENVIRONMENTS) == versions | {"AlphaLLM/Countdown-v0", "AlphaLLM/CountdownChoice-v0"}
    assert set(ENVIRONMENTS) <= set(gym.registry)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_spec_goes_to_json_and_back(name, arguments):
    env = gym.make(name, max_options=3, **arguments[name])
    for spec in (gym.spec(name), env.spec):
        assert EnvSpec.from_json(spec.to_json()) == spec
    again = gym.make(EnvSpec.from_json(env.spec.to_json()))
    assert again.unwrapped.rules == env.unwrapped.rules
    assert again.unwrapped.problem_ids == env.unwrapped.problem_ids
    assert again.observation_space == env.observation_space


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_both_checkers_pass_without_a_warning_on_the_shipped_models(name, arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if gym.spec(name).version == 0 and "Countdown" not in name:
            warnings.filterwarnings("ignore", "(?s).*is out of date", DeprecationWarning)
        env = gym.make(name, **arguments[name])
        check_env(env.unwrapped)
        if name in CHOICES:
            check_env_for_sb3(env)


@pytest.mark.parametrize(("version", "reward"), [(0, CriticsReward()), (1, PotentialReward())])
@pytest.mark.parametrize("kind", ["", "Choice"])
def test_each_version_keeps_its_reward(kind, version, reward, arguments):
    name = f"AlphaLLM/GSMSymbolic{kind}-v{version}"
    assert gym.make(name, **arguments[name]).unwrapped.reward_function == reward
    assert gym.make(name, **arguments[name], reward="verifier").unwrapped.reward_function == VerifierReward()


@pytest.mark.parametrize("name", [n for n in ENVIRONMENTS if not any(word in n for word in GENERATED)])
@pytest.mark.parametrize("make", [gym.make, gym.make_vec])
def test_benchmarks_say_that_they_need_problems(name, make):
    with pytest.raises(ProblemError, match=r"needs problems=….*\.jsonl"):
        make(name)


@pytest.mark.parametrize("name", [n for n in ENVIRONMENTS if any(word in n for word in GENERATED)])
def test_rollouts_from_forgetful_models_are_equal_to_the_last_bit(name, arguments):
    def rollout():
        env = gym.make(name, **arguments[name])
        env.unwrapped.clear_cache()
        env.action_space.seed(1)
        found = [env.reset(seed=1)]
        for _ in range(4):
            found.append(env.step(env.action_space.sample()))
            if found[-1][2] or found[-1][3]:
                found.append(env.reset())
        return found

    assert data_equivalence(rollout(), rollout(), exact=True)


@pytest.mark.parametrize("name", [n for n in ENVIRONMENTS if any(word in n for word in GENERATED)])
def test_a_restored_state_replays_to_the_bit_on_the_shipped_models(name, arguments):
    env = gym.make(name, **arguments[name])
    env.reset(seed=0)
    start, action = env.unwrapped.clone_state(), 0 if name in CHOICES else "2 + 3 = 5\n"
    first = env.step(action)
    env.unwrapped.simulator.clear_cache()  # the critics' prefixes and notes: numbers computed anew differ in last bits
    env.unwrapped.restore_state(start)
    assert data_equivalence(env.step(action), first, exact=True)


@pytest.mark.parametrize("name", [n for n in ENVIRONMENTS if any(word in n for word in GENERATED)])
def test_an_environment_made_by_name_can_be_pickled(name, arguments):
    env = gym.make(name, **arguments[name]).unwrapped
    env.reset(seed=0)
    again = pickle.loads(pickle.dumps(env))
    assert again.clone_state() == env.clone_state()
    assert pickle.loads(pickle.dumps(env.clone_state(include_rng=True))) == env.clone_state(include_rng=True)
    for space in (env.action_space, env.observation_space):
        assert pickle.loads(pickle.dumps(space)) == space
    action = env.action_space.sample()
    ours, theirs = env.step(action), again.step(action)
    assert np.isclose(ours[1], theirs[1], atol=1e-4)
    assert (ours[4]["ending"], ours[4]["depth"]) == (theirs[4]["ending"], theirs[4]["depth"])
    made = pickle.loads(cloudpickle.dumps(lambda: gym.make(name, **arguments[name])))()
    assert made.unwrapped.problem_ids == env.problem_ids


def test_an_environment_around_given_models_says_why_it_cannot_be_pickled(make_env):
    with pytest.raises(TypeError, match="around given models cannot be pickled: name policy and critics"):
        pickle.dumps(make_env())
