"""Models by name."""

from __future__ import annotations

from alphallm_env.mdp.dynamics import Rules
from alphallm_env.runtime.engine import Engine
from experiments.runs.models import Models


def test_critics_called_auto_are_those_of_the_first_policy():
    assert Models().critics_named == "tiny"
    assert Models("FOLDER").critics_named == "prompted"
    assert Models("FOLDER", critics="none").critics_named == "none"
    assert Models().with_policy("FOLDER").critics_named == "tiny"


def test_a_smaller_rollout_policy_is_chosen_by_name():
    with Engine() as engine:
        plain = Models(critics="none", device="cpu").simulator(Rules(), engine, temperature=0.5)
        assert plain.rollout_policy is None
        assert plain.policy.temperature == 0.5
        other = Models(critics="none", rollout_policy="tiny", device="cpu").simulator(Rules(), engine)
        assert other.rollout_policy is not None
        assert other.rollout_policy.lm is other.policy.lm  # models of one name are loaded once
