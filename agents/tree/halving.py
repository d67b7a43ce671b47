"""Selection at the root by the Gumbel trick and sequential halving, which shares out a planned number of simulations.

Unlike the rules of `selection`, a root selection keeps progress of its own in each search, and can save it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Protocol, cast

from agents.tree.node import Node
from agents.tree.selection import Candidates
from alphallm_env.registry import Registry
from alphallm_env.runtime.files import Json
from alphallm_env.runtime.seeds import derive_seed


class RootChooser(Protocol):
    """Chooses among the root's children in one search."""

    def choose(self, candidates: Candidates) -> Node:
        """Returns the child to descend to. Called once a simulation that passes the root."""
        ...

    def save(self) -> Json:
        """Returns its progress as JSON, which `RootSelection.start` takes to resume."""
        ...


class RootSelection(Protocol):
    """The settings of a way to choose at the root."""

    def start(self, seed: int, saved: Json = None) -> RootChooser:
        """Returns the chooser of one search; it resumes from `saved`, what `save` returned, where there is one."""
        ...


def gumbel_score(noise: float, log_prior: float, q: float, max_visits: int, c_visit: float, c_scale: float) -> float:
    """Returns g + logit + (c_visit + max_visits) · c_scale · q. Danihelka et al. 2022, equations 8 and 10."""
    return noise + log_prior + (c_visit + max_visits) * c_scale * q


def gumbel_noise(seed: int) -> float:
    """Returns a sample of the standard Gumbel distribution that belongs to `seed` in [0, 2^63)."""
    return -math.log(-math.log((seed + 0.5) / 2**63))


@dataclass(frozen=True)
class Gumbel:
    """The Gumbel trick and sequential halving. Danihelka et al. 2022, algorithm 1.

    `num_simulations` is how many are planned below the root's children: the phases share them out. Where
    the budget holds more, the last two candidates share the rest.
    Differs: the policy's options are samples already, so the candidates are the root's children, and the
    Gumbel noise ranks those.
    """

    num_simulations: int = 64
    num_considered: int = 16
    c_visit: float = 50.0
    c_scale: float = 1.0

    def __post_init__(self) -> None:
        for name in ("num_simulations", "num_considered"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")

    def start(self, seed: int, saved: Json = None) -> SequentialHalving:
        """Returns the chooser of one search; it resumes from `saved`, what `save` returned, where there is one."""
        return SequentialHalving(self, seed, Phase.from_json(saved) if saved is not None else Phase())


@dataclass
class Phase:
    """The progress of a sequential halving."""

    number: int = 0  # phases begun
    planned: int = 1  # phases in all
    visits_left: int = 0  # in this phase
    dropped: set[int] = field(default_factory=set[int])  # indices of children that lost

    @staticmethod
    def from_json(record: Json) -> Phase:
        """Returns the phase that `save` wrote."""
        fields = cast("dict[str, int]", record)
        dropped = cast("dict[str, list[int]]", record)["dropped"]
        return Phase(fields["number"], fields["planned"], fields["visits_left"], set(dropped))


class SequentialHalving:
    """Shares one search's simulations among the root's children, dropping half of them at each phase."""

    def __init__(self, config: Gumbel, seed: int, phase: Phase) -> None:
        self._config = config
        self._seed = seed
        self._phase = phase

    def save(self) -> Json:
        """Returns what `Gumbel.start` takes to resume."""
        return cast(Json, asdict(self._phase) | {"dropped": sorted(self._phase.dropped)})

    def choose(self, candidates: Candidates) -> Node:
        """Returns the candidate with the fewest visits that was not dropped, the better-scored one of equals."""
        if self._phase.visits_left == 0:
            self._next_phase(candidates)
        self._phase.visits_left -= 1
        considered, scores = self._considered(candidates.nodes), self._scores(candidates)
        return min(considered, key=lambda child: (child.visit_count + child.virtual_loss, -scores[child.index]))

    def _considered(self, children: Sequence[Node]) -> list[Node]:
        """Returns the children that were not dropped, all where none is left."""
        return [child for child in children if child.index not in self._phase.dropped] or list(children)

    def _next_phase(self, candidates: Candidates) -> None:
        """Drops the lower half (at first: all but the planned number), and shares out the next visits."""
        phase, scores = self._phase, self._scores(candidates)
        ranked = sorted(self._considered(candidates.nodes), key=lambda child: -scores[child.index])
        if phase.number == 0:
            num_kept = min(self._config.num_considered, len(ranked))
            phase.planned = max(1, math.ceil(math.log2(num_kept)))
        else:
            num_kept = min(len(ranked), max(2, len(ranked) // 2))
        phase.dropped.update(child.index for child in ranked[num_kept:])
        phase.visits_left = max(1, self._config.num_simulations // (phase.planned * num_kept)) * num_kept
        phase.number += 1

    def _scores(self, candidates: Candidates) -> dict[int, float]:
        """Returns the scores of the children that were not dropped, by index."""
        config, considered = self._config, self._considered(candidates.nodes)
        priors = {child.index: prior for child, prior in zip(candidates.nodes, candidates.prior, strict=True)}
        most = max(child.visit_count for child in considered)
        return {
            child.index: gumbel_score(
                gumbel_noise(derive_seed(self._seed, "gumbel", child.index)),
                math.log(priors[child.index]),
                child.q,
                most,
                config.c_visit,
                config.c_scale,
            )
            for child in considered
        }


def as_root_selection(found: object) -> RootSelection | None:
    """Returns the root selection itself, or what its class makes. Raises TypeError for anything without `start`."""
    selection = found() if isinstance(found, type) else found
    if not hasattr(selection, "start"):
        raise TypeError(f"expected an object whose start(seed, saved) returns a chooser, got {selection!r}")
    return cast(RootSelection, selection)


ROOT_SELECTIONS: Registry[RootSelection | None] = Registry(
    "root_selection", {"none": None, "gumbel": Gumbel()}, as_root_selection
)
