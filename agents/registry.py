"""Planners by name: ours, presets of ηMCTS, and what an importable module holds."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

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
from alphallm_env.registry import Registry, split_changes


@dataclass(frozen=True)
class PlannerMaker:
    """Makes a planner for the problem set of a name. Where `make` takes keywords, they are settings to change."""

    make: Callable[[str], Planner]


def as_planner_maker(found: object) -> PlannerMaker:
    """Returns a maker of what a module holds: a planner, a class or function that makes one, or a `PlannerMaker`.

    A planner without a name of its own gets that of the class or function. Raises TypeError for anything else.
    """
    if isinstance(found, PlannerMaker):
        return found
    if not (isinstance(found, Planner) or callable(found)):
        raise TypeError(f"must be or make a Planner, got {type(found).__name__}")

    def make(_: str, **settings: object) -> Planner:
        if isinstance(found, Planner) and settings:
            raise TypeError(f"a planner that is made already takes no settings, got {', '.join(settings)}")
        planner = found if isinstance(found, Planner) else found(**settings)
        if not isinstance(planner, Planner):
            raise TypeError(f"must be or make a Planner, got {type(planner).__name__}")
        if planner.name == Planner.name:
            planner.name = str(getattr(found, "__name__", type(planner).__name__))
        return planner

    return PlannerMaker(make)


def _made(make: Callable[..., Planner], *arguments: Any, **own: Any) -> PlannerMaker:
    """Returns a maker of a planner that is the same for all problem sets, with settings that may be changed."""

    def for_all(_: str, **settings: Any) -> Planner:
        return make(*arguments, **{**own, **settings})

    return PlannerMaker(for_all)


# A tree of fixed width, whose children are what the policy drew.
_FIXED: dict[str, Any] = {"alpha": 0.0, "merge_rule": None}


def _sized(size: str, name: str, **own: Any) -> PlannerMaker:
    """Returns a maker of a tree search with the presets of the problems in use, some settings changed."""

    def for_these(problems: str, **settings: Any) -> Planner:
        return eta_mcts(f"{preset_family(problems)}_{size}", **{"name": name, **own, **settings})

    return PlannerMaker(for_these)


PLANNERS: Registry[PlannerMaker] = Registry(
    "planner",
    {
        "greedy": _made(Greedy),
        "majority": _made(BestOfN, "majority"),
        "orm_rerank": _made(BestOfN, "orm"),
        "weighted_vote": _made(BestOfN, "weighted"),
        "self_consistency": _made(BestOfN, stop_at=0.95, name="self_consistency"),
        "checked_majority": _made(BestOfN, redraws=REDRAWS, name="checked_majority"),
        "checked_rerank": _made(BestOfN, "orm", redraws=REDRAWS, name="checked_rerank"),
        "without_replacement": _made(WithoutReplacement),
        "breadth_first": _made(StepBeam, 5, 5, critic="value", name="breadth_first"),
        "step_beam": _made(StepBeam),
        "dvts": _made(dvts),
        "particle_filter": _made(ParticleFilter),
        "backtracking": _made(Backtracking),
        "ab_mcts": _made(AdaptiveBranching),
        "uct": _sized("small", "uct", **_FIXED),
        "puct": _sized("small", "puct", selection="puct", **_FIXED),
        "gumbel": _sized("small", "gumbel", root_selection="gumbel", selection="puct", **_FIXED),
        "eta_mcts": _sized("small", "eta_mcts"),
        "eta_mcts_small": _sized("small", "eta_mcts_small"),
        "eta_mcts_large": _sized("large", "eta_mcts_large"),
        "checked_eta_mcts": _sized("small", "checked_eta_mcts", checks=True),
        "eta_mcts_plus": _sized("small", "eta_mcts_plus", checks=True, transpositions=True, c_min_root=4, growth=0.5),
    },
    as_planner_maker,
    families={"eta_mcts": lambda preset: _made(eta_mcts, preset)},
)


_LITERALS: dict[str, bool | None] = {"true": True, "false": False, "none": None}


def make_planner(name: str, problems: str = "gsm_symbolic") -> Planner:
    """Returns the planner of that name for a problem set: one of `PLANNERS`, `eta_mcts:PRESET` or `module:attribute`.

    `eta_mcts`, `eta_mcts_small` and `eta_mcts_large` have the presets that suit the problems (`preset_family`). A
    module is looked for in the current directory too; it holds a planner, or a class or function that makes one
    without arguments. Behind the name may stand settings, as in `eta_mcts,c=0.5,checks=true`: numbers, true, false,
    none, and names of rules. The planner then goes by all of it. Raises ValueError, which lists the names, if there is
    no such planner, and where it has no such setting.
    """
    base, changes = split_changes(name)
    settings = {setting: _value(text) for setting, text in changes}
    make = cast("Callable[..., Planner]", PLANNERS.resolve(base).make)
    try:
        planner = make(problems, **settings)
    except TypeError as error:
        if not settings:
            raise ValueError(f"planner must be one of {PLANNERS.choices}, got {name!r}: {error}") from error
        said = ", ".join(f"{setting}={text}" for setting, text in changes)
        raise ValueError(f"expected settings of the planner {base}, got {said}: {error}") from error
    if settings:
        planner.name = name
    return planner


def _value(text: str) -> bool | float | str | None:
    """Returns the value that a setting's text stands for.

    >>> [_value(text) for text in ("0.5", "4", "True", "none", "puct")]
    [0.5, 4, True, None, 'puct']
    """
    text = text.strip()
    if text.lower() in _LITERALS:
        return _LITERALS[text.lower()]
    for number in (int, float):
        with contextlib.suppress(ValueError):
            return number(text)
    return text
