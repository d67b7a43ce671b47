"""The contract of environments."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable, Sequence
from typing import TypeVar, cast

import gymnasium as gym
from gymnasium.utils.env_checker import check_env, data_equivalence

from alphallm_env.envs.snapshots import Clonable
from alphallm_env.envs.spaces import UnicodeText

ACTIONS = ("2 + 3 = 5\n", "π ≈ 3.14\n", "Twice that is 10.\n", "#### 10\n")
RESERVED = {"episode", "final_obs", "final_info", "terminal_observation", "TimeLimit.truncated"}  # by others' wrappers

ObsType = TypeVar("ObsType")
ActType = TypeVar("ActType")
Step = tuple[object, float, bool, bool, dict[str, object]]


def clonable(env: gym.Env[ObsType, ActType]) -> Clonable:
    """Returns the environment beneath all wrappers, as what can be cloned."""
    inner = env.unwrapped
    missing = [name for name in ("clone_state", "restore_state") if not hasattr(inner, name)]
    assert not missing, f"{type(inner).__name__} must have {' and '.join(missing)}"
    return cast(Clonable, inner)


def check_environment(make: Callable[[], gym.Env[ObsType, ActType]], actions: Sequence[ActType] | None = None) -> None:
    """Checks Gymnasium's own contract, and that snapshots, deep copies and seeds replay to the bit.

    `actions` are played until an episode ends; by default some lines of text, the last of them an answer. `info` must
    have the same keys and types at each step, none of Gymnasium's own keys, and `is_success` at the end only. Misuse (a
    step after the end, text outside the space) must raise and change nothing.
    """
    played = cast("Sequence[ActType]", ACTIONS) if actions is None else actions
    clonable(make())
    check_env(make().unwrapped, skip_render_check=make().spec is None, skip_close_check=True)
    env = make()
    env.reset(seed=7)
    infos = [env.reset(seed=7)[1]]
    trajectory: list[Step] = []
    for action in played:
        _check_misuse(env)
        trajectory.append(_replayed(env, action))
        _check_step(action, trajectory[-1])
        infos.append(trajectory[-1][4])
        if trajectory[-1][2] or trajectory[-1][3]:
            _check_over(env, action)
            break
    _check_infos(infos)
    _check_same_elsewhere(make(), played, trajectory)
    _check_rng_snapshot(env)
    env.close()
    env.close()


def _replayed(env: gym.Env[ObsType, ActType], action: ActType) -> Step:
    """Takes a step, again from a snapshot, and again in a deep copy. Returns the result, which must be the same."""
    inner, copied = clonable(env), copy.deepcopy(env)
    before = inner.clone_state()
    first = cast(Step, env.step(action))
    after = inner.clone_state()
    assert pickle.loads(pickle.dumps(after)) == after, "a snapshot must survive pickling, and equal what it was"
    _check_bytes(after)
    inner.restore_state(before)
    assert inner.clone_state() == before, "clone_state after restore_state must give the same state"
    _check_equal(first, cast(Step, env.step(action)), f"a restored state must replay {action!r} to the bit")
    _check_equal(first, cast(Step, copied.step(action)), f"a deep copy must step like the original, at {action!r}")
    assert clonable(copied).clone_state() == after, "a deep copy must reach the same state"
    return first


def _check_bytes(state: object) -> None:
    to_bytes = getattr(state, "to_bytes", None)
    if to_bytes is not None:
        from_bytes = getattr(type(state), "from_bytes", None)
        assert from_bytes is not None, f"{type(state).__name__} has to_bytes, and must have from_bytes"
        assert from_bytes(to_bytes()) == state, "a snapshot must survive to_bytes and from_bytes"


def _check_equal(expected: Step, found: Step, law: str) -> None:
    same = all(data_equivalence(a, b, exact=True) for a, b in zip(expected, found, strict=True))
    assert same, f"{law}: expected {expected}, found {found}"


def _check_step(action: object, step: Step) -> None:
    _, reward, terminated, truncated, _ = step
    for name, value, kind in (
        ("reward", reward, float), ("terminated", terminated, bool), ("truncated", truncated, bool)
    ):  # fmt: skip
        assert type(value) is kind, f"{name} of {action!r} must be a Python {kind.__name__}, got {value!r}"
    assert math.isfinite(reward), f"the reward of {action!r} must be finite, got {reward}"
    assert not (terminated and truncated), f"an episode ends in one way, got terminated and truncated at {action!r}"


def _check_misuse(env: gym.Env[ObsType, ActType]) -> None:
    if isinstance(env.unwrapped.action_space, UnicodeText):
        _check_refused(env, cast(ActType, "\ud800"), "text that UTF-8 cannot encode")


def _check_over(env: gym.Env[ObsType, ActType], action: ActType) -> None:
    _check_refused(env, action, "a step after the end")


def _check_refused(env: gym.Env[ObsType, ActType], action: ActType, what: str) -> None:
    before = clonable(env).clone_state()
    try:
        found = env.step(action)
    except Exception:
        assert clonable(env).clone_state() == before, f"{what} must leave the state as it was"
    else:
        raise AssertionError(f"{what} must raise, got {found}")


def _check_infos(infos: Sequence[dict[str, object]]) -> None:
    shapes = [{key: type(value) for key, value in info.items()} for info in infos]
    reserved = sorted(key for key in shapes[0] if key in RESERVED or key.startswith("_"))
    assert not reserved, f"info must leave Gymnasium's own keys alone, got {reserved}"
    for step, shape in enumerate(shapes):
        assert shape == shapes[0], f"info must keep keys and types: {shapes[0]} at reset, {shape} at step {step}"
    for step, info in enumerate(infos[:-1]):
        assert info.get("is_success") is False, f"is_success must be False before the end, not so at step {step}"


def _check_same_elsewhere(
    env: gym.Env[ObsType, ActType], actions: Sequence[ActType], trajectory: Sequence[Step]
) -> None:
    env.reset(seed=7)
    for action, expected in zip(actions, trajectory, strict=False):
        _check_equal(expected, cast(Step, env.step(action)), f"one seed must give one trajectory, at {action!r}")
    env.close()


def _check_rng_snapshot(env: gym.Env[ObsType, ActType]) -> None:
    inner = clonable(env)
    env.reset(seed=11)
    snapshot = inner.clone_state(include_rng=True)
    assert pickle.loads(pickle.dumps(snapshot)) == snapshot, "a snapshot with its generator must survive pickling"
    upcoming = [env.reset()[0] for _ in range(5)]
    inner.restore_state(snapshot)
    again = [env.reset()[0] for _ in range(5)]
    same = data_equivalence(upcoming, again, exact=True)
    assert same, f"a snapshot restored with its generator must give the same next starts: {upcoming}, then {again}"
