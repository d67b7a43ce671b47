"""The base class of the wrappers: a record of the episode that is saved and restored beside the environment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar, cast

import gymnasium as gym
from gymnasium.error import ResetNeeded
from gymnasium.utils import RecordConstructorArgs

from alphallm_env.envs.snapshots import Clonable
from alphallm_env.errors import StateError
from alphallm_env.types import State

ObsType = TypeVar("ObsType")
ActType = TypeVar("ActType")
Record = TypeVar("Record")
Info = dict[str, object]


@dataclass(frozen=True)
class EpisodeState(Generic[Record]):
    """A snapshot of the environment beneath, and what the wrapper has recorded up to it."""

    snapshot: object
    record: Record


class EpisodeWrapper(
    gym.Wrapper[ObsType, ActType, ObsType, ActType], RecordConstructorArgs, Generic[ObsType, ActType, Record]
):
    """A wrapper that keeps an immutable record of the running episode.

    `episode_state` is all that changes in it: save it beside `env.unwrapped.clone_state()`, and set it again after
    `env.unwrapped.restore_state(state)`. A step from a state that the wrapper did not record raises StateError, so a
    record never mixes two episodes. Planners that act on `env.unwrapped` and restore it need none of this.
    """

    def __init__(self, env: gym.Env[ObsType, ActType]) -> None:
        if not isinstance(env.unwrapped, Clonable):
            raise TypeError(
                f"expected an environment with clone_state and restore_state, got {type(env.unwrapped).__name__}"
            )
        super().__init__(env)
        self._episode: EpisodeState[Record] | None = None

    @property
    def episode_state(self) -> EpisodeState[Record] | None:
        """All that changes in this wrapper, as an immutable value; None before the first reset."""
        return self._episode

    @episode_state.setter
    def episode_state(self, state: EpisodeState[Record] | None) -> None:
        self._episode = state

    def _keep(self, record: Record) -> None:
        """Stores the record up to the environment's current state."""
        self._episode = EpisodeState(self._snapshot(), record)

    def _record(self) -> Record:
        """Returns the record up to here. Raises StateError if the environment was moved without this wrapper."""
        if self._episode is None:
            raise ResetNeeded(f"expected an episode that reset of {self.class_name()} began, got none")
        recorded, found = self._episode.snapshot, self._snapshot()
        if found is not recorded and found != recorded:
            raise StateError(
                f"{self.class_name()} expected the environment at {recorded}, and it was moved to {found}: set "
                "`episode_state` where you call `restore_state`, or plan on `env.unwrapped`"
            )
        return self._episode.record

    def _snapshot(self) -> object:
        return cast(Clonable, self.env.unwrapped).clone_state()

    def _state(self) -> State:
        """Returns the state of the decision process. Raises TypeError if the environment's snapshot holds none."""
        snapshot = self._snapshot()
        state = snapshot if isinstance(snapshot, State) else getattr(snapshot, "state", None)
        if not isinstance(state, State):
            raise TypeError(f"expected a snapshot that is or holds a State, got {type(snapshot).__name__}")
        return state
