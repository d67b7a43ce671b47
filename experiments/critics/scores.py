"""Scores of critics on graded trajectories: raw, scaled, by depth, and scaled by fits that left them out."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from alphallm_env.critics.calibration import SCALING_KINDS, CalibratedCritic, Scaling, fit_scaling, raw
from alphallm_env.critics.measures import Quality, quality
from alphallm_env.runtime.seeds import derive_seed
from alphallm_env.simulator import Simulator
from alphallm_env.training.graded import Item

NUM_FOLDS = 5


@dataclass(frozen=True)
class ScoredItems:
    """Items of one split with one critic's raw scores, in [0, 1]."""

    items: list[Item]
    scores: list[float]

    @property
    def outcomes(self) -> list[bool]:
        """The items' outcomes."""
        return [item.outcome for item in self.items]

    def through(self, scaling: Scaling | None) -> list[float]:
        """Returns the scores after a scaling, as they are where there is none."""
        return [scaling(score) for score in self.scores] if scaling else self.scores

    def by_depth(self) -> dict[int, ScoredItems]:
        """Returns the items of each depth, in options taken."""
        parts: dict[int, list[int]] = defaultdict(list)
        for index, item in enumerate(self.items):
            parts[item.state.depth].append(index)
        return {
            depth: ScoredItems([self.items[i] for i in indices], [self.scores[i] for i in indices])
            for depth, indices in sorted(parts.items())
        }


def raw_scores(simulator: Simulator, name: str, items: list[Item]) -> ScoredItems:
    """Returns the critic's scores without its calibration. Equal states are asked about once."""
    critic = raw(simulator.critics.require(name))
    states = list(dict.fromkeys(item.state for item in items))
    scores = dict(zip(states, simulator.engine.run(critic.evaluate(states)), strict=True))
    return ScoredItems(items, [scores[item.state] for item in items])


def cross_validated(kind: str, development: ScoredItems, num_folds: int = NUM_FOLDS) -> Quality:
    """Returns the measures of a kind of scaling on development problems that its fit left out, all folds together."""
    folds = [derive_seed(item.state.question) % num_folds for item in development.items]
    targets = [float(outcome) for outcome in development.outcomes]
    scores = list(development.scores)
    for fold in set(folds):
        fitted = [index for index, other in enumerate(folds) if other != fold]
        scaling = fit_scaling(kind, [development.scores[i] for i in fitted], [targets[i] for i in fitted])
        for index, own in enumerate(folds):
            if own == fold:
                scores[index] = scaling(scores[index])
    return quality(scores, development.outcomes)


def scalings_of(simulator: Simulator, name: str, development: ScoredItems) -> dict[str, Scaling | None]:
    """Returns the ways to calibrate a critic: raw, kept (its own), and every kind fitted on the development split."""
    critic = simulator.critics.require(name)
    kept = critic.scaling if isinstance(critic, CalibratedCritic) else None
    targets = [float(outcome) for outcome in development.outcomes]
    fitted: dict[str, Scaling | None] = {k: fit_scaling(k, development.scores, targets) for k in SCALING_KINDS}
    return {"raw": None, "kept": kept} | fitted
