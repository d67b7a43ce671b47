"""Snapshots of an environment together with the state of its wrappers: steps, returns, statistics."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import gymnasium as gym
from gymnasium import wrappers

from alphallm_env.errors import StateError

Wrapped = gym.Env[Any, Any]

# The attributes of Gymnasium's own wrappers that change during an episode.
COUNTERS: dict[type[gym.Wrapper[Any, Any, Any, Any]], tuple[str, ...]] = {
    wrappers.TimeLimit: ("_elapsed_steps",),
    wrappers.OrderEnforcing: ("_has_reset",),
    wrappers.Autoreset: ("autoreset",),
    wrappers.TimeAwareObservation: ("timesteps",),
    wrappers.FrameStackObservation: ("obs_queue", "padding_value"),
    wrappers.DelayObservation: ("observation_queue",),
    wrappers.StickyAction: ("last_action", "is_sticky_actions", "num_repeats", "repeats_taken"),
    wrappers.NormalizeReward: ("discounted_reward",),
    wrappers.RecordEpisodeStatistics: (
        "episode_count",
        "episode_start_time",
        "episode_returns",
        "episode_lengths",
        "time_queue",
        "return_queue",
        "length_queue",
    ),
}


@runtime_checkable
class Clonable(Protocol):
    """An environment whose state can be saved and restored, as those of ale-py."""

    def clone_state(self, include_rng: bool = False) -> object:
        """Returns a snapshot, with the state of the random number generator if asked for."""
        ...

    def restore_state(self, state: Any) -> None:
        """Sets the episode to a snapshot."""
        ...


@dataclass(frozen=True, slots=True)
class WrappedSnapshot:
    """The environment's own snapshot and, for each wrapper from the outermost in, the attributes that change."""

    state: object
    wrappers: tuple[tuple[str, Mapping[str, object]], ...]


def clone_wrapped(env: Wrapped, include_rng: bool = False) -> WrappedSnapshot:
    """Returns a snapshot of an environment with its wrappers: a step after `restore_wrapped` is as it would be now.

    Covers Gymnasium's wrappers (`COUNTERS`), wrappers with an `episode_state`, and those of your own whose
    class lists the attributes that change as `snapshot_attributes: tuple[str, ...]`. Any other wrapper is taken to be
    stateless. Raises StateError if the environment itself cannot be cloned.
    """
    inner = _clonable(env)
    counted = tuple((_name(wrapper), _counters(wrapper)) for wrapper in _wrappers_of(env))
    return WrappedSnapshot(inner.clone_state(include_rng=include_rng), counted)


def restore_wrapped(env: Wrapped, snapshot: WrappedSnapshot) -> None:
    """Restores a snapshot of `clone_wrapped`. Raises StateError, and changes nothing, if the wrappers differ."""
    inner, layers = _clonable(env), list(_wrappers_of(env))
    expected, found = [name for name, _ in snapshot.wrappers], [_name(wrapper) for wrapper in layers]
    if expected != found:
        raise StateError(f"expected the wrappers {expected} of the snapshot, got {found}")
    inner.restore_state(snapshot.state)
    for wrapper, (_, counters) in zip(layers, snapshot.wrappers, strict=True):
        for attribute, value in counters.items():
            setattr(wrapper, attribute, copy.deepcopy(value))


def _clonable(env: Wrapped) -> Clonable:
    if not isinstance(env.unwrapped, Clonable):
        raise StateError(f"expected an environment with clone_state and restore_state, got {env.unwrapped}")
    return env.unwrapped


def _wrappers_of(env: Wrapped) -> Iterator[gym.Wrapper[Any, Any, Any, Any]]:
    while isinstance(env, gym.Wrapper):
        yield env
        env = env.env


def _name(wrapper: gym.Wrapper[Any, Any, Any, Any]) -> str:
    return type(wrapper).__qualname__


def _counters(wrapper: gym.Wrapper[Any, Any, Any, Any]) -> dict[str, object]:
    attributes: tuple[str, ...] = getattr(type(wrapper), "snapshot_attributes", ())
    for known, names in COUNTERS.items():
        attributes += names if isinstance(wrapper, known) else ()
    # A wrapper forwards attributes that it lacks to the environment beneath: look at the class, not the instance.
    if hasattr(type(wrapper), "episode_state"):
        attributes += ("episode_state",)
    return {attribute: copy.deepcopy(getattr(wrapper, attribute)) for attribute in attributes}
