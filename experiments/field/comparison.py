"""A field of planners compared over cost: who searched what, and the figures of one beside those of another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from agents.base import Planner
from agents.registry import PLANNERS
from alphallm_env.mdp.rewards import CORRECT, verdict_of
from experiments.field.contest import Contest, Terms, policy_of
from experiments.field.curves import AXES, Curve, Ratio, best_at, cost_factor, curve_of, error_ratio, falls, solved
from experiments.field.page import short
from experiments.runs.planners import planner_of
from experiments.runs.records import RunFolder
from experiments.runs.screen import Screen, quiet_libraries
from experiments.runs.search_records import SearchRecord
from experiments.runs.settings import flat
from experiments.runs.statistics import bootstrap_mean

Repeats = list[list[SearchRecord]]  # of a planner at a budget, one list of searches each


@dataclass(frozen=True)
class FieldConfig(Terms):
    """Which planners are compared, on what, and at which budgets."""

    problems: tuple[str, ...] = ("countdown:4", "countdown:5", "countdown:6", "gsm_symbolic")
    """problem sets, each by itself"""
    policy: tuple[str, ...] = ()
    """policies, each of which plays all sets; the shipped one that suits a set where empty"""
    trees: Annotated[tuple[str, ...], tyro.conf.arg(help=f"tree searches: {PLANNERS.choices}")] = (
        "eta_mcts",
        "checked_eta_mcts",
        "eta_mcts_plus",
    )
    others: Annotated[tuple[str, ...], tyro.conf.arg(help="what they are compared with, named likewise")] = (
        "majority", "weighted_vote", "orm_rerank", "checked_rerank", "without_replacement", "step_beam", "dvts",
        "particle_filter",
    )  # fmt: skip
    stop_at: float | None = None
    """the ORM score of a solution at which every planner ends a search: what it leaves pays for others"""
    reference: str = ""
    """the planner that all others are compared with problem by problem, at each budget; none where empty"""
    multiples: tuple[int, ...] = (8, 32, 128)
    """budgets: what so many greedy solutions cost"""
    budgets: tuple[int, ...] = ()
    """budgets in units of the axis, in place of multiples"""
    repeats: int = 1
    """searches of a problem by each planner at each budget, with seeds of their own; accuracy is their mean"""
    processes: int = 1
    """that search side by side, and share the threads"""
    out: Path = Path("runs/per-token")
    """the run's folder, from which the same command resumes"""

    def __post_init__(self) -> None:
        if not self.trees or not self.others:
            raise ValueError("expected at least one tree and one other planner, got none")
        name = "budgets" if self.budgets else "multiples"
        if not self.sizes or min(self.sizes) < 1:
            raise ValueError(f"{name} must be >= 1, got {self.sizes}")
        if list(self.sizes) != sorted(set(self.sizes)):
            raise ValueError(f"{name} must rise, as curves do, got {self.sizes}")
        for name in ("repeats", "processes", "threads", "limit"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")
        if self.reference and self.reference not in self.planners:
            raise ValueError(f"reference must be among {', '.join(self.planners)}, got {self.reference!r}")

    @property
    def planners(self) -> tuple[str, ...]:
        """All that have a budget, trees first."""
        return (*self.trees, *self.others)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The budgets as they were asked for: in units of the axis, else in greedy solutions."""
        return self.budgets or self.multiples

    def contestants(self) -> dict[str, tuple[str, str]]:
        """Returns problem set and policy by what they go by: the set, and its policy where there are several.

        Raises SystemExit for a problem set without a policy.
        """
        if len(self.policy) > 1:
            return {f"{source}, {policy}": (source, policy) for source in self.problems for policy in self.policy}
        return {source: (source, policy_of(source, "".join(self.policy))) for source in self.problems}

    def planner(self, name: str, source: str) -> Planner:
        """Returns a planner for a problem set. Raises ValueError for one that does not exist, or cannot stop early."""
        if self.stop_at is None:
            return planner_of(name, source)
        planner = planner_of(f"{name},stop_at={self.stop_at}", source)
        planner.name = name
        return planner

    def jobs(self) -> Iterator[tuple[str, int, int]]:
        """Yields planner, size of the budget and repeat of all searches of one set, the cheapest first."""
        for size in self.sizes:
            for planner in self.planners:
                for repeat in range(self.repeats):
                    yield planner, size, repeat


class Comparison:
    """One run in one folder: searches by problem set, planner and budget, each of which is read back where finished."""

    def __init__(self, config: FieldConfig) -> None:
        self.config = config
        self.places = config.contestants()
        for source, _ in self.places.values():
            for name in config.planners:
                config.planner(name, source)  # raises ValueError before anything is written
        self.folder = RunFolder(config.out, flat(config, "out", "processes"))
        self.screen = Screen({})
        self.budgets: dict[str, dict[int, int]] = {}  # by their sizes, of each place
        self.records: dict[tuple[str, str, int], Repeats] = {}  # by size: 0 of greedy, without a budget

    def run(self) -> None:
        """Runs every search, by problem set."""
        for place, (source, policy) in self.places.items():
            contest = Contest(source, policy, self.config, self.folder.path, self.screen, place)
            self.records[place, "greedy", 0] = [contest.greedy]
            self.budgets[place] = {
                size: size if self.config.budgets else contest.budget(size) for size in self.config.sizes
            }
            if self.config.processes > 1:
                self._search_side_by_side(place)
            for name, size, repeat in self.config.jobs():
                found = contest.search(name, self.config.planner(name, source), self.budgets[place][size], repeat)
                self.records.setdefault((place, name, size), []).append(found)

    def _search_side_by_side(self, place: str) -> None:
        """Has processes run all searches of a place, and write them where this one then finds them."""
        config = self.config
        jobs = list(config.jobs())
        title = f"{place}: {len(jobs)} times {config.limit} searches in {config.processes} processes"
        with (
            self.screen.stage(title, len(jobs)) as progress,
            ProcessPoolExecutor(config.processes, mp_context=get_context("spawn")) as pool,
        ):
            futures = [
                pool.submit(_search, config, place, planner, self.budgets[place][size], repeat)
                for planner, size, repeat in jobs
            ]
            for number, future in enumerate(as_completed(futures), 1):
                future.result()
                progress(number, len(jobs))

    def rows(self) -> list[dict[str, Any]]:
        """Returns one row for each problem set, planner and budget."""
        return [
            row_of(place, planner, self.multiple_of(place, size), planner in self.config.trees, repeats)
            | {"budget": self.budgets[place].get(size, 0)}
            for (place, planner, size), repeats in self.records.items()
        ]

    def multiple_of(self, place: str, size: int) -> float:
        """Returns how many greedy solutions a budget of that size is worth on a problem set; 0 without a budget."""
        if not self.config.budgets:
            return size
        [greedy] = self.records[place, "greedy", 0]
        cost = AXES[self.config.axis]
        return round(size / float(np.mean([cost(record) for record in greedy])), 2)

    def curves(self, place: str, axis: str) -> list[Curve]:
        """Returns the curves of all planners with a budget on a problem set."""
        return [
            curve_of(planner, [self.records[place, planner, size] for size in self.config.sizes], axis)
            for planner in self.config.planners
        ]

    def ratios(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Returns error ratios and cost factors of the best tree over the best other planner, on each axis of cost."""
        config = self.config
        errors: list[dict[str, Any]] = []
        factors: list[dict[str, Any]] = []
        for place, budgets in self.budgets.items():
            for axis in AXES:
                curves = self.curves(place, axis)
                trees, others = curves[: len(config.trees)], curves[len(config.trees) :]
                for number, budget in enumerate(budgets.values()):
                    tree = max(trees, key=lambda curve: float(curve.correct[number].mean()))
                    cost = float(tree.costs[number])
                    other = best_at(others, cost)
                    where = {"problems": place, "budget": budget, "axis": axis, "tree": tree.planner}
                    ratio = error_ratio(tree.correct[number], other.at(cost), config.seed)
                    errors.append({**where, "non_tree": other.planner, **_json(ratio, "ratio")})
                    factors.append({**where, **_json(cost_factor(tree, others, number, config.seed), "factor")})
        return errors, factors

    def differences(self) -> list[dict[str, Any]]:
        """Returns by how much each planner is more accurate than the reference, at each budget; nothing without one."""
        found: list[dict[str, Any]] = []
        if not self.config.reference:
            return found
        for place, budgets in self.budgets.items():
            curves = {curve.planner: curve for curve in self.curves(place, self.config.axis)}
            reference = curves.pop(self.config.reference)
            for planner, curve in curves.items():
                for number, budget in enumerate(budgets.values()):
                    gains = curve.correct[number] - reference.correct[number]
                    where = {"problems": place, "budget": budget, "planner": planner, "reference": reference.planner}
                    ci95 = list(bootstrap_mean(gains.tolist()))
                    found.append({**where, "difference": round(float(gains.mean()), 4), "ci95": ci95})
        return found

    def falls(self) -> list[dict[str, Any]]:
        """Returns where a planner is worse with more budget by more than noise."""
        return [
            {
                "problems": place, "planner": curve.planner, "budget": list(budgets.values())[number],
                "change": round(change, 4), "ci95": list(interval),
            }
            for place, budgets in self.budgets.items()
            for curve in self.curves(place, self.config.axis)
            for number, change, interval in falls(curve)
        ]  # fmt: skip


def _search(config: FieldConfig, place: str, planner: str, budget: int, repeat: int) -> None:
    """Runs the searches of one planner at one budget in this process, which is one of several."""
    contest, source = _contest(config, place)
    contest.search(planner, config.planner(planner, source), budget, repeat)


@lru_cache(maxsize=1)
def _contest(config: FieldConfig, place: str) -> tuple[Contest, str]:
    import torch

    torch.set_num_threads(max(1, config.threads // config.processes))
    quiet_libraries()
    source, policy = config.contestants()[place]
    return Contest(source, policy, config, config.out, label=place), source


def row_of(place: str, planner: str, multiple: float, is_tree: bool, repeats: Repeats) -> dict[str, Any]:
    """Returns the figures of one planner at a multiple of greedy's cost. Costs are means over problems and repeats."""
    records = [record for found in repeats for record in found]

    def mean(values: Sequence[float]) -> float:
        return round(float(np.mean(values)), 4)

    correct = solved(repeats).tolist()
    found = [any(verdict_of(t.state.text, r.problem) == CORRECT for t in r.kept) for r in records]
    expanded = sum(record.num_expanded for record in records)
    usages = [record.usage for record in records]
    return {
        "problems": place, "planner": planner, "is_tree": is_tree, "multiple": multiple, "num_problems": len(correct),
        "accuracy": mean(correct), "ci95": list(bootstrap_mean(correct)), "pass_at_k": mean(found),
        **{axis: mean([cost(record) for record in records]) for axis, cost in AXES.items()},
        "simulations": mean([usage.simulations for usage in usages]),
        "depth": mean([record.depth for record in records]),
        "choice_share": round(sum(r.num_choices for r in records) / expanded, 4) if expanded else 0.0,
        "seconds": mean([usage.seconds for usage in usages]),  # of a search, shared with those beside it
    }  # fmt: skip


def _json(ratio: Ratio, name: str) -> dict[str, Any]:
    values = [None if not np.isfinite(value) else round(value, 4) for value in (ratio.value, *ratio.ci95)]
    return {name: values[0], "ci95": values[1:]}


def in_words(entry: dict[str, Any]) -> str:
    """Returns a ratio, a factor or a difference as a line for the terminal and the page."""
    low, high = entry["ci95"]
    where = f"{entry['problems']}, budget {short(entry['budget'])}"
    if "difference" in entry:
        said = f"{entry['planner']} - {entry['reference']}: {entry['difference']:+.3f} ({low:+.3f} to {high:+.3f})"
        return f"{where}: {said}"
    what = f"its error ÷ {entry['non_tree']}'s" if "ratio" in entry else "what the cheapest other needs ÷ its cost"
    value, low, high = ("∞" if v is None else f"{v:.2f}" for v in (entry.get("ratio", entry.get("factor")), low, high))
    return f"{where}, by {entry['axis']}: {entry['tree']}, {what}: {value} ({low} to {high})"
