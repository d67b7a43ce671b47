"""A problem set for planners to be compared on: its problems, its models, and budgets as multiples of greedy's cost."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from agents.base import Budget, Planner
from agents.greedy import Greedy
from alphallm_env.mdp.dynamics import Rules
from alphallm_env.problems import load_problems
from alphallm_env.runtime.seeds import derive_seed
from alphallm_env.types import Problem
from experiments.field.curves import AXES
from experiments.runs.models import Models
from experiments.runs.screen import Screen
from experiments.runs.search_records import SearchRecord, searches_at
from experiments.runs.searching import ignore, run_searches

Axis = Literal["flops", "computed", "tokens"]
_POLICIES = {"countdown": "tiny_countdown", "gsm_symbolic": "tiny"}


@dataclass(frozen=True)
class Terms:
    """What all planners get: the problem sets, the models, the length of a solution, and what a budget limits."""

    problems: tuple[str, ...] = ()
    """problem sets"""
    split: str = "test"
    """of the problem sets"""
    limit: int = 300
    """problems of each set"""
    axis: Axis = "flops"
    """what a budget limits: FLOPs, computed tokens, or tokens generated and scored"""
    critics: str = "auto"
    """of every set; auto: those that suit it, the verifier for Countdown, tiny for gsm_symbolic, else prompted"""
    max_tokens: int = 120
    """of one solution"""
    concurrency: int = 100
    """problems searched at once"""
    seed: int = 0
    """everything random is drawn from it"""
    threads: int = 2
    """of the processor, for the models"""

    def problems_of(self, source: str) -> Sequence[Problem]:
        """Returns the problems of a set."""
        return load_problems(source, self.split, self.limit, seed=self.seed)


def policy_of(source: str, named: str = "") -> str:
    """Returns the policy that plays a problem set: `named`, or what ships for the set where that is empty.

    Raises SystemExit where none is named and none ships.
    """
    if policy := named or _shipped_for(source):
        return policy
    raise SystemExit(f"--problems {source} needs --policy: none is shipped for it")


def _shipped_for(source: str) -> str:
    return _POLICIES.get(source.partition(":")[0], "")


class Contest:
    """Searches of one problem set by one policy in a run's folder, each of which is read back where it is there."""

    def __init__(
        self, source: str, policy: str, terms: Terms, folder: Path, screen: Screen | None = None, label: str = ""
    ) -> None:
        """`label` is what the searches go by: the problem set where empty. Nothing is shown without a screen."""
        from alphallm_env.loading import shared_engine

        self._label = label or source
        self._terms = terms
        self._folder = folder
        self._screen = screen
        # Critics called auto suit the set, whatever plays it.
        models = Models(policy=_shipped_for(source) or policy, critics=terms.critics).with_policy(policy)
        self._simulator = models.simulator(Rules(max_tokens=terms.max_tokens), shared_engine())
        self._problems = terms.problems_of(source)

    @cached_property
    def greedy(self) -> list[SearchRecord]:
        """The greedy solution of each problem, by which budgets are measured."""
        return self._searches("greedy", "greedy", Greedy(), Budget(), self._terms.seed)

    def budget(self, multiple: int) -> int:
        """Returns what so many greedy solutions cost, as a mean over the problems."""
        cost = AXES[self._terms.axis]
        return max(1, round(float(np.mean([cost(record) for record in self.greedy])) * multiple))

    def search(self, name: str, planner: Planner, budget: int, repeat: int = 0) -> list[SearchRecord]:
        """Returns the searches of a planner, called `name` here, at a budget; another repeat has seeds of its own."""
        axis = self._terms.axis
        again = f", repeat {repeat}" if repeat else ""
        title = f"{name}, {budget:,} {axis}{again}"
        seed = derive_seed(self._terms.seed, "repeat", repeat) if repeat else self._terms.seed
        file = f"{name}-{budget}" + (f"-{repeat}" if repeat else "")
        return self._searches(file, title, planner, Budget(**{axis: budget}), seed)

    def _searches(self, file: str, title: str, planner: Planner, budget: Budget, seed: int) -> list[SearchRecord]:
        name = f"{self._label}-{file}".replace("/", "_").replace(":", "_")
        folder = self._folder / "searches" / name  # of these searches alone: several processes may search side by side
        folder.mkdir(parents=True, exist_ok=True)
        journal = searches_at(folder / f"{name}.jsonl")
        with contextlib.ExitStack() as shown:
            progress = ignore
            if self._screen is not None:
                progress = shown.enter_context(self._screen.stage(f"{self._label}: {title}", len(self._problems)))
            return run_searches(
                planner, self._simulator, self._problems, budget, seed, self._terms.concurrency, journal, progress
            )
