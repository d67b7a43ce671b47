"""A problem set for planners to be compared on: its problems, its models, and budgets as multiples of greedy's cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from agents.base import Budget, Planner
from agents.greedy import Greedy
from alphallm_env.mdp.dynamics import Rules
from alphallm_env.problems import load_problems
from alphallm_env.simulator import Simulator
from alphallm_env.types import Problem
from experiments.field.curves import AXES
from experiments.runs.models import Models
from experiments.runs.records import RunFolder
from experiments.runs.screen import Screen
from experiments.runs.search_records import SearchRecord
from experiments.runs.searching import run_searches, search_journal

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
    policy: str = ""
    """of every set; the shipped one that suits it where empty"""
    critics: str = "auto"
    """of every set"""
    max_tokens: int = 120
    """of one solution"""
    concurrency: int = 100
    """problems searched at once"""
    seed: int = 0
    """everything random is drawn from it"""
    threads: int = 2
    """of the processor, for the models"""

    def policy_of(self, source: str) -> str:
        """Returns the policy that plays a problem set. Raises SystemExit where none is named and none ships."""
        if policy := self.policy or _POLICIES.get(source.partition(":")[0], ""):
            return policy
        raise SystemExit(f"--problems {source} needs --policy: none is shipped for it")

    def simulator(self, source: str) -> Simulator:
        """Returns the decision process of a problem set."""
        from alphallm_env.loading import shared_engine

        models = Models(policy=self.policy_of(source), critics=self.critics)
        return models.simulator(Rules(max_tokens=self.max_tokens), shared_engine())

    def check_policies(self) -> None:
        """Raises SystemExit for a problem set without a policy: before anything is written."""
        for source in self.problems:
            self.policy_of(source)

    def problems_of(self, source: str) -> Sequence[Problem]:
        """Returns the problems of a set."""
        return load_problems(source, self.split, self.limit, seed=self.seed)


class Contest:
    """Searches of one problem set in a run's folder, each of which is read back where it is there."""

    def __init__(self, source: str, terms: Terms, folder: RunFolder, screen: Screen) -> None:
        self.source = source
        self._terms = terms
        self._folder = folder
        self._screen = screen
        self._simulator = terms.simulator(source)
        self._problems = terms.problems_of(source)

    @cached_property
    def greedy(self) -> list[SearchRecord]:
        """The greedy solution of each problem, by which budgets are measured."""
        return self._searches("greedy", Greedy(), Budget(), "no budget")

    def budget(self, multiple: int) -> int:
        """Returns what so many greedy solutions cost, as a mean over the problems."""
        cost = AXES[self._terms.axis]
        return max(1, round(float(np.mean([cost(record) for record in self.greedy])) * multiple))

    def search(self, name: str, planner: Planner, multiple: int) -> list[SearchRecord]:
        """Returns the searches of a planner, called `name` here, at a multiple of greedy's cost."""
        axis, budget = self._terms.axis, self.budget(multiple)
        return self._searches(f"{name}-{budget}", planner, Budget(**{axis: budget}), f"{budget:,} {axis}")

    def _searches(self, name: str, planner: Planner, budget: Budget, what: str) -> list[SearchRecord]:
        journal = search_journal(self._folder, f"{self.source}-{name}".replace("/", "_"))
        title = f"{self.source}: {name.partition('-')[0]}, {what}"
        with self._screen.stage(title, len(self._problems)) as progress:
            return run_searches(
                planner, self._simulator, self._problems, budget, self._terms.seed, self._terms.concurrency, journal,
                progress,
            )  # fmt: skip
