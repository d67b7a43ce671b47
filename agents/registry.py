"""Planners by name: ours, and any class that an importable module holds."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable

from agents.base import Planner
from agents.best_of_n import BestOfN
from agents.greedy import Greedy
from agents.mcts import eta_mcts

PLANNERS: dict[str, Callable[[], Planner]] = {
    "greedy": Greedy,
    "majority": lambda: BestOfN("majority"),
    "orm_rerank": lambda: BestOfN("orm"),
    "eta_mcts": lambda: eta_mcts("tiny_small", name="eta_mcts"),
    "eta_mcts_small": lambda: eta_mcts("tiny_small", name="eta_mcts_small"),
    "eta_mcts_large": lambda: eta_mcts("tiny_large", name="eta_mcts_large"),
}


def make_planner(name: str) -> Planner:
    """Returns the planner of that name: one of `PLANNERS`, `eta_mcts:preset` or `module:Class`.

    A module is looked for in the current directory too; the class must need no arguments. Raises ValueError
    if there is no such planner.
    """
    if name in PLANNERS:
        return PLANNERS[name]()
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        raise ValueError(f"planner must be one of {', '.join(PLANNERS)}, eta_mcts:preset or module:Class, got {name!r}")
    return eta_mcts(attribute) if module == "eta_mcts" else _imported(module, attribute)


def _imported(module: str, attribute: str) -> Planner:
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())
    maker = getattr(importlib.import_module(module), attribute, None)
    if maker is None:
        raise ValueError(f"module {module!r} has no {attribute!r}")
    planner = maker()
    if not isinstance(planner, Planner):
        raise ValueError(f"{module}:{attribute} must make a Planner, got {type(planner).__name__}")
    if planner.name == Planner.name:
        planner.name = attribute
    return planner
