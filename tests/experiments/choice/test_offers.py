"""Recorded offers: the same decision process, and the models are asked once."""

from dataclasses import replace

import numpy as np
import pytest

from alphallm_env import Critics, OptionChoiceEnv
from alphallm_env.runtime.metering import Meter, metering
from experiments.choice.offers import Offer, OfferBook, RecordedChoiceEnv
from experiments.choice.rules import HighestChooser, Played, RandomChooser, play, reference_choosers

RULES = {"max_tokens": 120, "reward": "verifier", "num_options": 3, "render_mode": None}


def recorded(book, **others):
    return RecordedChoiceEnv("gsm_symbolic", "train", 3, book=book, **RULES, **others)


def unasked(env):
    """Returns the environment with models that cannot be asked."""
    env._simulator = replace(env.simulator, policy=None, critics=Critics())
    return env


def episode(env, problem_id):
    """Returns observations, rewards and texts of an episode that takes the last option on offer."""
    observation, info = env.reset(seed=5, options={"problem_id": problem_id})
    steps = [(observation, 0.0, info["text"])]
    terminated = truncated = False
    while not (terminated or truncated):
        last = int(np.flatnonzero(info["action_mask"])[-1])
        observation, reward, terminated, truncated, info = env.step(last)
        steps.append((observation, reward, info["text"]))
    return steps


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """Returns a file of offers and the episode that they were made for."""
    file = tmp_path_factory.mktemp("offers") / "offers.jsonl"
    env = recorded(OfferBook(file), episode_seeds=(11,))
    return file, env.problem_ids, episode(env, env.problem_ids[0])


def assert_same_episode(one, other):
    assert [step[1:] for step in one] == [step[1:] for step in other]
    for (observation, *_), (expected, *_) in zip(one, other, strict=True):
        for key in expected:
            np.testing.assert_allclose(observation[key], expected[key], atol=1e-5)


def test_it_is_the_process_of_the_choice_environment_under_that_seed(first):
    _, problem_ids, steps = first
    plain = OptionChoiceEnv("gsm_symbolic", "train", 3, **RULES)
    initial = plain._initial
    plain._initial = lambda rng, options: type(choice := initial(rng, options))(choice.state, 11, choice.proposals)
    assert_same_episode(steps, episode(plain, problem_ids[0]))


def test_another_process_finds_the_same_to_the_last_bit_and_asks_no_model(first):
    file, problem_ids, steps = first
    env = recorded(OfferBook(file), episode_seeds=(11,))
    again = episode(unasked(env), problem_ids[0])
    assert [step[1:] for step in again] == [step[1:] for step in steps]
    for (observation, *_), (expected, *_) in zip(again, steps, strict=True):
        for key in expected:
            np.testing.assert_array_equal(observation[key], expected[key])


def test_an_episode_costs_what_a_meter_counts_of_it():
    chooser = HighestChooser("prm")
    env = recorded(OfferBook(), embedding=False)
    [played] = play(env, chooser, env.problem_ids[:1], seed=3)
    plain = OptionChoiceEnv("gsm_symbolic", "train", 3, embedding=False, **RULES)
    initial = plain._initial
    plain._initial = lambda rng, options: type(choice := initial(rng, options))(choice.state, 3, choice.proposals)
    with metering(Meter()) as meter:
        observation, info = plain.reset(seed=0, options={"problem_id": env.problem_ids[0]})
        terminated = truncated = False
        while not (terminated or truncated):
            [action] = chooser.choose({key: value[None] for key, value in observation.items()})
            observation, _, terminated, truncated, info = plain.step(action)
    assert played.num_tokens == meter.usage.tokens > 0
    assert played == Played(env.problem_ids[0], info["is_success"], played.num_tokens, info["depth"], 0)


def test_episodes_are_in_order_and_the_environment_stays_where_it_is():
    env = recorded(OfferBook(), embedding=False)
    env.reset(seed=0)
    state = env.clone_state()
    together = play(env, HighestChooser("value"), env.problem_ids, seed=1)
    assert env.clone_state() is state
    alone = [play(env, HighestChooser("value"), [problem_id], seed=1)[0] for problem_id in env.problem_ids]
    assert together == alone


def test_invalid_actions_cost_a_step_and_no_tokens():
    class Last:
        def choose(self, observations):
            return np.full(len(observations["action_mask"]), observations["action_mask"].shape[1] - 1)

    env = RecordedChoiceEnv("gsm_symbolic", "train", 1, book=OfferBook(), embedding=False, num_options=30,
                            max_tokens=120, max_options=3, reward="verifier", render_mode=None)  # fmt: skip
    [played] = play(env, Last(), env.problem_ids, seed=0)
    assert (played.num_invalid, played.num_steps, played.is_success) == (3, 3, False)
    assert len(env.book) >= 1
    env.with_seed(0).reset(options={"problem_id": env.problem_ids[0]})
    start = next(offer for offer in env.book._offers.values() if offer.key.depth == 0)
    assert played.num_tokens == start.num_tokens


def test_offers_survive_json(first):
    file, _, _ = first
    for offer in OfferBook(file)._offers.values():
        again = Offer.from_json(offer.to_json())
        assert (again.key, again.num_tokens) == (offer.key, offer.num_tokens)
        assert again.proposals.to_json() == offer.proposals.to_json()


def test_rules_choose_among_what_is_on_offer():
    observations = {
        "action_mask": np.array([[1, 1, 0], [1, 0, 0]], dtype=np.int8),
        "log_prob": np.array([[-2.0, -1.0, 0.0], [-3.0, 0.0, 0.0]], dtype=np.float32),
        "prm": np.array([[0.7, 0.2, 0.0], [0.0, 0.0, 0.0]], dtype=np.float32),
        "value": np.array([[0.1, 0.2, 0.9], [0.4, 0.0, 0.0]], dtype=np.float32),
    }
    chosen = {name: chooser.choose(observations).tolist() for name, chooser in reference_choosers(0).items()}
    assert chosen["most_probable"] == [1, 0]
    assert chosen["highest_prm"] == [0, 0]
    assert chosen["highest_value"] == [1, 0]
    rng = np.random.default_rng(0)
    drawn = [RandomChooser(rng).choose(observations).tolist() for _ in range(300)]
    assert {second for _, second in drawn} == {0}
    assert 110 <= sum(first for first, _ in drawn) <= 190  # a fair coin: 150 ± 4.6 standard deviations
