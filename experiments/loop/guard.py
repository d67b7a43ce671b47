"""The guard of a loop: no model inside a critic may solve more problems than the policy that it judges.

A loop whose critics hold a better model gives the policy what that model knows, and would be distillation from a
teacher. The models are compared with the policy of each round, greedily, on development problems.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import cast

import numpy as np

from alphallm_env.critics.base import Critics
from alphallm_env.critics.provenance import model_revision
from alphallm_env.errors import RunError
from alphallm_env.lm.base import LanguageModel
from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.lm.policy import Policy
from alphallm_env.lm.prompts import template_for
from alphallm_env.runtime.files import Json
from alphallm_env.simulator import Simulator
from experiments.runs.results import paired_difference
from experiments.runs.search_records import SearchRecord


@dataclass(frozen=True)
class Guarded:
    """What the models in the critics solve at one stage, beside its policy.

    There is no accuracy where critics hold no model but the policy's own, if any.
    """

    stage: str
    policy_accuracy: float | None = None
    critic_solver_accuracy: float | None = None  # of the best of them
    critic_solver: str | None = None  # its name
    ci95: tuple[float, float] | None = None  # of its lead over the policy, paired by problem
    num_problems: int = 0

    def in_words(self) -> str:
        """Returns the line for the terminal."""
        if self.critic_solver_accuracy is None:
            return f"{self.stage}: the critics hold no model but the policy's own: none can know more"
        return (
            f"{self.stage}: critic_solver_accuracy {self.critic_solver_accuracy:.3f}, policy "
            f"{self.policy_accuracy:.3f} on {self.num_problems} development problems"
        )

    def to_json(self) -> Json:
        """Returns the fields as JSON."""
        return cast(Json, asdict(self))


def is_policys_own(solver: LanguageModel, policy: Policy) -> bool:
    """Returns whether a model in a critic is the policy's, or has its weights."""
    revision = model_revision(solver)
    return solver is policy.lm or (revision is not None and revision == model_revision(policy.lm))


def solving(solver: LanguageModel, simulator: Simulator) -> Simulator:
    """Returns the decision process in which a model of a critic is the policy, in its own format."""
    template = template_for(solver.tokenizer) if isinstance(solver, TransformersLM) else simulator.policy.template
    return replace(simulator, policy=Policy(solver, template), critics=Critics(), rollout_policy=None)


def guarded(stage: str, policy: Sequence[SearchRecord], solvers: dict[str, Sequence[SearchRecord]]) -> Guarded:
    """Returns what the best solver solves beside the policy, both on the same problems.

    Raises RunError where it solves more: the paired 95 % interval of its lead is above 0.
    """
    if not solvers:
        return Guarded(stage)
    accuracy = {name: float(np.mean([record.is_correct for record in found])) for name, found in solvers.items()}
    best = max(accuracy, key=lambda name: accuracy[name])
    lead, interval = paired_difference(solvers[best], policy)
    mine = float(np.mean([record.is_correct for record in policy]))
    if interval[0] > 0:
        raise RunError(
            f"{stage}: expected critics that know no more than the policy, got {best}, which solves "
            f"{accuracy[best]:.3f} of {len(policy)} development problems where the policy of the round solves "
            f"{mine:.3f} (lead {lead:+.3f}, paired 95 %: {interval[0]:+.3f} to {interval[1]:+.3f}); "
            "choose other --critics"
        )
    return Guarded(stage, mine, accuracy[best], best, interval, len(policy))
