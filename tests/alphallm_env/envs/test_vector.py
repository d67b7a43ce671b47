import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from alphallm_env import MathReasoningEnv, Rules, StateError
from alphallm_env.envs.vector import BatchedVectorEnv
from alphallm_env.errors import CriticError

CHOICE, TEXT = "AlphaLLM/GSMSymbolicChoice-v1", "AlphaLLM/GSMSymbolic-v1"
LINES = ("2 + 3 = 5\n", "so it is 5\n", "#### 5\n", "nothing else\n")
NUM_ENVS = 3


@pytest.fixture(params=["choice", "text"])
def make_one(request, make_choice, make_env):
    """Returns a maker of single environments of either kind."""
    return make_choice if request.param == "choice" else make_env


def actions_for(envs, rng):
    """Returns random actions, invalid ones among them."""
    if isinstance(envs.single_action_space, gym.spaces.Discrete):
        return rng.integers(envs.single_action_space.n, size=envs.num_envs)
    return tuple(rng.choice(LINES, size=envs.num_envs).tolist())


def rollout(envs, num_steps=14, seed=3):
    rng = np.random.default_rng(0)
    found = [envs.reset(seed=seed)]
    for _ in range(num_steps):
        ended = envs._autoreset_envs
        if envs.autoreset_mode is AutoresetMode.DISABLED and ended.any():
            found.append(envs.reset(options={"reset_mask": ended.copy()}))
        found.append(envs.step(actions_for(envs, rng)))
    return found


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_episodes_are_those_of_gymnasiums_vector_of_single_environments(make_one, mode):
    rules = Rules(max_options=4)
    ours = BatchedVectorEnv(make_one(rules=rules), NUM_ENVS, autoreset_mode=mode)
    theirs = SyncVectorEnv([lambda: make_one(rules=rules)] * NUM_ENVS, autoreset_mode=mode)
    found, expected = rollout(ours), rollout(theirs)
    assert any(len(step) == 5 and (step[2] | step[3]).any() for step in found)
    for step, (one, other) in enumerate(zip(found, expected, strict=True)):
        assert data_equivalence(one, other, exact=True), f"step {step}: {one} and {other}"
    assert ours.metadata["autoreset_mode"] is mode
    ours.close()
    ours.close()


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_everything_is_asked_in_common_batches(make_choice, make_embedding_lm, mode):
    """Whatever happens to each environment, a model has at most one batch of each kind of work in a step."""
    lm = make_embedding_lm()
    envs = BatchedVectorEnv(make_choice(lm, rules=Rules(max_options=3)), 8, autoreset_mode=mode)
    statistics = envs.envs[0].unwrapped.simulator.engine.statistics
    rng = np.random.default_rng(0)
    envs.reset(seed=0)
    for _ in range(12):
        before = statistics.batches
        envs.step(rng.integers(4, size=8))
        # Options twice, PRM, value, embedding; and the ORM.
        assert statistics.batches - before <= 6


def test_after_the_common_batches_no_environment_asks_for_itself(make_one):
    envs = BatchedVectorEnv(make_one(), NUM_ENVS)
    engine = envs.envs[0].unwrapped.simulator.engine
    runs, run = [], engine.run
    envs.reset(seed=0)

    def counting(work):
        before = engine.statistics.items
        result = run(work)
        runs.append(engine.statistics.items - before)
        return result

    engine.run = counting
    envs.step(actions_for(envs, np.random.default_rng(1)))
    assert runs[0] > 0
    assert runs[1:] == [0] * (len(runs) - 1)


def test_only_those_that_are_asked_to_reset(make_choice):
    envs = BatchedVectorEnv(make_choice(), NUM_ENVS, autoreset_mode="Disabled")
    envs.reset(seed=0)
    envs.step([0] * NUM_ENVS)
    before = envs.call("clone_state")
    _, infos = envs.reset(options={"reset_mask": np.array([False, True, False]), "problem_id": "p/two"})
    after = envs.call("clone_state")
    assert [one is other for one, other in zip(before, after, strict=True)] == [True, False, True]
    assert infos["_depth"].tolist() == [False, True, False]
    assert infos["problem_id"][1] == "p/two"


@pytest.mark.parametrize(
    ("mask", "error"),
    [
        ([True] * NUM_ENVS, TypeError),
        (np.ones(2, dtype=bool), ValueError),
        (np.zeros(NUM_ENVS, dtype=bool), ValueError),
    ],
)
def test_what_is_wrong_with_a_reset_gymnasium_says(make_choice, mask, error):
    envs = BatchedVectorEnv(make_choice(), NUM_ENVS, autoreset_mode="Disabled")
    with pytest.raises(error, match="reset_mask"):
        envs.reset(options={"reset_mask": mask})
    with pytest.raises(ValueError, match="length"):
        envs.reset(seed=[1])


def test_a_refused_action_moves_no_environment(make_choice):
    envs = BatchedVectorEnv(make_choice(), NUM_ENVS)
    envs.reset(seed=0)
    before = envs.call("clone_state")
    for wrong, message in (([0, 0, 9], "action must be in"), ([0, 0], "expected 3 actions, got 2")):
        with pytest.raises(ValueError, match=message):
            envs.step(wrong)
        assert all(one is other for one, other in zip(envs.call("clone_state"), before, strict=True))


def test_a_failing_model_moves_no_environment(make_one):
    envs = BatchedVectorEnv(make_one(), NUM_ENVS)
    envs.reset(seed=0)
    before = envs.call("clone_state")
    critic = envs.envs[0].unwrapped.simulator.critics.prm
    evaluate = critic.evaluate

    async def fail(states):
        raise CriticError("no label")

    critic.evaluate = fail
    actions = [0, 0, 0] if hasattr(envs.envs[0], "proposals") else LINES[:1] * 3
    with pytest.raises(CriticError, match="no label"):
        envs.step(actions)
    critic.evaluate = evaluate
    assert all(one is other for one, other in zip(envs.call("clone_state"), before, strict=True))
    assert envs.step(actions)[4]["depth"].tolist() == [1, 1, 1]


def test_masks_of_all_environments(make_choice):
    envs = BatchedVectorEnv(make_choice(), NUM_ENVS)
    observations, infos = envs.reset(seed=0)
    masks = envs.action_masks()
    assert (masks.dtype, masks.shape) == (np.bool_, (NUM_ENVS, 4))
    assert (
        masks.tolist()
        == infos["action_mask"].astype(bool).tolist()
        == observations["action_mask"].astype(bool).tolist()
    )


def test_a_step_limit_is_that_of_single_environments(make_choice):
    envs = BatchedVectorEnv(make_choice(), NUM_ENVS, max_episode_steps=2)
    envs.reset(seed=0)
    envs.step([0] * NUM_ENVS)
    _, _, terminated, truncated, _ = envs.step([0] * NUM_ENVS)
    assert (truncated | terminated).all()


def test_wrong_arguments_are_named(make_choice):
    with pytest.raises(ValueError, match="num_envs must be >= 1, got 0"):
        BatchedVectorEnv(make_choice(), 0)
    with pytest.raises(ValueError, match="'Sometimes'"):
        BatchedVectorEnv(make_choice(), 1, autoreset_mode="Sometimes")


# Made by name


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_make_vec_makes_it(mode):
    envs = gym.make_vec(TEXT, num_envs=2, reward="verifier", limit=5, autoreset_mode=mode, max_episode_steps=7)
    assert isinstance(envs, BatchedVectorEnv)
    envs = gym.wrappers.vector.RecordEpisodeStatistics(envs)
    observations, _ = envs.reset(seed=1)
    assert observations in envs.observation_space
    observations, _, terminated, _, infos = envs.step(("two\n", "#### 5\n"))
    assert terminated.tolist() == [False, True]
    assert infos["episode"]["l"].tolist() == [0, 1]
    envs.close()


def test_an_unknown_keyword_is_refused():
    with pytest.raises(TypeError, match="colour"):
        gym.make_vec(TEXT, num_envs=2, colour="red")


def test_the_shipped_models_write_the_same_side_by_side_and_alone():
    """Texts are equal to the letter; numbers may differ in their last bits, as batches are cut differently."""
    num_envs, rng = 3, np.random.default_rng(0)
    envs = gym.make_vec(CHOICE, num_envs=num_envs, limit=4)
    envs.envs[0].unwrapped.clear_cache()
    found = [envs.reset(seed=0)]
    actions = []
    for _ in range(2):
        actions.append([int(rng.choice(np.flatnonzero(mask))) for mask in found[-1][-1]["action_mask"]])
        found.append(envs.step(actions[-1]))
    for index in range(num_envs):
        env = gym.make(CHOICE, limit=4)
        env.unwrapped.clear_cache()
        alone, ended = env.reset(seed=index), False
        for step in range(3):
            if step and ended:
                alone, ended = env.reset(), False
            elif step:
                alone = env.step(actions[step - 1][index])
                ended = alone[2] or alone[3]
            beside = {key: values[index] for key, values in found[step][0].items()}
            for key, values in alone[0].items():
                assert np.allclose(beside[key], values, atol=1e-3), (index, step, key)
            for key in ("text", "option", "problem_id", "ending", "num_tokens"):
                assert found[step][-1][key][index] == alone[-1][key], (index, step, key)


def test_text_environments_that_need_no_model_start_none(monkeypatch):
    def refuse(self):
        raise AssertionError("a model was asked for")

    monkeypatch.setattr(MathReasoningEnv, "simulator", property(refuse))
    envs = gym.make_vec(TEXT, num_envs=2, reward="verifier", limit=5)
    envs.reset(seed=0)
    envs.step(("2 + 3 = 5\n", "#### 5\n"))


def test_disabled_autoreset_refuses_a_step_after_the_end(make_env):
    envs = BatchedVectorEnv(make_env(), 2, autoreset_mode="Disabled")
    envs.reset(seed=0)
    envs.step(("#### 5\n", "two\n"))
    with pytest.raises(StateError, match="ended: answered"):
        envs.step(("more\n", "three\n"))
