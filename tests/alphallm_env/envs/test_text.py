import copy
import json
import pickle
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

import alphallm_env
from alphallm_env import (
    Critics,
    EnvSnapshot,
    MathReasoningEnv,
    Option,
    Problem,
    ProblemError,
    Rules,
    State,
    StateError,
    StopReason,
)
from alphallm_env.errors import CriticError
from alphallm_env.grading import Verdict
from alphallm_env.runtime.metering import Meter, metering

SYMBOLIC = "AlphaLLM/GSMSymbolic-v1"
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
}


def make_verifier(**arguments):
    return gym.make(SYMBOLIC, reward="verifier", limit=20, **arguments)


@pytest.fixture
def strict():
    """Turns every warning, Gymnasium's logger's included, into an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


# Gymnasium's contract


@pytest.mark.usefixtures("strict")
def test_gymnasiums_checker_passes_without_a_warning_for_the_verifier():
    check_env(make_verifier().unwrapped)


@pytest.mark.usefixtures("strict")
def test_gymnasiums_checker_passes_without_a_warning_for_critics(make_env):
    for mode in ("ansi", "human", "rgb_array"):
        check_env(make_env(render_mode=mode), skip_render_check=True, skip_close_check=True)


@pytest.mark.usefixtures("strict")
def test_text_and_options_pass_through_the_usual_wrappers():
    env = gym.make(f"alphallm_env:{SYMBOLIC}", reward="verifier", limit=5)
    env = gym.wrappers.RecordEpisodeStatistics(gym.wrappers.TimeLimit(env, 10))
    env.reset(seed=0)
    env.step(Option("2 + 3 = 5\n", num_tokens=7))
    *_, info = env.step("so there are five\n")
    assert (info["depth"], info["num_tokens"]) == (2, 11)
    assert Option("2 + 3 = 5\n", num_tokens=7) in env.action_space


def test_specs_are_json_and_make_equal_environments():
    spec = gym.spec(SYMBOLIC)
    assert gym.envs.registration.EnvSpec.from_json(spec.to_json()) == spec
    with_arguments = make_verifier(max_options=3).spec
    assert with_arguments is not None
    assert gym.make(with_arguments).unwrapped.rules.max_options == 3


def test_a_vector_of_environments_steps():
    envs = gym.make_vec(SYMBOLIC, num_envs=2, vectorization_mode="sync", reward="verifier", limit=5)
    observations, _ = envs.reset(seed=1)
    assert all(isinstance(observation, str) for observation in observations)
    observations, _, terminated, _, infos = envs.step(("two\n", "#### 5\n"))
    assert terminated.tolist() == [False, True]
    assert infos["depth"].tolist() == [1, 1]
    envs.close()


@pytest.mark.parametrize("name", ["AlphaLLM/GSM8K-v1", "AlphaLLM/MATH-v1"])
def test_benchmarks_say_that_they_need_problems(name):
    with pytest.raises(ProblemError, match=r"needs problems=….*\.jsonl"):
        gym.make(name)


def test_benchmarks_read_a_file(tmp_path):
    path = tmp_path / "problems.jsonl"
    path.write_text('{"question": "How much is 2 + 3?", "answer": 5}\n')
    env = gym.make("AlphaLLM/MATH-v1", problems=str(path), reward="verifier")
    assert env.unwrapped.rules.option_rule.name == "option"
    env.reset()
    _, reward, terminated, _, info = env.step("So \\boxed{5}.\n\n")
    assert (reward, terminated, info["verdict"], info["is_success"]) == (1.0, True, "correct", True)


def test_stepping_before_reset_is_refused(make_env):
    for call in (lambda env: env.step("a\n"), lambda env: env.render(), lambda env: env.clone_state()):
        with pytest.raises(ResetNeeded):
            call(make_env())


# Starting states


def test_one_seed_gives_one_sequence_of_questions(make_env):
    env, other = make_env(), make_env()
    first = [env.reset(seed=5)[0]] + [env.reset()[0] for _ in range(10)]
    assert first == [other.reset(seed=5)[0]] + [other.reset()[0] for _ in range(10)]
    assert len(set(first)) == 3


def test_a_problem_can_be_chosen(make_env, problems):
    env = make_env()
    assert env.problem_ids == ("p/one", "p/two", "p/three")
    observation, info = env.reset(options={"problem_id": "p/two"})
    assert (observation, info["problem_id"]) == (problems[1].question, "p/two")
    with pytest.raises(ProblemError, match="one of 3 problems, got 'p/four'"):
        env.reset(options={"problem_id": "p/four"})
    with pytest.raises(ValueError, match=r"got \['problem'\]"):
        env.reset(options={"problem": "p/two"})


# Observation, info and reward


def test_the_observation_is_the_question_and_the_solution_so_far(make_env, problems):
    env = make_env()
    env.reset(options={"problem_id": "p/one"})
    env.step("2 + 3\n")
    assert env.step("= 5\n")[0] == "How much is 2 + 3?\n\n2 + 3\n= 5\n"


@pytest.mark.parametrize("reward", ["potential", "critics", "verifier"])
def test_info_keeps_its_keys_and_types(make_env, reward):
    env = make_env(reward=reward)
    infos = [env.reset(seed=0)[1]] + [env.step(text)[4] for text in ("2 + 3\n", "π\n", "#### 5\n")]
    for info in infos:
        assert {key: type(value) for key, value in info.items()} == INFO_KEYS
        json.dumps(info)
    assert [info["depth"] for info in infos] == [0, 1, 2, 3]
    assert [info["num_tokens"] for info in infos] == [0, 3, 4, 6]
    assert [info["ending"] for info in infos] == ["", "", "", "answered"]
    assert [info["verdict"] for info in infos] == ["", "", "", "incorrect"]


def test_critics_reward_each_option_and_then_the_whole_solution(make_env):
    env = make_env(reward="critics")
    env.reset(seed=0)
    _, reward, *_, info = env.step("2 + 3 = 5\n")
    [prm] = env.simulator.engine.run(env.simulator.score("prm", [env.clone_state()]))
    assert reward == info["reward_prm"] == prm > 0.0
    assert info["reward_orm"] == 0.0
    _, reward, terminated, _, info = env.step("#### 5\n")
    [orm] = env.simulator.engine.run(env.simulator.score("orm", [env.clone_state()]))
    assert terminated
    assert reward == info["reward_orm"] == orm > 0.0
    assert info["reward_prm"] == 0.0


@pytest.mark.parametrize("rules", [Rules(), Rules(gamma=0.5), Rules(gamma=0.9, discount_per_token=True)])
def test_the_return_is_the_worth_of_the_whole_solution(make_env, rules):
    env = make_env(rules=rules)
    _, info = env.reset(seed=0)
    total, factor, ended = 0.0, info["discount"], False
    for text in ("2 + 3 = 5\n", "so 5\n", "#### 5\n"):
        _, reward, ended, _, info = env.step(text)
        total, factor = total + factor * reward, factor * info["discount"]
    assert ended
    depth = env.clone_state().num_tokens if rules.discount_per_token else 3
    assert total == pytest.approx(rules.gamma**depth * info["reward_orm"])
    assert info["reward_orm"] > 0.0


def test_after_restoring_a_state_the_reward_is_the_same(make_env):
    env, fresh = make_env(), make_env()
    env.reset(options={"problem_id": "p/one"})
    env.step("2 + 3 = 5\n")
    middle = env.clone_state()
    fresh.reset(seed=0)
    fresh.restore_state(middle)
    assert env.step("#### 5\n")[1] == fresh.step("#### 5\n")[1]


def test_a_dead_end_is_worth_nothing_and_asks_no_critic(make_env, make_lm):
    lm = make_lm()
    env = make_env(lm)
    env.reset(seed=0)
    _, reward, terminated, truncated, info = env.step(Option("I give up.", 4, None, StopReason.END_OF_TEXT))
    assert (reward, terminated, truncated, info["ending"]) == (0.0, True, False, "dead_end")
    assert (info["verdict"], info["is_success"]) == ("unanswered", False)
    assert lm.prompts == []


def test_a_cut_episode_gets_no_final_reward(make_env):
    for reward in ("potential", "critics", "verifier"):
        env = make_env(rules=Rules(max_options=2), reward=reward)
        env.reset(seed=0)
        first = env.step("2 + 3\n")[1]
        _, paid, terminated, truncated, info = env.step("is five\n")
        assert (terminated, truncated, info["ending"]) == (False, True, "out_of_options")
        assert (info["verdict"], info["is_success"], info["reward_orm"]) == ("unanswered", False, 0.0)
        assert paid == pytest.approx(-first if reward == "potential" else info["reward_prm"])


@pytest.mark.parametrize(
    ("verdict", "reward"),
    [(Verdict.CORRECT, 1.0), (Verdict.INCORRECT, 0.0), (Verdict.UNGRADABLE, 0.0)],
)
def test_the_verifier_tells_wrong_from_ungradable(make_env, monkeypatch, verdict, reward):
    monkeypatch.setattr("alphallm_env.grading.grade", lambda answer, gold: verdict)
    env = make_env(reward="verifier")
    env.reset(seed=0)
    assert env.step("a\n")[1] == 0.0
    _, paid, _, _, info = env.step("#### 5\n")
    assert (paid, info["verdict"], info["is_success"]) == (reward, verdict.value, reward == 1.0)


def test_a_problem_without_a_gold_answer_can_be_rewarded_by_critics_only(make_simulator):
    imagined = [Problem("imagined", "How much is 2 + 3?")]
    env = MathReasoningEnv.from_parts(make_simulator(), imagined)
    env.reset()
    *_, info = env.step("#### 5\n")
    assert (info["verdict"], info["is_success"]) == ("no_gold", False)
    with pytest.raises(ProblemError, match="'imagined' has none"):
        MathReasoningEnv.from_parts(make_simulator(), imagined, reward="verifier")


def test_the_discount_of_the_rules_is_told(make_env):
    env = make_env(rules=Rules(gamma=0.5, discount_per_token=True))
    assert env.reset(seed=0)[1]["discount"] == 1.0
    assert env.step(Option("2 + 3\n", 3))[4]["discount"] == 0.125
    assert env.step("#### 5\n")[4]["discount"] == 0.0


def test_the_gold_answer_is_never_seen(make_env, make_lm, problems):
    """Neither by the agent, nor by policy or critics; and not in any picture."""
    lm = make_lm()
    env = make_env(lm)
    seen: list[object] = []
    for problem in problems:
        seen += env.reset(options={"problem_id": problem.id})
        done = False
        while not done:
            [option] = env.simulator.engine.run(env.simulator.propose(env.clone_state(), 1, seed=0))
            observation, _, terminated, truncated, info = env.step(option)
            done = terminated or truncated
            seen += [observation, info, env.render(), env.clone_state().to_bytes().decode()]
    assert len(lm.prompts) > 6
    for problem in problems:
        assert not [what for what in map(str, seen + lm.prompts) if problem.answer in what or "secret" in what]


def test_what_critics_of_a_step_read_is_counted(make_env):
    env = make_env()
    env.reset(seed=0)
    with metering(Meter()) as meter:
        env.step("2 + 3\n")
    assert meter.usage.critic_tokens > 0


def test_a_failing_critic_leaves_the_state_where_it_was(make_env):
    env = make_env()
    env.reset(seed=0)
    before = env.clone_state()

    async def fail(states):
        raise CriticError("no label")

    critic, evaluate = env.simulator.critics.prm, env.simulator.critics.prm.evaluate
    critic.evaluate = fail
    with pytest.raises(CriticError, match="no label"):
        env.step("2 + 3\n")
    critic.evaluate = evaluate
    assert env.clone_state() is before
    assert env.step("2 + 3\n")[4]["depth"] == 1


# Actions


def test_any_text_is_an_action_and_several_lines_are_one_option(make_env):
    env = make_env()
    env.reset(seed=0)
    *_, info = env.step("Zuerst: 6 × 7 ≤ 42 🙂\nDann weiter\n")
    assert info["depth"] == 1
    assert env.step("")[4]["num_tokens"] == info["num_tokens"]
    assert env.step(" \n")[4]["num_tokens"] == info["num_tokens"] + 1  # a visible cost: it cannot go on for ever


@pytest.mark.parametrize("action", ["a" * 1281, Option("a" * 1281, 1), "\ud800", 5, None])
def test_an_action_outside_the_space_is_misuse(make_env, action):
    env = make_env(rules=Rules(max_tokens=10))
    env.reset(seed=0)
    before = env.clone_state()
    assert action not in env.action_space
    with pytest.raises(ValueError, match=r"action must be in OptionText\(1280"):
        env.step(action)
    assert env.clone_state() is before


def test_a_solution_cannot_outgrow_the_observation_space(make_env):
    env = make_env(rules=Rules(max_tokens=10))
    env.reset(options={"problem_id": "p/two"})
    assert env.step("a" * 1280)[0] in env.observation_space
    with pytest.raises(ValueError, match="a solution must have <= 1280 characters, got 1281"):
        env.step("a")


def test_random_actions_never_crash():
    env = make_verifier()
    env.action_space.seed(0)
    env.reset(seed=0)
    for _ in range(200):
        observation, _, terminated, truncated, _ = env.step(env.action_space.sample())
        assert observation in env.observation_space
        if terminated or truncated:
            env.reset()


def test_a_step_after_the_end_is_refused(make_env):
    env = make_env()
    env.reset(seed=0)
    env.step("#### 5\n")
    with pytest.raises(StateError, match="ended: answered"):
        env.step("more\n")


# Snapshots

ACTIONS = st.lists(
    st.one_of(
        st.text(max_size=30),
        st.sampled_from(["2 + 3 = 5\n", "#### 5\n", "\n", "####", " 5"]),
        st.builds(Option, st.text(max_size=30), st.integers(0, 30), stop_reason=st.sampled_from(StopReason)),
    ),
    max_size=8,
)


def play(env, actions):
    """Returns what each step gave, up to the end of the episode."""
    steps = []
    for action in actions:
        steps.append(env.step(action))
        if steps[-1][2] or steps[-1][3]:
            break
    return steps


@settings(max_examples=50)
@given(before=ACTIONS, after=ACTIONS, elsewhere=ACTIONS, seed=st.integers(0, 5))
def test_a_restored_state_replays_to_the_bit(make_env, before, after, elsewhere, seed):
    env = make_env(rules=Rules(max_options=10, max_tokens=100))
    env.reset(seed=seed)
    play(env, before)
    snapshot = env.clone_state()
    if snapshot.ending is not None:
        return
    first, end = play(env, after), env.clone_state()
    env.reset()
    play(env, elsewhere)
    env.restore_state(State.from_bytes(snapshot.to_bytes()))
    assert env.clone_state() == snapshot
    assert play(env, after) == first
    assert env.clone_state() == end


def test_cloning_and_restoring_copy_nothing_at_any_depth(make_env):
    env = make_env(rules=Rules(max_options=200, max_tokens=10_000), reward="verifier")
    env.reset(seed=0)
    for depth in range(1, 101):
        env.step("one more line\n")
        snapshot = env.clone_state()
        assert snapshot.depth == depth
        assert env.clone_state() is snapshot
        env.restore_state(snapshot)
        assert env.clone_state() is snapshot


def test_a_snapshot_with_its_generator_repeats_the_next_episodes(make_env):
    env = make_env()
    env.reset(seed=3)
    snapshot = env.clone_state(include_rng=True)
    assert isinstance(snapshot, EnvSnapshot)
    assert pickle.loads(pickle.dumps(snapshot)) == snapshot
    upcoming = [env.reset()[0] for _ in range(10)]
    env.restore_state(snapshot)
    assert env.clone_state(include_rng=True) == snapshot
    assert [env.reset()[0] for _ in range(10)] == upcoming


def test_a_snapshot_without_it_leaves_the_generator_alone(make_env):
    env = make_env()
    env.reset(seed=3)
    snapshot = env.clone_state()
    env.reset()
    generator = copy.deepcopy(env.np_random.bit_generator.state)
    env.restore_state(snapshot)
    assert env.np_random.bit_generator.state == generator


def test_a_state_of_an_unknown_problem_is_named(make_env):
    env = make_env()
    with pytest.raises(StateError, match="one of 3 problems, got one of 'q/seven'"):
        env.restore_state(State("q/seven", "How much?"))
    with pytest.raises(StateError, match="question of problem 'p/one', got another: 'How much\\?'"):
        env.restore_state(State("p/one", "How much?"))


def test_a_state_goes_from_one_environment_to_another_of_the_same_problems(make_env):
    env, other = make_env(), make_env()
    env.reset(seed=0)
    env.step("2 + 3\n")
    other.restore_state(env.clone_state())
    assert other.step("= 5\n") == env.step("= 5\n")


def test_a_deep_copy_shares_the_models_and_nothing_that_moves(make_env):
    env = make_env()
    env.reset(seed=0)
    env.action_space.seed(0)
    copied = copy.deepcopy(env)
    assert copied.simulator is env.simulator
    assert copied.clone_state() is env.clone_state()
    env.step("2 + 3\n")
    assert copied.clone_state().depth == 0
    assert copied.action_space.sample() == env.action_space.sample()
    assert [copied.reset()[0] for _ in range(5)] == [env.reset()[0] for _ in range(5)]


def test_a_wrapped_environment_can_be_deep_copied():
    env = make_verifier()
    env.reset(seed=0)
    copied = copy.deepcopy(env)
    env.step("2 + 3\n")
    assert copied.unwrapped.clone_state().depth == 0


# Rendering and closing


def test_render_modes(make_env, capsys):
    env = make_env()
    env.reset(options={"problem_id": "p/one"})
    env.step("2 + 3\n")
    reward = env.step("= 5\n")[1]
    assert f"\n  2{reward:>7.2f} | = 5\n[running" in env.render()
    assert capsys.readouterr().out == ""
    human = make_env(render_mode="human")
    human.reset(options={"problem_id": "p/one"})
    assert human.render() is None
    assert capsys.readouterr().out.count("How much is 2 + 3?") == 2  # at the reset and when asked
    picture = make_env(render_mode="rgb_array")
    picture.reset(seed=0)
    assert (picture.render().dtype, picture.render().shape) == (np.uint8, (540, 960, 3))
    silent = make_env(render_mode=None)
    silent.reset(seed=0)
    with pytest.warns(UserWarning, match="render_mode is None"):
        assert silent.render() is None


def test_closing_twice_is_fine(make_env):
    env = make_env()
    env.reset(seed=0)
    env.close()
    env.close()


# Construction


def test_the_verifier_needs_no_model(monkeypatch):
    def refuse(self):
        raise AssertionError("a model was asked for")

    monkeypatch.setattr(MathReasoningEnv, "simulator", property(refuse))
    env = make_verifier()
    env.reset(seed=0)
    env.step("2 + 3 = 5\n")
    env.step("#### 5\n")


def test_loading_the_models_later_does_not_change_what_text_costs(make_simulator):
    env = make_verifier().unwrapped
    env.reset(seed=0)
    before = env.step("2 + 3 = 5\n")[4]["num_tokens"]
    env._simulator = make_simulator()
    assert env.step("2 + 3 = 5\n")[4]["num_tokens"] == 2 * before == 10


def test_critics_that_are_missing_are_named_at_once(make_simulator, problems):
    whole = make_simulator()
    without = alphallm_env.Simulator(whole.policy, Critics(prm=whole.critics.prm), whole.rules)
    with pytest.raises(CriticError, match="'orm' is needed"):
        MathReasoningEnv.from_parts(without, problems)
    MathReasoningEnv.from_parts(without, problems, reward="verifier")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"reward": "praise"}, "reward must be one of potential, critics, verifier, module:attribute, got 'praise'"),
        ({"render_mode": "ascii"}, "render_mode must be one of .*, got 'ascii'"),
        ({"option_rule": "word"}, "termination rule must be one of"),
        ({"split": "exam"}, "split must be one of"),
        ({"problems": "gsm9k"}, "problem set must be .*, got 'gsm9k'"),
        ({"max_tokens": 0}, "max_tokens must be >= 1, got 0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        MathReasoningEnv(**arguments)


@pytest.mark.parametrize("wrong", [[], [Problem("a", "Q1", "1"), Problem("a", "Q2", "2")], [Problem("a", "", "1")]])
def test_unusable_problems_are_refused(make_simulator, wrong):
    with pytest.raises(ProblemError, match="expected"):
        MathReasoningEnv.from_parts(make_simulator(), wrong)


def test_the_docstring_has_gymnasiums_sections():
    sections = [
        "Description", "Action Space", "Observation Space", "Starting State", "Rewards", "Episode End",
        "Information", "Arguments", "References", "Version History",
    ]  # fmt: skip
    found = [line.strip()[3:] for line in MathReasoningEnv.__doc__.splitlines() if line.strip().startswith("## ")]
    assert found == sections
