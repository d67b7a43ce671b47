"""TensorBoardEpisodes: writes each episode to TensorBoard, as curves and texts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

import gymnasium as gym
from gymnasium.utils import RecordConstructorArgs

from alphallm_env.envs.rendering.ansi import printable
from alphallm_env.envs.wrappers.base import EpisodeWrapper, Info
from alphallm_env.mdp.rewards import NO_GOLD
from alphallm_env.runtime.forking import ForkAware
from alphallm_env.types import Option, State

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

ObsType = TypeVar("ObsType")
ActType = TypeVar("ActType")
HyperParameter = bool | int | float | str


@dataclass(frozen=True)
class Episode:
    """The record of a running episode: a reward for each step, and the option that it took, if any."""

    rewards: tuple[float, ...] = ()
    options: tuple[Option | None, ...] = ()
    prm_scores: tuple[float, ...] = ()
    reward_parts: Mapping[str, float] = field(default_factory=dict[str, float])  # sums, by name
    num_invalid: int = 0

    def after(self, reward: float, option: Option | None, info: Info, terminated: bool) -> Episode:
        """Returns the episode after one more step."""
        scores = () if terminated or option is None else (cast(float, info["reward_prm"]),)
        parts = cast("dict[str, float]", info.get("reward_parts", {}))
        return Episode(
            (*self.rewards, reward),
            (*self.options, option),
            self.prm_scores + scores,
            {name: self.reward_parts.get(name, 0.0) + part for name, part in parts.items()},
            self.num_invalid + bool(info.get("invalid_action", False)),
        )


class TensorBoardEpisodes(EpisodeWrapper[ObsType, ActType, Episode], ForkAware):
    """Writes an event file into `log_dir`; the step of every figure is the number of the episode, from 1.

    In a folder that was written to before, as by a run that was stopped, the numbers go on from the last one there.

    | tag | is |
    |---|---|
    | `episode/return` | the sum of the rewards, undiscounted |
    | `episode/length` | steps taken |
    | `episode/tokens` | tokens of the solution |
    | `episode/tokens_used` | tokens that the models spent too; under a `TokenBudget` beneath |
    | `episode/prm` | mean score of the PRM over the options that did not terminate the episode |
    | `episode/orm` | score of the ORM |
    | `episode/success` | 1 if the answer is correct, else 0; not for problems without a gold answer |
    | `episode/invalid_rate` | share of actions that the environment refused, where it can refuse any |
    | `episode/reward_part/…` | sum of each part of a `ComposeReward` beneath |
    | `episodes/text` | every `text_every`-th episode from the first on: question, options, rewards, verdict |

    Critics' tags are left out for an episode in which none scored: every score is exactly 0. An episode
    is written and flushed when it ends. An episode that is cut short by `reset` or `close` is dropped. `close` writes
    `hparams` with the means of return, success and tokens over all episodes written.

    A copy of the wrapper, made by `copy.deepcopy` or `pickle`, keeps its record and writes nothing, since copies
    serve as simulations; so does the wrapper in a forked child if it has written in the parent. Each of several
    environments needs a folder of its own.

    Snapshots: `episode_state`, whose record is an `Episode`.
    """

    def __init__(
        self,
        env: gym.Env[ObsType, ActType],
        log_dir: str | os.PathLike[str],
        *,
        text_every: int = 10,
        hparams: Mapping[str, HyperParameter] | None = None,
    ) -> None:
        if text_every < 0:
            raise ValueError(f"text_every must be >= 0 (0 writes no texts), got {text_every}")
        for name, value in (hparams or {}).items():
            if not isinstance(value, HyperParameter):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ValueError(f"hparams must be bool, int, float or str, got {name}={value!r}")
        hparams = dict(hparams or {})
        RecordConstructorArgs.__init__(self, log_dir=os.fspath(log_dir), text_every=text_every, hparams=hparams)
        super().__init__(env)
        self.log_dir = os.fspath(log_dir)
        self.text_every = text_every
        self.hparams = hparams
        self.num_episodes = 0
        self._means = {name: _Mean() for name in ("return", "success", "tokens")}
        self._is_copy = False
        self._writer: SummaryWriter | None = None
        self._num_before = 0  # episodes in the folder, when this first writes
        self.follow_forks()

    def after_fork_in_child(self) -> None:
        """Leaves the event file, and the thread that writes it, to the parent."""
        self._is_copy = self._is_copy or self._writer is not None
        self._writer = None

    def reset(self, *, seed: int | None = None, options: dict[str, object] | None = None) -> tuple[ObsType, Info]:
        """Starts an episode; one that has not ended is dropped."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._keep(Episode())
        return observation, info

    def step(self, action: ActType) -> tuple[ObsType, float, bool, bool, Info]:
        """Takes a step, and writes the episode if it is the last one."""
        episode, before = self._record(), self._state()
        observation, reward, terminated, truncated, info = self.env.step(action)
        state = self._state()
        episode = episode.after(float(reward), state.option if state.depth > before.depth else None, info, terminated)
        self._keep(episode)
        if terminated or truncated:
            self.num_episodes += 1
            if not self._is_copy:
                self._write(episode, state, info)
        return observation, float(reward), terminated, truncated, info

    def close(self) -> None:
        """Writes `hparams` once, and closes the event file and the environment."""
        if self._writer is not None:
            metrics = {f"mean/{name}": mean.value for name, mean in self._means.items() if mean.count}
            self._writer.add_hparams(
                self.hparams, metrics, run_name=".", global_step=self._num_before + self.num_episodes
            )
            self._writer.close()
            self._writer = None
        super().close()

    def __getstate__(self) -> dict[str, object]:
        """Returns what a copy gets: everything but the event file."""
        return {**self.__dict__, "_writer": None, "_is_copy": True}

    def _write(self, episode: Episode, state: State, info: Info) -> None:
        writer = self._opened()
        number = self._num_before + self.num_episodes
        figures = figures_of(episode, state, info)
        for name, value in figures.items():
            writer.add_scalar(f"episode/{name}", value, number)
        for name, mean in self._means.items():
            if name in figures:
                mean.add(figures[name])
        if self.text_every and (number - 1) % self.text_every == 0:
            writer.add_text("episodes/text", text_of(episode, state, info), number)
        writer.flush()

    def _opened(self) -> SummaryWriter:
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            if self.num_episodes == 1:
                self._num_before = last_episode(self.log_dir)
            self._writer = SummaryWriter(self.log_dir)
        return self._writer


def last_episode(log_dir: str) -> int:
    """Returns the highest number of an episode in the event files of a folder, 0 where there is none."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    return max(
        (
            event.step
            for file in Path(log_dir).glob("events.out.tfevents.*")
            for event in EventFileLoader(str(file)).Load()
            if any(value.tag == "episode/return" for value in event.summary.value)
        ),
        default=0,
    )


@dataclass
class _Mean:
    total: float = 0.0
    count: int = 0

    def add(self, value: float) -> None:
        self.total += value
        self.count += 1

    @property
    def value(self) -> float:
        return self.total / self.count


def figures_of(episode: Episode, state: State, info: Info) -> dict[str, float]:
    """Returns the figures of an ended episode by their tags, without those that were not measured."""
    figures = {
        "return": sum(episode.rewards),
        "length": float(len(episode.rewards)),
        "tokens": float(state.num_tokens),
    }
    if "tokens_used" in info:
        figures["tokens_used"] = float(cast(int, info["tokens_used"]))
    if any(episode.prm_scores):
        figures["prm"] = sum(episode.prm_scores) / len(episode.prm_scores)
    if orm := float(cast(float, info["reward_orm"])):
        figures["orm"] = orm
    if info["verdict"] != NO_GOLD:
        figures["success"] = float(cast(bool, info["is_success"]))
    if "invalid_action" in info:
        figures["invalid_rate"] = episode.num_invalid / len(episode.rewards)
    return figures | {f"reward_part/{name}": total for name, total in episode.reward_parts.items()}


def text_of(episode: Episode, state: State, info: Info) -> str:
    """Returns the episode as Markdown: an indented block, which nothing that a model writes can close."""
    steps = [
        f"{number:>3} | {reward:7.3f} | {_shown(option)}"
        for number, (reward, option) in enumerate(zip(episode.rewards, episode.options, strict=True), start=1)
    ]
    ending = f"[{info['ending']}, {info['verdict']}; return {sum(episode.rewards):.3f}; tokens {state.num_tokens}]"
    lines = [f"problem {info['problem_id']}", *printable(state.question).split("\n"), "", *steps, "", ending]
    return "\n".join(f"    {line}" for line in lines)


def _shown(option: Option | None) -> str:
    if option is None:
        return "(no option taken)"
    return printable(option.text).strip("\n").replace("\n", "\n        |         | ")
