"""Where a critic's scores come from: model and revision, prompt, aggregation, calibration.

A record of a run keeps this once for each of its critics, under the name that its scores carry.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from alphallm_env.lm.prompts import PromptTemplate, ToolTemplate

if TYPE_CHECKING:
    from alphallm_env.critics.base import Critic


@dataclass(frozen=True)
class Provenance:
    """Where the scores of one critic come from. None stands for what does not apply or is not known."""

    critic: str  # its name
    model: str | None = None  # folder, hub name, or a server's name of it
    revision: str | None = None  # of the weights: the hub's commit, or sha256 of a folder's weights
    prompt: str | None = None  # the template's name, and a hash of its wording
    aggregation: str | None = None  # how several scores become one
    calibration: str | None = None  # the scaling, as JSON
    parts: tuple[Provenance, ...] = field(default=())  # of what it is made: the critics of a mix, the reader of notes


@runtime_checkable
class HasProvenance(Protocol):
    """A critic that tells where its scores come from."""

    @property
    def provenance(self) -> Provenance:
        """Where they come from."""
        ...


def provenance_of(critic: Critic) -> Provenance:
    """Returns where a critic's scores come from: of one that does not tell, its name alone."""
    return critic.provenance if isinstance(critic, HasProvenance) else Provenance(critic.name)


def model_revision(lm: object) -> str | None:
    """Returns the revision of a model's weights, None where the model does not tell."""
    return getattr(lm, "revision", None)


def prompt_version(template: PromptTemplate) -> str:
    """Returns the template's name and a hash of how it words its judgements: it changes when they do."""
    wording = "\0".join(
        (
            template.judge_state("question", "solution", "notes"),
            template.judge_step("question", "before", "step", "notes"),
            template.judge_outcome("question", "solution", "notes"),
            *template.labels,
            template.check_outcome("question", "solution", "work") if isinstance(template, ToolTemplate) else "",
        )
    )
    return f"{template.name}@{hashlib.sha256(wording.encode()).hexdigest()[:12]}"
