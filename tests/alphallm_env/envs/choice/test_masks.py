import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from alphallm_env.envs.choice.masks import action_mask, checked_invalid_action


@given(num_actions=st.integers(1, 20), data=st.data())
def test_a_mask_marks_what_is_on_offer_and_is_never_all_zero(num_actions, data):
    num_offered = data.draw(st.integers(0, num_actions))
    mask = action_mask(num_offered, num_actions)
    assert (mask.dtype, mask.shape) == (np.int8, (num_actions,))
    assert mask.any()
    assert mask.sum() == (num_offered or num_actions)
    assert mask[: num_offered or num_actions].all()


def test_every_mask_is_a_fresh_array():
    assert action_mask(1, 2) is not action_mask(1, 2)


def test_gymnasium_samples_with_it():
    space = spaces.Discrete(4, seed=0)
    assert {int(space.sample(mask=action_mask(2, 4))) for _ in range(50)} == {0, 1}


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"num_offered must be in \[0, 2\], got 3"):
        action_mask(3, 2)
    with pytest.raises(ValueError, match="one of penalty, noop, terminate, raise, got 'ignore'"):
        checked_invalid_action("ignore")
