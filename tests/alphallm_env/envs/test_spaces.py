import pickle

import gymnasium as gym
import pytest
from gymnasium import spaces
from gymnasium.vector.utils import batch_space, create_empty_array
from hypothesis import given
from hypothesis import strategies as st

from alphallm_env.envs.spaces import OptionText, UnicodeText
from alphallm_env.types import Option

SYMBOLIC = "alphallm_env:AlphaLLM/GSMSymbolic-v1"


@given(st.text(max_size=30))
def test_any_text_of_an_allowed_length_is_in_the_space(text):
    assert (text in UnicodeText(20)) == (len(text) <= 20)
    assert (text in UnicodeText(20, min_length=5)) == (5 <= len(text) <= 20)


@pytest.mark.parametrize("outside", ["\ud800", b"bytes", 5, None, Option("x", 1)])
def test_what_is_no_text_is_outside(outside):
    assert outside not in UnicodeText(20)


def test_an_option_is_in_the_action_space_by_its_text():
    assert Option("× " * 10, 10) in OptionText(20)
    assert Option("× " * 11, 10) not in OptionText(20)
    assert "× " in OptionText(20)


@given(st.integers(0, 2**32 - 1), st.integers(0, 100))
def test_samples_are_members_short_and_repeatable(seed, max_length):
    space = UnicodeText(max_length, seed=seed)
    sample = space.sample()
    assert sample in space
    assert len(sample) <= 64
    assert sample == UnicodeText(max_length, seed=seed).sample()


def test_a_mask_fixes_the_length_only():
    assert len(UnicodeText(200, seed=0).sample(mask=(150, None))) == 150
    with pytest.raises(ValueError, match="mask the length only"):
        UnicodeText(200).sample(mask=(150, []))


@given(st.text(max_size=20))
def test_flattening_round_trips(text):
    space = UnicodeText(20)
    assert spaces.unflatten(space, spaces.flatten(space, text)) == text


def test_characters_are_all_of_unicode_in_order():
    everything = UnicodeText(5).character_list
    assert len(everything) == 0x110000 - 0x800
    assert (everything[0], everything[0xD7FF], everything[0xD800]) == ("\0", "\ud7ff", "\ue000")
    assert everything[-1] == everything[-2:][-1] == chr(0x10FFFF)
    assert all(everything[UnicodeText(5).character_index(c)] == c for c in "aπ\ud7ff\ue000🙂")
    assert "π" in everything
    assert "\ud800" not in everything


def test_spaces_are_equal_by_their_lengths_also_after_pickling():
    space = OptionText(20)
    assert pickle.loads(pickle.dumps(space)) == space != OptionText(21)
    assert repr(space) == "OptionText(20, min_length=0)"


def test_text_goes_between_processes_without_shared_memory_only():
    arguments = {"num_envs": 2, "vectorization_mode": "async", "reward": "verifier", "limit": 5}
    with pytest.raises(ValueError, match="shared_memory=False"):
        gym.make_vec(SYMBOLIC, **arguments)
    envs = gym.make_vec(SYMBOLIC, vector_kwargs={"shared_memory": False}, **arguments)
    try:
        envs.reset(seed=0)
        observations, *_ = envs.step(("6 × 7 = 42 🙂\n", "π ≤ 4\n"))
        solutions = [observation.rpartition("\n\n")[2] for observation in observations]
        assert solutions == ["6 × 7 = 42 🙂\n", "π ≤ 4\n"]
    finally:
        envs.close()


def test_a_batch_of_spaces_has_unequal_samples():
    batch = batch_space(UnicodeText(20, seed=0), 2)
    assert all(isinstance(text, str) for text in batch.sample())


def test_many_empty_texts_are_members(monkeypatch):
    def refuse(self):
        raise AssertionError("1,112,064 characters were written out")

    monkeypatch.setattr(UnicodeText, "characters", property(refuse))
    space = UnicodeText(10, min_length=2)
    assert create_empty_array(space, n=3) == ("  ",) * 3
    assert all(text in space for text in create_empty_array(space, n=3))
