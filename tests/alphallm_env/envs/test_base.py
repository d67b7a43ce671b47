"""What both environments have in common: options of the policy at the current state, and rewards of one's own."""

import threading

import gymnasium as gym
import pytest
from gymnasium.error import ResetNeeded

from alphallm_env import CriticError, MathReasoningEnv, ModelError, Option, Rules, StateError
from alphallm_env.mdp.rewards import Reward
from alphallm_env.runtime.metering import Meter, metering

FIRST_ACTION = {"make_env": "2 + 3\n", "make_choice": 0}


@pytest.fixture(params=["make_env", "make_choice"])
def name(request):
    return request.param


@pytest.fixture
def make(request, name):
    return request.getfixturevalue(name)


def test_proposing_moves_nothing(make):
    env = make()
    env.reset(seed=0)
    before, generator = env.clone_state(), env.np_random.bit_generator.state
    options = env.propose(5, seed=1)
    assert [type(option) for option in options] == [Option] * 5
    assert env.clone_state() is before
    assert env.np_random.bit_generator.state == generator
    assert all(option.text.endswith("\n") or option.text.startswith("####") for option in options)


def test_options_are_a_function_of_state_and_seed(make, name):
    env, other = make(), make()
    for each in (env, other):
        each.reset(seed=0, options={"problem_id": "p/one"})
    first = env.propose(4, seed=1)
    assert first == env.propose(4, seed=1) == other.propose(4, seed=1)
    assert first[:2] == env.propose(2, seed=1), "option i does not depend on how many there are"
    assert first != env.propose(4, seed=2)
    env.step(FIRST_ACTION[name])
    assert first != env.propose(4, seed=1)
    other.restore_state(env.clone_state())
    assert env.propose(4, seed=1) == other.propose(4, seed=1)


def test_they_are_those_of_the_simulator(make):
    env = make()
    env.reset(seed=0)
    state = env.clone_state()
    state = getattr(state, "state", state)
    engine, simulator = env.simulator.engine, env.simulator
    assert env.propose(3, 7) == engine.run(simulator.propose(state, 3, 7))
    assert env.propose(3, 7, temperature=0.0) == engine.run(simulator.propose(state, 3, 7, temperature=0.0))
    [whole] = env.propose(1, 7, to_the_end=True)
    assert env.transition(state, whole).terminated


def test_what_proposing_costs_is_counted(make):
    env = make()
    env.reset(seed=0)
    with metering(Meter()) as meter:
        options = env.propose(3, seed=0)
    assert meter.usage.policy_tokens == sum(option.num_tokens for option in options) > 0


def test_threads_share_batches(make_env, make_lm):
    lm = make_lm()
    envs = [make_env(lm)]
    envs += [MathReasoningEnv.from_parts(envs[0].simulator, list(envs[0]._problems.values())) for _ in range(3)]
    engine, found, together = envs[0].simulator.engine, {}, threading.Barrier(4)
    for env in envs:
        env.reset(seed=0)

    def search(index):
        with engine.participant():
            together.wait()
            found[index] = envs[index].propose(2, seed=index)

    threads = [threading.Thread(target=search, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(lm.batch_sizes) == 8
    assert max(lm.batch_sizes) > 2
    assert found[2] == envs[0].propose(2, seed=2)


def test_there_is_nothing_to_propose_before_and_after_an_episode(make, name):
    env = make(rules=Rules(max_options=1))
    with pytest.raises(ResetNeeded):
        env.propose(1, seed=0)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="num_options must be >= 1, got 0"):
        env.propose(0, seed=0)
    env.step(FIRST_ACTION[name])
    with pytest.raises(StateError, match="one that has ended: out_of_options"):
        env.propose(1, seed=0)


def test_an_episode_that_an_invalid_action_ended_has_no_options_either(make_choice, make_embedding_lm):
    lm = make_embedding_lm()
    lm._complete = lambda request, complete=lm._complete: complete(request.__class__("one", 0, 9))
    env = make_choice(lm, invalid_action="terminate")
    env.reset(seed=0)
    env.step(3)  # all samples are one option: only action 0 is on offer
    with pytest.raises(StateError, match="ended: invalid_action"):
        env.propose(1, seed=0)


class ValueGain:
    """Pays the value of the new state, and a tenth for an answer."""

    critics = ("value",)
    needs_answers = False

    def critics_for(self, state):
        return ("value",) if state.ending is None else ()

    def reward(self, state, problem, scores):
        return Reward(other=scores["value"] if state.ending is None else 0.1)


@pytest.mark.parametrize("reward", [ValueGain(), f"{__name__}:ValueGain"])
def test_a_reward_of_ones_own_pays_the_same_in_both(make_choice, reward):
    env = make_choice(reward=reward)
    text = MathReasoningEnv.from_parts(env.simulator, list(env._problems.values()), reward=reward)
    _, info = env.reset(seed=3)
    text.reset(options={"problem_id": info["problem_id"]})
    ended, paid = False, []
    while not ended:
        option, value = env.proposals.options[1], env.proposals.value[1]
        _, here, ended, _, info = env.step(1)
        _, there, *_, info_there = text.step(option)
        assert here == there == (0.1 if ended else value)
        assert (info["reward_prm"], info_there["reward_prm"]) == (0.0, 0.0)
        paid.append(here)
    assert f"return: {sum(paid):.2f}" in env.render()


def test_critics_of_a_reward_are_required_at_once(make_simulator, problems):
    with pytest.raises(CriticError, match="'value' is needed"):
        MathReasoningEnv.from_parts(make_simulator(), problems, reward=ValueGain())


def test_a_vector_asks_for_a_reward_of_ones_own_in_one_batch(make_choice):
    env = make_choice(reward=ValueGain())
    text = MathReasoningEnv.from_parts(env.simulator, list(env._problems.values()), reward=ValueGain())
    text.reset(seed=0)
    [query] = text.queries_of_step("2 + 3\n")
    assert text.queries_of_step("#### 5\n") == []
    text.simulator.engine.run(text.prefetch([query]))
    with metering(Meter()) as meter:
        reward = text.step("2 + 3\n")[1]
    assert reward == text._rewards.cached(text.clone_state()).total > 0
    assert meter.usage.critic_tokens > 0, "this meter has not paid before"
    env.reset(seed=0)
    assert len(env.queries_of_step(0)) == 1, "the value came with the offer"


def test_a_smaller_model_may_roll_out(tmp_path):
    env = gym.make("AlphaLLM/GSMSymbolic-v1", limit=1, device="cpu").unwrapped
    assert env.simulator.rollout_policy is None
    other = gym.make("AlphaLLM/GSMSymbolic-v1", limit=1, device="cpu", rollout_policy="tiny").unwrapped
    assert other.simulator.rollout_policy.lm is other.simulator.policy.lm
    other = gym.make("AlphaLLM/GSMSymbolic-v1", limit=1, device="cpu", rollout_policy=str(tmp_path)).unwrapped
    with pytest.raises(ModelError, match=str(tmp_path)):
        _ = other.simulator
