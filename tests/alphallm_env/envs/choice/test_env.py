import copy
import json
import pickle

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import data_equivalence
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.vec_env import DummyVecEnv

from alphallm_env import (
    ChoiceState,
    MathReasoningEnv,
    ModelError,
    OptionChoiceEnv,
    ProblemError,
    Rules,
    StateError,
    StopReason,
)
from alphallm_env.errors import CriticError
from alphallm_env.lm.base import Completion
from alphallm_env.runtime.metering import Meter, metering

INFO_KEYS = {
    "problem_id": str,
    "depth": int,
    "num_tokens": int,
    "discount": float,
    "reward_prm": float,
    "reward_orm": float,
    "ending": str,
    "verdict": str,
    "is_success": bool,
    "action_mask": np.ndarray,
    "invalid_action": bool,
    "option": str,
    "text": str,
}
LINES = {"a\n": -1.0, "b\n": -20.0, "c\n": -50.0}  # texts with their log-probabilities


@pytest.fixture
def make_sure_lm(make_embedding_lm):
    """Returns a maker of models that know only so many lines, and answer after the second."""

    def make(num_lines):
        lm = make_embedding_lm()

        def complete(request):
            if request.prompt.count("\n") > 1:
                return Completion("#### 5", 4, -0.1, StopReason.END_OF_TEXT)
            text, log_prob = list(LINES.items())[request.seed % num_lines]
            return Completion(text, 64, log_prob, StopReason.RULE)

        lm._complete = complete
        return lm

    return make


def play(env, actions):
    """Returns what each step gave, up to the end of the episode."""
    steps = []
    for action in actions:
        steps.append(env.step(action))
        if steps[-1][2] or steps[-1][3]:
            break
    return steps


def same(one, other):
    return data_equivalence(one, other, exact=True)


# What is offered, and seen


def test_the_options_on_offer_differ_and_actions_take_them(make_choice):
    env = make_choice(num_options=5)
    env.reset(seed=0)
    options = env.proposals.options
    assert len({option.text for option in options}) == len(options) == 5
    _, reward, _, _, info = env.step(3)
    assert info["option"] == options[3].text == env.clone_state().state.text
    assert info["text"] == f"{env.clone_state().state.question}\n\n{options[3].text}"
    assert reward == info["reward_prm"] > 0


def test_the_observation_says_what_is_known_of_each_option(make_choice, make_sure_lm):
    env = make_choice(make_sure_lm(3), Rules(max_options=4, max_tokens=640, max_option_tokens=128), num_options=4)
    env.reset(seed=0)
    proposals = env.proposals
    observation, *_ = env.step(0)
    assert observation["depth"].tolist() == [0.25]  # 1 of 4 options
    assert observation["budget_left"].tolist() == pytest.approx([0.9])  # 64 of 640 tokens are used
    observation, _ = env.reset(seed=0)
    by_text = {option.text: index for index, option in enumerate(proposals.options)}
    assert observation["action_mask"].tolist() == [1, 1, 1, 0]
    log_probs = {text: observation["log_prob"][index] for text, index in by_text.items()}
    assert log_probs == pytest.approx({"a\n": -0.1, "b\n": -2.0, "c\n": -3.0})  # tens of nats, cut at -30 nats
    assert observation["length"].tolist() == [0.5, 0.5, 0.5, 0.0]  # 64 of 128 tokens
    for name in ("prm", "value", "ends"):
        assert observation[name].tolist() == pytest.approx([*map(float, getattr(proposals, name)), 0.0])
    assert observation["embedding"].tolist() == proposals.embedding.tolist()


def test_critics_judge_the_option_and_the_state_after_it(make_choice):
    env = make_choice()
    env.reset(seed=0)
    state, proposals = env.clone_state().state, env.proposals
    children = [env.transition(state, option).state for option in proposals.options]
    engine = env.simulator.engine
    assert engine.run(env.simulator.score("prm", children)) == list(proposals.prm)
    assert engine.run(env.simulator.score("value", children)) == list(proposals.value)
    [embedding] = engine.run(env.simulator.embed([state]))
    assert embedding.tolist() == proposals.embedding.tolist()


def test_a_dead_end_is_worth_nothing_and_no_critic_is_asked(make_choice, make_embedding_lm):
    lm = make_embedding_lm()
    lm._complete = lambda request: Completion("I give up.", 4, -1.0, StopReason.END_OF_TEXT)
    env = make_choice(lm)
    observation, _ = env.reset(seed=0)
    assert (observation["prm"][0], observation["value"][0], observation["ends"][0]) == (0.0, 0.0, 1.0)
    _, reward, terminated, truncated, info = env.step(0)
    assert (reward, terminated, truncated, info["ending"], info["verdict"]) == (
        0.0,
        True,
        False,
        "dead_end",
        "unanswered",
    )
    assert not [prompt for prompt in lm.prompts if "<|step|>" in prompt]


def test_info_keeps_its_keys_and_types_and_arrays_are_fresh(make_choice):
    env = make_choice()
    _, info = env.reset(seed=0)
    infos = [info, *(step[4] for step in play(env, [0] * 9))]
    assert infos[-1]["ending"] == "answered"
    for info in infos:
        assert {key: type(value) for key, value in info.items()} == INFO_KEYS
    masks = [info["action_mask"] for info in infos]
    assert all(mask.dtype == np.int8 and mask.any() for mask in masks)
    assert len({id(mask) for mask in masks}) == len(masks)


@settings(max_examples=25)
@given(actions=st.lists(st.integers(0, 3), max_size=8), seed=st.integers(0, 5))
def test_what_is_seen_lies_in_the_space(make_choice, actions, seed):
    env = make_choice(rules=Rules(max_options=6))
    observation, _ = env.reset(seed=seed)
    assert observation in env.observation_space
    for observation, reward, terminated, truncated, _ in play(env, actions):
        assert observation in env.observation_space
        assert [type(what) for what in (reward, terminated, truncated)] == [float, bool, bool]


def test_it_flattens_to_one_vector(make_choice):
    env = gym.wrappers.FlattenObservation(make_choice(num_options=4))
    observation, _ = env.reset(seed=0)
    assert observation.shape == (6 * 4 + 2 + 3,)


def test_proposals_are_a_function_of_seed_problem_and_path(make_choice):
    env, other = make_choice(), make_choice()
    start = {"problem_id": "p/one"}
    assert same(env.reset(seed=5, options=start), other.reset(seed=5, options=start))
    other.reset(seed=9)
    play(other, [1, 1])
    other.restore_state(env.clone_state())
    assert same(play(env, [2, 0, 1, 1]), play(other, [2, 0, 1, 1]))
    texts = {env.reset(seed=seed, options=start)[1]["text"] + env.proposals.options[0].text for seed in range(5)}
    assert len(texts) > 1, "another seed must give other proposals"


def test_the_gold_answer_is_never_seen(make_choice, make_embedding_lm, problems):
    lm = make_embedding_lm()
    env = make_choice(lm)
    seen = []
    for problem in problems:
        seen += env.reset(seed=0, options={"problem_id": problem.id})
        for step in play(env, [0] * 9):
            seen += [step, env.render(), env.clone_state().to_bytes().decode()]
    for problem in problems:
        assert not [what for what in map(str, seen + lm.prompts) if problem.answer in what or "secret" in what]


# Rewards: the same through text


@pytest.mark.parametrize("reward", ["critics", "verifier"])
def test_the_same_options_earn_the_same_reward_as_text(make_choice, reward):
    env = make_choice(reward=reward)
    text = MathReasoningEnv.from_parts(env.simulator, list(env._problems.values()), reward=reward)
    _, info = env.reset(seed=3)
    text.reset(options={"problem_id": info["problem_id"]})
    ended = False
    while not ended:
        option = env.proposals.options[1]
        _, reward_here, ended, _, info = env.step(1)
        observation, reward_there, *_, info_there = text.step(option)
        assert (observation, reward_there) == (info["text"], reward_here)
        assert info_there.items() <= info.items()


def test_what_models_do_in_a_step_is_counted_once_for_each_meter(make_choice):
    env = make_choice()
    start = env.reset(seed=0) and env.clone_state()
    costs = []
    for _ in range(2):
        with metering(Meter()) as meter:
            for _ in range(2):  # the second time is free
                env.restore_state(start)
                env.step(0)
                costs.append(meter.usage)
    assert costs[0] == costs[1] == costs[2] == costs[3]
    assert min(costs[0].policy_tokens, costs[0].critic_tokens) > 0


def test_a_failing_model_leaves_the_episode_where_it_was(make_choice):
    env = make_choice()
    env.reset(seed=0)
    before, critic = env.clone_state(), env.simulator.critics.prm
    evaluate = critic.evaluate

    async def fail(states):
        raise CriticError("no label")

    critic.evaluate = fail
    with pytest.raises(CriticError, match="no label"):
        env.step(0)
    upcoming = env.np_random.bit_generator.state
    with pytest.raises(CriticError, match="no label"):
        env.reset()
    assert env.np_random.bit_generator.state == upcoming
    critic.evaluate = evaluate
    assert env.clone_state() is before
    assert env.step(0)[4]["depth"] == 1


# Masks and invalid actions


@pytest.fixture
def make_masked(make_choice, make_sure_lm):
    """Returns a maker of environments in which actions 0 and 1 are on offer at first, of four."""

    def make(**arguments):
        env = make_choice(make_sure_lm(2), Rules(max_options=3), **arguments)
        env.reset(seed=0)
        return env

    return make


def test_the_three_masks_agree(make_masked):
    env = make_masked()
    for go in (lambda: env.reset(seed=0), lambda: env.step(1)[::4], lambda: env.step(0)[::4], lambda: env.step(0)[::4]):
        seen, info = go()
        assert seen["action_mask"].tolist() == info["action_mask"].tolist() == env.action_masks().astype(int).tolist()
    assert env.action_masks().all()  # the episode has ended
    assert env.action_masks().dtype == np.bool_


def test_masks_go_through_wrappers_and_the_vectors_of_sb3(make_masked):
    wrapped = gym.wrappers.TimeLimit(make_masked(), 5)
    assert wrapped.get_wrapper_attr("action_masks")().tolist() == [True, True, False, False]
    vector = DummyVecEnv([make_masked, make_masked])
    vector.reset()
    assert np.stack(vector.env_method("action_masks")).shape == (2, 4)


@pytest.mark.parametrize(("how", "paid"), [("penalty", -0.25), ("noop", 0.0)])
def test_an_invalid_action_changes_nothing_but_the_steps_left(make_masked, how, paid):
    env = make_masked(invalid_action=how, invalid_penalty=0.25)
    before = env.clone_state()
    observation, reward, terminated, truncated, info = env.step(3)
    assert (reward, terminated, truncated) == (paid, False, False)
    assert (info["invalid_action"], info["option"], info["depth"], info["discount"]) == (True, "", 0, 1.0)
    assert env.clone_state().state is before.state
    assert env.proposals is before.proposals
    assert observation["depth"].tolist() == pytest.approx([1 / 3])
    env.step(3)
    _, _, terminated, truncated, info = env.step(3)
    assert (terminated, truncated, info["ending"], info["verdict"]) == (False, True, "out_of_options", "unanswered")
    with pytest.raises(StateError, match="ended: out_of_options"):
        env.step(0)


def test_options_after_invalid_actions_run_out_of_steps_too(make_masked):
    env = make_masked()
    play(env, [3, 3])
    observation, _, terminated, truncated, info = env.step(0)
    assert (terminated, truncated, info["ending"], info["depth"]) == (False, True, "out_of_options", 1)
    assert observation["embedding"].any(), "what follows a cut is estimated from its embedding"
    assert observation["action_mask"].all()


def test_an_invalid_action_can_end_the_episode(make_masked):
    env = make_masked(invalid_action="terminate")
    _, reward, terminated, truncated, info = env.step(2)
    assert (reward, terminated, truncated, info["ending"]) == (-0.1, True, False, "invalid_action")
    assert (info["discount"], info["verdict"], info["is_success"]) == (0.0, "unanswered", False)
    assert "invalid action" in env.render()


@pytest.mark.parametrize(
    ("actions", "settings", "penalties"),
    [
        ([0, 2], {"invalid_action": "terminate"}, -0.1),
        ([0, 3, 3], {}, -0.2),  # the second uses up the last step
        ([0, 3, 3], {"invalid_action": "noop"}, 0.0),
        ([3, 3, 0], {}, -0.2),
    ],
)
def test_an_episode_that_ends_without_an_answer_earns_penalties_only(make_masked, actions, settings, penalties):
    """The first option earns the PRM's score, which the end takes back, whatever ends the episode."""
    env = make_masked(**settings)
    rewards, ended, info = [], False, {}
    for action in actions:
        _, reward, terminated, truncated, info = env.step(action)
        rewards.append(reward)
        ended = terminated or truncated
    assert ended
    assert info["verdict"] == "unanswered"
    assert sum(rewards) == pytest.approx(penalties)
    assert max(rewards) > 0 or actions[0] == 3
    assert f"return: {rewards[actions.index(0)]:.2f}" in env.render()  # of options, without penalties


def test_a_restored_episode_pays_back_the_same(make_masked):
    rewards = []
    for is_restored in (False, True):
        env = make_masked(invalid_action="terminate")
        env.step(0)
        if is_restored:
            snapshot = env.clone_state()
            env = make_masked(invalid_action="terminate")
            env.restore_state(snapshot)
            env.clear_cache()
        [query] = env.queries_of_step(3)
        env.simulator.engine.run(env.prefetch([query]))
        rewards.append(env.step(3)[1])
    assert rewards[0] == rewards[1] < -0.1


def test_an_invalid_action_can_be_an_error_that_loses_nothing(make_masked):
    env = make_masked(invalid_action="raise")
    before = env.clone_state()
    with pytest.raises(ValueError, match="one of the 2 on offer, got 3"):
        env.step(3)
    assert env.clone_state() is before


@pytest.mark.parametrize("action", [4, -1, 1.0, "1", None])
def test_an_action_outside_the_space_is_misuse(make_masked, action):
    env = make_masked()
    with pytest.raises(ValueError, match=r"action must be in Discrete\(4\), got"):
        env.step(action)


@pytest.mark.parametrize("action", [1, np.int64(1), np.array(1)])
def test_whole_numbers_of_every_kind_are_actions(make_masked, action):
    assert make_masked().step(action)[4]["depth"] == 1


@pytest.mark.parametrize(
    ("algorithm", "arguments"),
    [(PPO, {"n_steps": 16, "batch_size": 8}), (DQN, {"learning_starts": 8, "buffer_size": 64})],
)
def test_agents_of_stable_baselines_learn_on_it(make_choice, algorithm, arguments):
    agent = algorithm("MultiInputPolicy", make_choice(), seed=0, **arguments)
    before = [weights.clone() for weights in agent.policy.parameters()]
    agent.learn(32)
    assert any((one != other).any() for one, other in zip(before, agent.policy.parameters(), strict=True))


def test_maskable_ppo_never_chooses_what_is_not_on_offer(make_choice, make_sure_lm):
    contrib = pytest.importorskip("sb3_contrib")
    env = make_choice(make_sure_lm(2), Rules(max_options=3), invalid_action="raise")
    contrib.MaskablePPO("MultiInputPolicy", env, seed=0, n_steps=32, batch_size=16).learn(64)


# Snapshots


@settings(max_examples=25)
@given(
    before=st.lists(st.integers(0, 3), max_size=3),
    after=st.lists(st.integers(0, 3), max_size=6),
    elsewhere=st.lists(st.integers(0, 3), max_size=4),
    seed=st.integers(0, 5),
)
def test_a_restored_state_replays_to_the_bit(make_choice, before, after, elsewhere, seed):
    env = make_choice(rules=Rules(max_options=6))
    env.reset(seed=seed)
    play(env, before)
    snapshot = env.clone_state()
    if snapshot.ending is not None:
        return
    first, end = play(env, after), env.clone_state()
    env.reset()
    play(env, elsewhere)
    env.restore_state(ChoiceState.from_bytes(snapshot.to_bytes()))
    assert env.clone_state() == snapshot
    assert same(play(env, after), first)
    assert env.clone_state() == end


def test_snapshots_are_free_hashable_and_go_through_pickle_and_bytes(make_choice):
    env = make_choice()
    env.reset(seed=0)
    play(env, [0, 1])
    snapshot = env.clone_state()
    assert env.clone_state() is snapshot
    for again in (pickle.loads(pickle.dumps(snapshot)), ChoiceState.from_bytes(snapshot.to_bytes())):
        assert again == snapshot
        assert hash(again) == hash(snapshot)
        env.restore_state(again)
        assert env.proposals.options == snapshot.proposals.options
        assert env.proposals.prm == snapshot.proposals.prm
        assert env.proposals.embedding.tobytes() == snapshot.proposals.embedding.tobytes()
    json.loads(snapshot.to_bytes())
    for damaged in (
        b"",
        b"[]",
        b'["x", Infinity, 0, null, "{}"]',
        snapshot.to_bytes()[:-9],
        b'["x", 1, 0, null, "{}"]',
    ):
        with pytest.raises(StateError, match="expected the bytes of a "):
            ChoiceState.from_bytes(damaged)


def test_a_snapshot_with_its_generator_repeats_the_next_episodes(make_choice):
    env = make_choice()
    env.reset(seed=3)
    snapshot = env.clone_state(include_rng=True)
    upcoming = [env.reset() for _ in range(3)]
    env.restore_state(snapshot)
    assert same([env.reset() for _ in range(3)], upcoming)


def test_snapshots_of_other_environments_are_refused(make_choice):
    env, other = make_choice(), make_choice(num_options=6)
    for each in (env, other):
        each.reset(seed=0)
    with pytest.raises(StateError, match="at most 4 options and an embedding of 3, got 6 and 3"):
        env.restore_state(other.clone_state())
    with pytest.raises(StateError, match="expected a ChoiceState, as clone_state returns it, got State"):
        env.restore_state(env.clone_state().state)
    for call in (lambda env: env.step(0), lambda env: env.render(), lambda env: env.action_masks()):
        with pytest.raises(ResetNeeded):
            call(make_choice())


def test_a_deep_copy_shares_the_models_and_nothing_that_moves(make_choice):
    env = make_choice()
    env.reset(seed=0)
    copied = copy.deepcopy(env)
    assert copied.simulator is env.simulator
    first = env.step(1)
    assert copied.clone_state().state.depth == 0
    assert same(copied.step(1), first)
    assert same(copied.reset(), env.reset())


# Pictures


def test_render_modes(make_choice, capsys):
    env = make_choice()
    env.reset(options={"problem_id": "p/one"}, seed=0)
    env.step(0)
    shown = env.render()
    assert all(option.text.strip() in shown for option in env.proposals.options)
    assert f"{env.proposals.prm[0]:.2f}" in shown
    human = make_choice(render_mode="human")
    human.reset(seed=0)
    human.step(0)
    assert capsys.readouterr().out.count("on offer") == 2
    picture = make_choice(render_mode="rgb_array", num_options=12)
    picture.reset(seed=0)
    assert (picture.render().dtype, picture.render().shape) == (np.uint8, (540, 960, 3))


def test_closing_twice_is_fine(make_choice):
    env = make_choice()
    env.close()
    env.close()


# Construction


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_options": 0}, "num_options must be >= 1, got 0"),
        ({"invalid_action": "ignore"}, "invalid_action must be one of .*, got 'ignore'"),
        ({"invalid_penalty": -1.0}, "invalid_penalty must be >= 0, got -1.0"),
        ({"reward": "praise"}, "reward must be one of potential, critics, verifier, module:attribute, got 'praise'"),
        ({"problems": ""}, "needs problems="),
        ({"option_rule": "word"}, "termination rule must be one of"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        OptionChoiceEnv(**arguments)
    assert issubclass(ProblemError, ValueError)


def test_models_that_are_missing_are_named_at_once(make_simulator, make_choice, make_lm, problems):
    with pytest.raises(CriticError, match="'value' is needed"):
        OptionChoiceEnv.from_parts(make_simulator(), problems)
    mute = make_choice().simulator
    object.__setattr__(mute, "policy", make_simulator(make_lm()).policy)
    with pytest.raises(ModelError, match=r"'recording' shows no hidden states .*: pass embedding=False"):
        OptionChoiceEnv.from_parts(mute, problems)
    env = OptionChoiceEnv.from_parts(mute, problems, embedding=False)
    assert "embedding" not in env.reset(seed=0)[0]


def test_the_docstring_has_gymnasiums_sections():
    sections = [
        "Description", "Action Space", "Observation Space", "Starting State", "Rewards", "Episode End",
        "Information", "Arguments", "Version History",
    ]  # fmt: skip
    found = [line.strip()[3:] for line in OptionChoiceEnv.__doc__.splitlines() if line.strip().startswith("## ")]
    assert found == sections
