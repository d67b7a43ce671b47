"""The settings of ηMCTS, AlphaLLM's among them, and how they are named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from agents.tree.answering import ANSWER_RULES, AnswerRule, orm_rerank
from agents.tree.backup import BACKUPS, mean_return
from agents.tree.evaluation import LeafScoring
from agents.tree.expansion import Sampling, Width
from agents.tree.merging import MERGE_RULES, EditDistance, MergeMode, MergeRule, SameMathematics
from agents.tree.selection import SELECTION_RULES, Gumbel, QFunction, SelectionRule, uct_rule

_TABLES: dict[str, Mapping[str, object]] = {
    "selection": SELECTION_RULES,
    "root_selection": {"none": None, "gumbel": Gumbel()},
    "backup": BACKUPS,
    "answer_rule": ANSWER_RULES,
    "merge_rule": {"none": None, **MERGE_RULES},
    "merge_mode": {mode.value: mode for mode in MergeMode},
}


@dataclass(frozen=True)
class MCTSConfig:
    """The settings of one ηMCTS. Every mechanism has its switch.

    Off: adaptive width by `alpha=0` (c_min children everywhere), state merge by `merge_rule=None`, a critic
    by its `beta_…=0`, rollouts by `num_rollouts=0`, discounting by `gamma=1`, virtual loss by
    `leaves_in_flight=1`.
    """

    c: float = 1.0  # of selection: how much exploring counts against exploiting
    alpha: float = 1.0
    c_min_root: int = 4
    c_min: int = 2
    c_max_root: int = 8
    c_max: int = 4
    depth_limit: int = 10  # options; then the text is written to its end in one
    temperature: float | None = None  # the policy's own where None
    rollout_temperature: float | None = None  # the rollout model's own where None
    beta_value: float = 1.0
    beta_prm: float = 1.0
    beta_orm: float = 1.0
    num_rollouts: int = 4  # per leaf
    merge_rule: MergeRule | None = None
    merge_mode: MergeMode = MergeMode.MERGE
    merge_tries: int = 5  # samples in a row without anything new, after which a node is saturated
    known_mass: float | None = None  # of the policy's probability, at which a node is saturated
    selection: SelectionRule = uct_rule
    root_selection: Gumbel | None = None  # as everywhere else where None
    backup: QFunction = mean_return
    gamma: float | None = None  # the environment's own where None
    answer_rule: AnswerRule = orm_rerank
    leaves_in_flight: int = 1
    expansion_batch: int = 1  # of the first c_min children of a node, how many are drawn at once
    widens: bool = False  # what to do with budget that is left: widen the nodes up to c_max, or stop
    max_simulations: int = 10_000  # whatever the budget: for models that cost nothing

    def __post_init__(self) -> None:
        for name in ("leaves_in_flight", "expansion_batch", "max_simulations"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")
        if self.c < 0:
            raise ValueError(f"c must be >= 0, got {self.c}")
        if self.gamma is not None and not 0.0 <= self.gamma <= 1.0:
            raise ValueError(f"gamma must be in [0, 1], got {self.gamma}")
        _ = self.width, self.sampling, self.scoring  # validated there

    @property
    def width(self) -> Width:
        """The settings of adaptive width."""
        return Width(self.alpha, self.c_min_root, self.c_min, self.c_max_root, self.c_max)

    @property
    def sampling(self) -> Sampling:
        """The settings of drawing and merging options."""
        return Sampling(
            self.temperature, self.depth_limit, self.merge_rule, self.merge_mode, self.merge_tries, self.known_mass
        )

    @property
    def scoring(self) -> LeafScoring:
        """The settings of a leaf's score."""
        return LeafScoring(self.beta_value, self.beta_prm, self.beta_orm, self.num_rollouts, self.rollout_temperature)

    def record(self) -> dict[str, str | float | None]:
        """Returns the settings as plain JSON values, rules by name: what a run's record keeps."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: _name_of(name, value) if name in _TABLES else value for name, value in values.items()}


def _name_of(setting: str, value: object) -> str:
    names = [name for name, known in _TABLES[setting].items() if known == value]
    return names[0] if names else getattr(value, "__qualname__", repr(value))


def resolved(config: MCTSConfig, overrides: Mapping[str, object]) -> MCTSConfig:
    """Returns `config` with some settings changed; rules and modes may be given by name.

    Raises ValueError for a setting or a name that does not exist.
    """
    known = {field.name for field in fields(config)}
    if unknown := sorted(overrides.keys() - known):
        raise ValueError(f"settings must be among {', '.join(sorted(known))}, got {', '.join(unknown)}")
    changes: dict[str, object] = {}
    for name, value in overrides.items():
        table = _TABLES.get(name, {})
        if isinstance(value, str) and value not in table:
            raise ValueError(f"{name} must be one of {', '.join(table) or 'no names'}, got {value!r}")
        changes[name] = table[value] if isinstance(value, str) else value
    return replace(config, **changes)


# AlphaLLM's table of hyper-parameters. Differs: alpha is in units of c_max (see `allowed_children`); the paper
# leaves the temperature open, and the answer rule.
_PAPER = MCTSConfig(
    alpha=1.0,
    c_max_root=60,
    c_max=10,
    depth_limit=10,
    temperature=0.8,
    num_rollouts=4,
    merge_rule=EditDistance(50),
    merge_mode=MergeMode.REJECT,
    merge_tries=5,
    expansion_batch=10,
)
# For the tiny policy on problems of three or four options of some twenty tokens, at a few thousand tokens.
_TINY = MCTSConfig(
    num_rollouts=2,
    merge_rule=SameMathematics(),
    merge_tries=3,
    known_mass=0.98,
    expansion_batch=4,
    widens=True,
)

PRESETS: dict[str, MCTSConfig] = {
    "gsm8k_small": replace(_PAPER, c=1.0, c_min_root=10, c_min=2),
    "gsm8k_large": replace(_PAPER, c=1.5, c_min_root=40, c_min=2),
    "math_small": replace(_PAPER, c=1.0, c_min_root=10, c_min=3),
    "math_large": replace(_PAPER, c=1.0, c_min_root=20, c_min=3),
    "tiny_small": replace(_TINY, c=1.0, c_min_root=4, c_min=2, c_max_root=16, c_max=4),
    "tiny_large": replace(_TINY, c=1.0, c_min_root=16, c_min=3, c_max_root=32, c_max=6),
}
