"""Planners by name: ours, presets of ηMCTS, and what an importable module holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from agents.base import Planner
from agents.best_of_n import BestOfN
from agents.field.adaptive_branching import AdaptiveBranching
from agents.field.backtracking import Backtracking
from agents.field.beam import StepBeam, dvts
from agents.field.distinct import WithoutReplacement
from agents.field.particles import ParticleFilter
from agents.field.steps import REDRAWS
from agents.greedy import Greedy
from agents.mcts import eta_mcts
from agents.presets import preset_family
from alphallm_env.registry import Registry


@dataclass(frozen=True)
class PlannerMaker:
    """Makes a planner for the problem set of a name: a preset of ηMCTS depends on it, most planners do not."""

    make: Callable[[str], Planner]


def as_planner_maker(found: object) -> PlannerMaker:
    """Returns a maker of what a module holds: a planner, a class or function that makes one, or a `PlannerMaker`.

    A planner without a name of its own gets that of the class or function. Raises TypeError for anything else.
    """
    if isinstance(found, PlannerMaker):
        return found
    planner = (
        found if isinstance(found, Planner) else cast("Callable[[], object]", found)() if callable(found) else None
    )
    if not isinstance(planner, Planner):
        raise TypeError(f"must be or make a Planner, got {type(found if planner is None else planner).__name__}")
    if planner.name == Planner.name:
        planner.name = str(getattr(found, "__name__", type(planner).__name__))
    return PlannerMaker(lambda _: planner)


_FIXED = {"alpha": 0.0, "merge_rule": None}  # a tree of fixed width, whose children are what the policy drew


def _sized(size: str, name: str, **settings: object) -> PlannerMaker:
    """Returns a maker of a tree search with the presets of the problems in use, some settings changed."""
    return PlannerMaker(lambda problems: eta_mcts(f"{preset_family(problems)}_{size}", name=name, **settings))


PLANNERS: Registry[PlannerMaker] = Registry(
    "planner",
    {
        "greedy": PlannerMaker(lambda _: Greedy()),
        "majority": PlannerMaker(lambda _: BestOfN("majority")),
        "orm_rerank": PlannerMaker(lambda _: BestOfN("orm")),
        "weighted_vote": PlannerMaker(lambda _: BestOfN("weighted")),
        "self_consistency": PlannerMaker(lambda _: BestOfN(stop_at=0.95, name="self_consistency")),
        "checked_majority": PlannerMaker(lambda _: BestOfN(redraws=REDRAWS, name="checked_majority")),
        "checked_rerank": PlannerMaker(lambda _: BestOfN("orm", redraws=REDRAWS, name="checked_rerank")),
        "without_replacement": PlannerMaker(lambda _: WithoutReplacement()),
        "breadth_first": PlannerMaker(lambda _: StepBeam(5, 5, critic="value", name="breadth_first")),
        "step_beam": PlannerMaker(lambda _: StepBeam()),
        "dvts": PlannerMaker(lambda _: dvts()),
        "particle_filter": PlannerMaker(lambda _: ParticleFilter()),
        "backtracking": PlannerMaker(lambda _: Backtracking()),
        "ab_mcts": PlannerMaker(lambda _: AdaptiveBranching()),
        "uct": _sized("small", "uct", **_FIXED),
        "puct": _sized("small", "puct", selection="puct", **_FIXED),
        "gumbel": _sized("small", "gumbel", root_selection="gumbel", selection="puct", **_FIXED),
        "eta_mcts": _sized("small", "eta_mcts"),
        "eta_mcts_small": _sized("small", "eta_mcts_small"),
        "eta_mcts_large": _sized("large", "eta_mcts_large"),
        "checked_eta_mcts": _sized("small", "checked_eta_mcts", checks=True),
        "eta_mcts_plus": _sized("small", "eta_mcts_plus", checks=True, growth=0.25, transpositions=True),
    },
    as_planner_maker,
    families={"eta_mcts": lambda preset: as_planner_maker(eta_mcts(preset))},
)


def make_planner(name: str, problems: str = "gsm_symbolic") -> Planner:
    """Returns the planner of that name for a problem set: one of `PLANNERS`, `eta_mcts:PRESET` or `module:attribute`.

    `eta_mcts`, `eta_mcts_small` and `eta_mcts_large` have the presets that suit the problems (`preset_family`). A
    module is looked for in the current directory too; it holds a planner, or a class or function that makes one
    without arguments. Raises ValueError, which lists the names, if there is no such planner.
    """
    return PLANNERS.resolve(name).make(problems)
