"""The contract of critics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from alphallm_env.critics.base import Critic
from alphallm_env.runtime.engine import Engine
from alphallm_env.runtime.metering import Meter, metering
from alphallm_env.types import State


def check_critic(critic: Critic, states: Sequence[State], engine: Engine, *, is_free: bool = False) -> None:
    """Checks one score in [0, 1] per state, in order, whatever else is in the batch. `engine` is the critic's.

    Scores must agree within 0.001. What the critic reads must be counted on the current meter, the same tokens
    in any order of the states; `is_free` says that it asks no model, and so has nothing to count.
    """

    def evaluate(asked: Sequence[State]) -> tuple[list[float], int]:
        with metering(Meter()) as meter:
            scores = engine.run(critic.evaluate(asked))
        assert len(scores) == len(asked), f"expected {len(asked)} scores, got {len(scores)}"
        return scores, meter.usage.critic_tokens

    assert len(states) >= 2, f"expected states to compare, got {len(states)}"
    scores, tokens = evaluate(states)
    for state, score in zip(states, scores, strict=True):
        assert 0.0 <= score <= 1.0, f"a score must be in [0, 1], got {score} for {state}"
        [alone], _ = evaluate([state])
        assert abs(alone - score) <= 1e-3, f"{state} scored {score} in a batch and {alone} alone"
    backwards, tokens_backwards = evaluate(states[::-1])
    assert np.allclose(scores, backwards[::-1], atol=1e-3), (
        f"scores must follow the states' order: {scores} forwards and {backwards[::-1]} backwards"
    )
    twice, _ = evaluate([states[0], states[0]])
    assert np.allclose(twice, scores[0], atol=1e-3), f"a state asked about twice must score {scores[0]}, got {twice}"
    assert tokens == tokens_backwards, f"the same states must cost the same: {tokens} tokens, then {tokens_backwards}"
    assert is_free or tokens > 0, (
        f"a critic that reads must count its tokens on current_meter(), got 0 for {len(states)} states "
        "(is_free=True is for critics that ask no model)"
    )
