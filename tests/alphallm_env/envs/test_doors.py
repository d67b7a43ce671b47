"""The same trajectory earns the same rewards through every door, under the shipped critics and the verifier."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

from alphallm_env.adapters.trl_grpo import ToolEnvironment
from alphallm_env.envs.wrappers import ComposeReward, TokenBudget
from alphallm_env.grading import extract_answer, grade
from alphallm_env.mdp.dynamics import initial_state, transition
from alphallm_env.problems import load_problems
from alphallm_env.types import Ending, Option

SYMBOLIC = "AlphaLLM/GSMSymbolic-v1"
[PROBLEM] = load_problems("gsm_symbolic", "test", 1)
RIGHT = ("First I think about it.\n", "1 + 1 = 2\nThat was two lines.\n", f"#### {PROBLEM.answer}\n")
WRONG = (*RIGHT[:2], "#### 123456\n")


def make(reward):
    return gym.make(SYMBOLIC, limit=1, reward=reward)


def through_make(reward, texts):
    env = make(reward)
    env.reset(seed=0)
    return [env.step(text)[1] for text in texts]


def through_options(reward, texts):
    env = make(reward)
    env.reset(seed=0)
    return [env.step(Option(text, 3))[1] for text in texts]


def through_the_simulator(reward, texts):
    """As an asynchronous planner goes: pure transitions, and the critics asked about all states at once."""
    simulator = make(reward).unwrapped.simulator
    states = [initial_state(PROBLEM)]
    for text in texts:
        states.append(transition(states[-1], Option(text, 3), simulator.rules).state)
    assert states[-1].ending is Ending.ANSWERED
    if reward == "verifier":
        verdict = grade(extract_answer(states[-1].text), PROBLEM.answer)
        return [0.0] * (len(texts) - 1) + [float(verdict.value == "correct")]
    prm = simulator.engine.run(simulator.score("prm", states[1:-1]))
    return [*prm, *simulator.engine.run(simulator.score("orm", states[-1:]))]


def through_a_vector(reward, texts):
    envs = gym.make_vec(SYMBOLIC, num_envs=2, limit=1, reward=reward)
    envs.reset(seed=0)
    rewards = [envs.step((text, text))[1] for text in texts]
    envs.close()
    assert all(one == pytest.approx(other, abs=1e-4) for one, other in rewards)
    return [one for one, _ in rewards]


def through_tools(reward, texts):
    tools = ToolEnvironment(make(reward))
    tools.reset(problem_id=PROBLEM.id)
    returns = [0.0]
    for text in texts[:-1]:
        tools.choose_option(text)
        returns.append(tools.get_reward())
    tools.submit_answer(texts[-1].removeprefix("#### "))
    return np.diff([*returns, tools.get_reward()]).tolist()


def through_wrappers(reward, texts):
    env = TokenBudget(ComposeReward(make(reward), {"env": 1.0}), 100_000)
    env.reset(seed=0)
    return [env.step(text)[1] for text in texts]


def through_restored_states(reward, texts):
    env = make(reward)
    env.reset(seed=0)
    rewards = []
    for text in texts:
        state = env.unwrapped.clone_state()
        env.unwrapped.restore_state(initial_state(PROBLEM))
        env.unwrapped.restore_state(type(state).from_bytes(state.to_bytes()))
        rewards.append(env.step(text)[1])
    return rewards


def through_torchrl(reward, texts):
    envs = pytest.importorskip("torchrl.envs", reason="needs torchrl", exc_type=ImportError)
    env = envs.GymWrapper(make(reward))
    data = env.reset()
    rewards = []
    for text in texts:
        data["action"] = text
        data = env.step(data)["next"]
        rewards.append(data["reward"].item())
    assert data["terminated"].item()
    assert data["observation"] == f"{PROBLEM.question}\n\n{''.join(texts)}"
    return rewards


DOORS = [
    through_options, through_the_simulator, through_a_vector, through_tools, through_wrappers,
    through_restored_states, through_torchrl,
]  # fmt: skip


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("reward", ["critics", "verifier"])
@pytest.mark.parametrize("texts", [RIGHT, WRONG], ids=["right", "wrong"])
def test_the_rewards_are_the_same(door, reward, texts):
    expected = through_make(reward, texts)
    assert door(reward, texts) == pytest.approx(expected, abs=1e-4)
    if reward == "verifier":
        assert expected == [0.0, 0.0, float(texts is RIGHT)]
    else:
        assert all(0.0 < one < 1.0 for one in expected)
