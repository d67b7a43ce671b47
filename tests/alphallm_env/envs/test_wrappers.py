import copy
import json
import multiprocessing
import pickle
import warnings

import gymnasium as gym
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from alphallm_env import MathReasoningEnv, Option, Problem, ProblemError, Rules, StateError
from alphallm_env.envs.wrappers import ComposeReward, TensorBoardEpisodes, TokenBudget
from alphallm_env.runtime.metering import Meter, metering

SYMBOLIC = "AlphaLLM/GSMSymbolic-v1"
WEIGHTS = {"prm": 1.0, "orm": 2.0, "tokens": -0.25, "truncated": -1.0, "invalid": -3.0, "step": 0.5}


def make_verifier(**arguments):
    return gym.make(SYMBOLIC, reward="verifier", limit=5, **arguments)


def wrapped(kind, env, folder):
    if kind is TokenBudget:
        return TokenBudget(env, 10_000)
    return ComposeReward(env, WEIGHTS) if kind is ComposeReward else TensorBoardEpisodes(env, folder)


def play(env, *texts):
    """Returns what reset gave and then each step."""
    return [env.reset(options={"problem_id": "p/one"}), *(env.step(text) for text in texts)]


def events(folder):
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    found.Reload()
    return found


def scalars(folder, tag):
    return [(event.step, pytest.approx(event.value)) for event in events(folder).Scalars(tag)]


KINDS = [TokenBudget, ComposeReward, TensorBoardEpisodes]


@pytest.mark.parametrize("kind", KINDS)
def test_gymnasiums_checker_passes_on_a_wrapped_environment(make_env, tmp_path, kind):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*is different from the unwrapped version")
        check_env(wrapped(kind, make_env(), tmp_path), skip_render_check=True)


@pytest.mark.parametrize("kind", KINDS)
def test_what_changes_in_a_wrapper_can_be_saved_and_set_back(make_env, tmp_path, kind):
    env = wrapped(kind, make_env(), tmp_path)
    assert env.episode_state is None
    play(env, "2 + 3\n")
    state, episode = env.unwrapped.clone_state(), env.episode_state
    assert pickle.loads(pickle.dumps(episode)) == episode
    first = [env.step("= 5\n"), env.step("#### 5\n")]
    env.unwrapped.restore_state(state)
    env.episode_state = episode
    assert [env.step("= 5\n"), env.step("#### 5\n")] == first


@pytest.mark.parametrize("kind", KINDS)
def test_moving_the_environment_behind_a_wrappers_back_is_noticed(make_env, tmp_path, kind):
    env = wrapped(kind, make_env(), tmp_path)
    with pytest.raises(ResetNeeded, match=f"that reset of {kind.__name__} began"):
        env.step("2\n")
    play(env, "2 + 3\n")
    env.unwrapped.step("= 5\n")
    with pytest.raises(StateError, match=r"moved to .*depth=2.*episode_state"):
        env.step("#### 5\n")
    play(env, "2 + 3\n")
    state = env.unwrapped.clone_state()
    env.unwrapped.step("= 5\n")  # a planner's step
    env.unwrapped.restore_state(state)
    env.step("#### 5\n")


@pytest.mark.parametrize("kind", KINDS)
def test_copies_go_their_own_way(make_env, tmp_path, kind):
    env = wrapped(kind, make_env(), tmp_path)
    play(env, "2 + 3\n")
    copied = copy.deepcopy(env)
    assert copied.step("= 5\n") == env.step("= 5\n")
    copied.step("#### 5\n")
    assert env.unwrapped.clone_state().depth == 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_that_fails_is_not_recorded(make_env, tmp_path, kind):
    env = wrapped(kind, make_env(), tmp_path)
    play(env, "2 + 3\n")
    before = env.episode_state
    with pytest.raises(ValueError, match="action must be in"):
        env.step("\ud800")
    assert env.episode_state == before


def test_specs_make_the_same_stack_again(tmp_path):
    env = TokenBudget(make_verifier(), 50, count_critics=False)
    env = ComposeReward(env, {"verifier": 1.0, "tokens": -0.5})
    env = TensorBoardEpisodes(env, tmp_path, text_every=3, hparams={"seed": 1})
    again = gym.make(EnvSpec.from_json(env.spec.to_json()))
    assert (again.log_dir, again.text_every, again.hparams) == (str(tmp_path), 3, {"seed": 1})
    assert again.env.weights == {"verifier": 1.0, "tokens": -0.5}
    assert (again.env.env.max_tokens, again.env.env.count_critics) == (50, False)


def test_only_environments_that_can_be_cloned_are_wrapped():
    with pytest.raises(TypeError, match="clone_state and restore_state, got CartPoleEnv"):
        TokenBudget(gym.make("CartPole-v1"), 5)


# TokenBudget


def test_the_tokens_of_the_option_are_counted_and_those_of_the_critics(make_env):
    """The recording critics read the words of their prompts, which the meter tells."""
    env, bare = TokenBudget(make_env(), 100), make_env()
    bare.reset(options={"problem_id": "p/one"})
    with metering(Meter()) as meter:
        bare.step("2 + 3 = 5\n")
    (_, start), (*_, info) = play(env, "2 + 3 = 5\n")
    assert (start["tokens_used"], start["tokens_left"]) == (0, 100)
    assert meter.usage.critic_tokens > 0
    assert info["tokens_used"] == 5 + meter.usage.critic_tokens == 100 - info["tokens_left"]
    *_, info = play(TokenBudget(make_env(), 100, count_critics=False), "2 + 3 = 5\n")[-1]
    assert info["tokens_used"] == 5


def test_what_the_wrapper_counts_the_search_around_it_counts_too(make_env):
    env = TokenBudget(make_env(), 100)
    with metering(Meter()) as meter:
        *_, info = play(env, "2 + 3 = 5\n")[-1]
    assert meter.usage.critic_tokens == info["tokens_used"] - 5


def test_the_episode_is_cut_when_the_budget_is_used_up():
    env = TokenBudget(make_verifier(), 8)
    env.reset(seed=0)
    *_, terminated, truncated, info = env.step("2 + 3 = 5\n")
    assert (terminated, truncated, info["ending"], info["tokens_left"]) == (False, False, "", 3)
    *_, terminated, truncated, info = env.step("it is five\n")
    assert (terminated, truncated, info["tokens_used"], info["tokens_left"]) == (False, True, 8, 0)
    assert (info["ending"], info["verdict"], info["is_success"]) == ("out_of_tokens", "unanswered", False)
    assert env.reset(seed=0)[1]["tokens_left"] == 8


@pytest.mark.parametrize(("said", "success"), [("98765432123", True), ("7", False)])
def test_an_episode_that_is_cut_has_answered_what_its_text_states(make_env, said, success):
    """A sentence that states an answer does not end an episode: the next option may take it back."""
    *_, terminated, truncated, info = play(TokenBudget(make_env(reward="verifier"), 4), f"the answer is {said}\n")[-1]
    assert (terminated, truncated, info["ending"]) == (False, True, "out_of_tokens")
    assert (info["verdict"], info["is_success"]) == ("correct" if success else "incorrect", success)


def test_an_answer_past_the_budget_terminates():
    env = TokenBudget(make_verifier(), 2)
    env.reset(seed=0)
    *_, terminated, truncated, info = env.step("so it is\n#### 5\n")
    assert (terminated, truncated, info["ending"], info["tokens_left"]) == (True, False, "answered", 0)


def test_a_budget_of_nothing_is_refused():
    with pytest.raises(ValueError, match="max_tokens must be >= 1, got 0"):
        TokenBudget(make_verifier(), 0)


# ComposeReward


def test_the_parts_are_told_and_sum_to_the_reward(make_env):
    (_, start), first, last = play(ComposeReward(make_env(), WEIGHTS), "2 + 3\n", "#### 5\n")
    assert start["reward_parts"] == dict.fromkeys(WEIGHTS, 0.0)
    prm, orm = first[4]["reward_prm"], last[4]["reward_orm"]
    assert prm > 0
    assert orm > 0
    # Three words, then two.
    parts = {"prm": prm, "orm": 0.0, "tokens": -0.75, "truncated": 0.0, "invalid": 0.0, "step": 0.5}
    assert first[4]["reward_parts"] == parts
    assert first[1] == pytest.approx(prm - 0.75 + 0.5)
    assert last[1] == pytest.approx(2 * orm - 0.5 + 0.5) == sum(last[4]["reward_parts"].values())


def test_a_cut_is_punished_once_also_that_of_a_budget_beneath(make_env):
    for env in (make_env(rules=Rules(max_options=2)), TokenBudget(make_env(), 5, count_critics=False)):
        steps = play(ComposeReward(env, {"truncated": -1.0}), "2 + 3\n", "is five\n")[1:]
        assert [reward for _, reward, *_ in steps] == [0.0, -1.0]


def test_the_verifier_and_the_reward_beneath_are_parts(make_env):
    env = make_env()
    composed = ComposeReward(make_env(), {"verifier": 4.0, "env": 0.5})
    beneath = play(env, "#### 98765432123\n")[-1][1]
    assert play(composed, "#### 98765432123\n")[-1][1] == pytest.approx(4.0 + 0.5 * beneath)
    assert play(composed, "#### 5\n")[-1][4]["reward_parts"]["verifier"] == 0.0


def test_a_part_that_cannot_be_known_is_an_error_and_no_zero(make_simulator):
    env = MathReasoningEnv.from_parts(make_simulator(), [Problem("p/one", "How much is 2 + 3?")])
    with pytest.raises(ProblemError, match="'p/one' has none"):
        play(ComposeReward(env, {"verifier": 1.0}), "#### 5\n")
    with pytest.raises(ValueError, match=r"\['prm'\] need an environment whose reward asks them"):
        ComposeReward(make_verifier(), {"prm": 1.0, "tokens": -1.0})


@pytest.mark.parametrize(
    ("weights", "message"),
    [({"pmr": 1.0}, r"among env, prm, .*got \['pmr'\]"), ({}, "got none"), ({"prm": float("nan")}, "finite, got nan")],
)
def test_wrong_weights_are_named(make_env, weights, message):
    with pytest.raises(ValueError, match=message):
        ComposeReward(make_env(), weights)


# TensorBoardEpisodes


def test_what_is_written_reads_back(make_env, tmp_path):
    env = TensorBoardEpisodes(make_env(), tmp_path, text_every=2, hparams={"agent": "by hand", "lr": 0.5})
    steps = play(env, "2 + 3\n", "so 5\n", "#### 98765432123\n")
    assert scalars(tmp_path, "episode/length") == [(1, 3.0)]  # before close
    wrong = play(env, "#### 5\n")
    play(env, Option("#### 98765432123\n", 7))
    play(env, "never ended\n")
    env.close()
    env.close()
    rewards = [reward for _, reward, *_ in steps[1:]]
    assert scalars(tmp_path, "episode/return")[:2] == [(1, sum(rewards)), (2, wrong[1][1])]
    assert scalars(tmp_path, "episode/length") == [(1, 3.0), (2, 1.0), (3, 1.0)]
    assert scalars(tmp_path, "episode/tokens") == [(1, 7.0), (2, 2.0), (3, 7.0)]
    assert scalars(tmp_path, "episode/success") == [(1, 1.0), (2, 0.0), (3, 1.0)]
    prm = [info["reward_prm"] for *_, info in steps[1:3]]
    assert scalars(tmp_path, "episode/prm") == [(1, sum(prm) / 2)]  # the others wrote no step
    orm = [steps[3][4]["reward_orm"], wrong[1][4]["reward_orm"]]
    assert scalars(tmp_path, "episode/orm")[:2] == list(enumerate(orm, 1))
    assert "episode/invalid_rate" not in events(tmp_path).Tags()["scalars"]


def test_every_nth_episode_is_written_as_text(make_env, tmp_path):
    env = TensorBoardEpisodes(make_env(), tmp_path, text_every=2)
    for answer in (5, 6, 7):
        _, (_, reward, *_) = play(env, f"````\n\x1b[31m<b>\n#### {answer}\n")
    texts = events(tmp_path).Tensors("episodes/text/text_summary")
    assert [event.step for event in texts] == [1, 3]
    lines = texts[1].tensor_proto.string_val[0].decode().splitlines()
    assert all(line.startswith("    ") for line in lines)  # one block of code, whatever the model wrote
    assert lines[1] == "    How much is 2 + 3?"
    assert lines[3] == f"      1 | {reward:7.3f} | ````"
    assert "\\x1b[31m<b>" in lines[4]
    assert lines[-1] == f"    [answered, incorrect; return {reward:.3f}; tokens 4]"


def test_hparams_come_with_the_means(make_env, tmp_path):
    env = TensorBoardEpisodes(make_env(), tmp_path, hparams={"agent": "by hand", "lr": 0.5, "big": 3})
    play(env, "#### 5\n")
    play(env, "#### 98765432123\n")
    env.close()
    assert scalars(tmp_path, "mean/success") == [(2, 0.5)]
    plugin = events(tmp_path).summary_metadata["_hparams_/session_start_info"].plugin_data
    written = plugin_data_pb2.HParamsPluginData.FromString(plugin.content).session_start_info.hparams
    assert {name: value.WhichOneof("kind") for name, value in written.items()} == {
        "agent": "string_value",
        "lr": "number_value",
        "big": "number_value",
    }


def test_without_an_episode_nothing_is_written(make_env, tmp_path):
    env = TensorBoardEpisodes(make_env(), tmp_path / "logs")
    play(env, "2 + 3\n")
    env.close()
    assert not (tmp_path / "logs").exists()


def test_what_nobody_measured_is_left_out(make_simulator, tmp_path):
    env = MathReasoningEnv.from_parts(make_simulator(), [Problem("p/one", "How much is 2 + 3?")])
    play(TensorBoardEpisodes(env, tmp_path / "imagined"), "#### 5\n")
    assert "episode/success" not in events(tmp_path / "imagined").Tags()["scalars"]
    verified = TensorBoardEpisodes(make_verifier(), tmp_path / "verified")
    verified.reset(seed=0)
    verified.step("2 + 3\n")
    verified.step("#### 5\n")
    tags = events(tmp_path / "verified").Tags()["scalars"]
    assert set(tags) == {"episode/return", "episode/length", "episode/tokens", "episode/success"}


def test_what_wrappers_beneath_tell_is_written_too(make_env, tmp_path):
    env = ComposeReward(TokenBudget(make_env(), 500), {"step": 1.0, "tokens": -0.5})
    last = play(TensorBoardEpisodes(env, tmp_path), "2 + 3\n", "#### 5\n")[-1]
    assert scalars(tmp_path, "episode/tokens_used") == [(1, last[4]["tokens_used"])]
    assert scalars(tmp_path, "episode/reward_part/step") == [(1, 2.0)]
    assert scalars(tmp_path, "episode/reward_part/tokens") == [(1, -2.5)]
    assert scalars(tmp_path, "episode/return") == [(1, -0.5)]


class Refusing(gym.Wrapper):
    """Refuses the empty text: an action that changes nothing and is told to be invalid."""

    def reset(self, **arguments):
        observation, info = self.env.reset(**arguments)
        self.last = observation, 0.0, False, False
        return observation, {**info, "invalid_action": False}

    def step(self, action):
        if action:
            *self.last, info = self.env.step(action)
            return *self.last, {**info, "invalid_action": False}
        info = {"depth": 0, "reward_prm": 0.0, "reward_orm": 0.0, "verdict": "", "is_success": False, "ending": ""}
        return *self.last, {**info, "problem_id": "p/one", "invalid_action": True}


def test_refused_actions_are_counted_and_punished(make_env, tmp_path):
    env = TensorBoardEpisodes(ComposeReward(Refusing(make_env()), {"invalid": -3.0, "tokens": -1.0}), tmp_path)
    steps = play(env, "", "2 + 3\n", "", "#### 5\n")[1:]
    assert [reward for _, reward, *_ in steps] == [-3.0, -3.0, -3.0, -2.0]  # three words, two words
    assert scalars(tmp_path, "episode/invalid_rate") == [(1, 0.5)]
    assert scalars(tmp_path, "episode/prm") == [(1, steps[1][4]["reward_prm"])]  # of the one option that it scored
    text = events(tmp_path).Tensors("episodes/text/text_summary")[0].tensor_proto.string_val[0].decode()
    assert text.count("(no option taken)") == 2


def test_a_copy_writes_nothing(make_env, tmp_path):
    env = TensorBoardEpisodes(make_env(), tmp_path)
    play(env, "#### 5\n")
    for simulated in (copy.deepcopy(env), copy.deepcopy(copy.deepcopy(env))):
        play(simulated, "#### 6\n")
        simulated.close()
    play(env, "#### 7\n")
    env.close()
    assert [step for step, _ in scalars(tmp_path, "episode/return")] == [1, 2]


def test_a_pickled_wrapper_is_a_copy_too(tmp_path):
    env = TensorBoardEpisodes(make_verifier(), tmp_path)
    env.reset(seed=0)
    env.step("#### 5\n")
    again = pickle.loads(pickle.dumps(env))
    again.reset(seed=0)
    again.step("#### 5\n")
    assert (again.num_episodes, len(scalars(tmp_path, "episode/return"))) == (2, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"text_every": -1}, "text_every must be >= 0.*got -1"), ({"hparams": {"lr": [1]}}, r"got lr=\[1\]")],
)
def test_wrong_arguments_are_named(make_env, tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        TensorBoardEpisodes(make_env(), tmp_path, **arguments)


def test_info_of_the_whole_stack_is_json(make_env, tmp_path):
    env = TensorBoardEpisodes(ComposeReward(TokenBudget(make_env(), 500), WEIGHTS), tmp_path)
    for what in play(env, "2 + 3\n", "#### 5\n"):
        json.dumps(what[-1])


def test_in_a_folder_that_was_used_the_steps_go_on(make_env, tmp_path):
    for _ in range(2):
        env = TensorBoardEpisodes(make_env(), tmp_path, text_every=2, hparams={"lr": 0.5})
        play(env, "#### 5\n")
        play(env, "#### 5\n")
        env.close()
    torn = min(tmp_path.glob("events.out.tfevents.*"))
    torn.write_bytes(torn.read_bytes()[:-7])  # as a kill leaves a file
    env = TensorBoardEpisodes(make_env(), tmp_path, text_every=2)
    play(env, "#### 5\n")
    assert env.num_episodes == 1
    env.close()
    assert [step for step, _ in scalars(tmp_path, "episode/return")] == [1, 2, 3, 4, 5]
    assert [event.step for event in events(tmp_path).Tensors("episodes/text/text_summary")] == [1, 3, 5]


def test_a_forked_child_writes_nothing_into_its_parents_file(make_env, tmp_path):
    env = TensorBoardEpisodes(make_env(), tmp_path)
    play(env, "#### 5\n")
    child = multiprocessing.get_context("fork").Process(target=lambda: (play(env, "#### 5\n"), env.close()))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    play(env, "#### 5\n")
    env.close()
    assert [step for step, _ in scalars(tmp_path, "episode/return")] == [1, 2]
