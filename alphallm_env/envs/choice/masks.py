"""Which actions are on offer, in the three forms that agents read, and what any other action does.

`info["action_mask"]` and the observation's `action_mask` are int8, as `Discrete.sample(mask)` takes them; the
environment's `action_masks()` is bool, as MaskablePPO of sb3-contrib takes it. All come from `action_mask`.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

InvalidAction = Literal["penalty", "noop", "terminate", "raise"]
INVALID_ACTIONS: tuple[str, ...] = get_args(InvalidAction)


def action_mask(num_offered: int, num_actions: int) -> NDArray[np.int8]:
    """Returns int8 [num_actions], 1 for the actions on offer, which come first. A fresh array, never all zero.

    Nothing is on offer once an episode has ended. No action does anything then, so none is wrong: all are 1.

    >>> action_mask(2, 4), action_mask(0, 2)
    (array([1, 1, 0, 0], dtype=int8), array([1, 1], dtype=int8))
    """
    if not 0 <= num_offered <= num_actions:
        raise ValueError(f"num_offered must be in [0, {num_actions}], got {num_offered}")
    mask = np.zeros(num_actions, dtype=np.int8)
    mask[: num_offered or num_actions] = 1
    return mask


def checked_invalid_action(name: str) -> InvalidAction:
    """Returns the name of what an invalid action does. Raises ValueError for an unknown one."""
    for known in get_args(InvalidAction):
        if name == known:
            return known
    raise ValueError(f"invalid_action must be one of {', '.join(INVALID_ACTIONS)}, got {name!r}")
