"""Planners by name, with rules of their trees by name."""

from __future__ import annotations

from collections.abc import Iterable

from agents.base import Planner
from agents.mcts import EtaMCTS
from agents.registry import make_planner


def planner_of(name: str, problems: str, selection: str = "", merge_rule: str = "") -> Planner:
    """Returns the planner of that name for a problem set; a tree search has the rules named, its own where empty.

    Raises ValueError for a planner or rule that does not exist, and lists those that do.
    """
    planner = make_planner(name, problems)
    rules = {key: rule for key, rule in (("selection", selection), ("merge_rule", merge_rule)) if rule}
    if not rules or not isinstance(planner, EtaMCTS):
        return planner
    return EtaMCTS(planner.config.with_settings(**rules), planner.name)


def planners_of(names: Iterable[str], problems: str, selection: str = "", merge_rule: str = "") -> dict[str, Planner]:
    """Returns planners by name, each once. Raises ValueError where rules are named and no planner is a tree search."""
    planners = {name: planner_of(name, problems, selection, merge_rule) for name in names}
    if (selection or merge_rule) and not any(isinstance(planner, EtaMCTS) for planner in planners.values()):
        raise ValueError(
            f"--selection and --merge-rule are rules of a tree search, got planners {', '.join(planners)} without one"
        )
    return planners
