"""The settings of ηMCTS, in groups, and how a flat keyword finds its group."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import cast

from agents.base import check_stop_at
from agents.tree.answering import ANSWER_RULES, AnswerRule, orm_rerank
from agents.tree.backup import BACKUPS, BackupRule, mean_return
from agents.tree.evaluation import LeafScoring
from agents.tree.expansion import Sampling, Width
from agents.tree.halving import ROOT_SELECTIONS, RootSelection
from agents.tree.merging import MERGE_RULES, MergeMode
from agents.tree.node import Node
from agents.tree.selection import SELECTION_RULES, SelectionRule, uct
from agents.tree.trace import Trace
from alphallm_env.registry import Registry


@dataclass(frozen=True)
class Descent:
    """The settings of selection and backup: which child a simulation descends to, and what its score changes above."""

    selection: SelectionRule = uct
    c: float = 1.0  # the weight of exploration
    root_selection: RootSelection | None = None  # of the root's children; by `selection` too where None
    backup: BackupRule = mean_return
    gamma: float | None = None  # discount; the environment's own where None

    def __post_init__(self) -> None:
        if self.c < 0:
            raise ValueError(f"c must be >= 0, got {self.c}")
        if self.gamma is not None and not 0.0 <= self.gamma <= 1.0:
            raise ValueError(f"gamma must be in [0, 1], got {self.gamma}")


@dataclass(frozen=True)
class MCTSConfig:
    """The settings of one ηMCTS. Every mechanism has its switch.

    Off: adaptive width by `alpha=0` (c_min children everywhere), state merge by `merge_rule=None`, a critic
    by its `beta_…=0`, rollouts by `num_rollouts=0`, discounting by `gamma=1`, virtual loss by
    `leaves_in_flight=1`.
    """

    descent: Descent = field(default_factory=Descent)
    width: Width = field(default_factory=Width)
    sampling: Sampling = field(default_factory=Sampling)
    scoring: LeafScoring = field(default_factory=LeafScoring)
    answer_rule: AnswerRule = orm_rerank
    leaves_in_flight: int = 1
    max_simulations: int = 10_000  # whatever the budget: for models that cost nothing
    stop_at: float | None = None  # the ORM score of a solution at which the search ends; never where None
    trace: bool = False  # whether each simulation is recorded, for `show_tree`; it changes nothing in a search

    def __post_init__(self) -> None:
        check_stop_at(self.stop_at)
        for name in ("leaves_in_flight", "max_simulations"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")

    def with_settings(self, **settings: object) -> MCTSConfig:
        """Returns the config with some settings changed, each under its own name, whatever its group.

        Rules and modes may be given by name, as in `with_settings(selection="puct", num_rollouts=0)`. Raises
        ValueError for a setting or a name that does not exist.
        """
        if unknown := sorted(settings.keys() - _GROUP_OF.keys()):
            raise ValueError(f"settings must be among {', '.join(sorted(_GROUP_OF))}, got {', '.join(unknown)}")
        changes: dict[str, dict[str, object]] = {}
        for name, value in settings.items():
            changes.setdefault(_GROUP_OF[name], {})[name] = _resolved(name, value)
        own = changes.pop("", {})
        groups = {group: replace(getattr(self, group), **changed) for group, changed in changes.items()}
        return replace(self, **groups, **own)  # type: ignore[arg-type]

    def start_trace(self, root: Node) -> Trace | None:
        """Returns the trace of a search that begins with the tree of `root`, None where none is to be kept."""
        if not self.trace:
            return None
        rule, root_rule = (_recorded(name, getattr(self.descent, name)) for name in ("selection", "root_selection"))
        return Trace(root, self.width, rule=str(rule), root_rule=str(root_rule), c=self.descent.c)

    def record(self) -> dict[str, str | float | None]:
        """Returns the settings as plain JSON values, flat, rules by name: what a run's record keeps.

        Without `trace`, on which no result depends: a search that was saved without one may be resumed with one.
        """
        owners = {name: getattr(self, group) if group else self for name, group in _GROUP_OF.items() if name != "trace"}
        return {name: _recorded(name, getattr(owner, name)) for name, owner in owners.items()}


_GROUPS = {"descent": Descent, "width": Width, "sampling": Sampling, "scoring": LeafScoring}
# The group of every setting; the search's own settings have none.
_GROUP_OF = {setting.name: group for group, kind in _GROUPS.items() for setting in fields(kind)} | {
    setting.name: "" for setting in fields(MCTSConfig) if setting.name not in _GROUPS
}
_REGISTRIES = {
    "selection": cast("Registry[object]", SELECTION_RULES),
    "root_selection": cast("Registry[object]", ROOT_SELECTIONS),
    "backup": cast("Registry[object]", BACKUPS),
    "answer_rule": cast("Registry[object]", ANSWER_RULES),
    "merge_rule": cast("Registry[object]", MERGE_RULES),
}


def _resolved(setting: str, value: object) -> object:
    """Returns the value of a setting, which may be given by name."""
    if not isinstance(value, str):
        return value
    if setting in _REGISTRIES:
        return _REGISTRIES[setting].resolve(value)
    if setting == "merge_mode" and value in (modes := {mode.value: mode for mode in MergeMode}):
        return modes[value]
    names = ", ".join(mode.value for mode in MergeMode) if setting == "merge_mode" else "no names, but a number"
    raise ValueError(f"{setting} must be one of {names}, got {value!r}")


def _recorded(setting: str, value: object) -> str | float | None:
    """Returns the JSON value of a setting; a rule that is not registered by its `module:attribute`."""
    if setting in _REGISTRIES:
        name = _REGISTRIES[setting].name_of(value)
        reference = f"{getattr(value, '__module__', '')}:{getattr(value, '__qualname__', '')}"
        return name or (reference if hasattr(value, "__qualname__") else repr(value))
    return value.value if isinstance(value, MergeMode) else cast("float | None", value)
