"""Simple rules that choose among options, to compare agents with, and episodes of many problems at once."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from alphallm_env.envs.base import ModelQuery
from experiments.choice.offers import RecordedChoiceEnv

Observations = Mapping[str, NDArray[np.float32 | np.int8]]  # of B episodes: [B, …] by name


class Chooser(Protocol):
    """Picks an action for each of B episodes."""

    def choose(self, observations: Observations) -> NDArray[np.int64]:
        """Returns actions, int [B]."""
        ...


@dataclass
class RandomChooser:
    """Takes one of the options on offer, each with the same probability."""

    rng: np.random.Generator

    def choose(self, observations: Observations) -> NDArray[np.int64]:
        """Returns actions, int [B]."""
        return _best_on_offer(self.rng.random(observations["action_mask"].shape), observations)


@dataclass(frozen=True)
class HighestChooser:
    """Takes the option on offer for which one part of the observation is highest."""

    part: str

    def choose(self, observations: Observations) -> NDArray[np.int64]:
        """Returns actions, int [B]. Raises KeyError for a part that is not observed."""
        return _best_on_offer(observations[self.part], observations)


def _best_on_offer(scores_BK: NDArray[np.floating | np.integer], observations: Observations) -> NDArray[np.int64]:
    return np.where(observations["action_mask"] > 0, scores_BK, -np.inf).argmax(axis=-1)


def reference_choosers(seed: int) -> dict[str, Chooser]:
    """Returns the rules that learn nothing: what they reach takes nothing but the observation."""
    return {
        "random": RandomChooser(np.random.default_rng(seed)),
        "most_probable": HighestChooser("log_prob"),
        "highest_prm": HighestChooser("prm"),
        "highest_value": HighestChooser("value"),
    }


@dataclass(frozen=True)
class Played:
    """One episode. `num_tokens` is every token proposed or scored to know what was on offer, taken or not."""

    problem_id: str
    is_success: bool
    num_tokens: int
    num_steps: int
    num_invalid: int


def play(env: RecordedChoiceEnv, chooser: Chooser, problem_ids: Sequence[str], seed: int) -> list[Played]:
    """Returns an episode of each problem, in order, all with the same `seed`; the models are asked for all at once.

    An agent that takes an invalid action pays as the environment says, and loses a step. `env` stays where it is.
    """
    first = env.with_seed(seed)
    envs = [copy.deepcopy(first) for _ in problem_ids]
    starts: list[dict[str, object]] = [{"problem_id": problem_id} for problem_id in problem_ids]
    _prefetch(first, [env.queries_of_reset(seed, options) for env, options in zip(envs, starts, strict=True)])
    latest = [env.reset(seed=seed, options=options) for env, options in zip(envs, starts, strict=True)]
    tokens = [env.num_tokens_here() for env in envs]
    steps, invalid = [0] * len(envs), [0] * len(envs)
    running = list(range(len(envs)))
    while running:
        observations = {key: np.stack([latest[index][0][key] for index in running]) for key in latest[0][0]}
        actions = chooser.choose(observations)
        chosen = list(zip(running, actions.tolist(), strict=True))
        _prefetch(first, [envs[index].queries_of_step(action) for index, action in chosen])
        still_running: list[int] = []
        for index, action in chosen:
            observation, _, terminated, truncated, info = envs[index].step(action)
            latest[index] = observation, info
            steps[index] += 1
            invalid[index] += bool(info["invalid_action"])
            if not (terminated or truncated):
                tokens[index] += 0 if info["invalid_action"] else envs[index].num_tokens_here()
                still_running.append(index)
        running = still_running
    return [
        Played(problem_id, bool(latest[index][1]["is_success"]), tokens[index], steps[index], invalid[index])
        for index, problem_id in enumerate(problem_ids)
    ]


def _prefetch(env: RecordedChoiceEnv, upcoming: Sequence[Sequence[ModelQuery]]) -> None:
    """Prefetches what several copies of `env` are about to ask the models, in common batches."""
    if queries := list(chain.from_iterable(upcoming)):
        env.simulator.engine.run(env.prefetch(queries))
