"""Where a critic's scores come from: model and revision, prompt, aggregation, calibration.

A record of a run keeps this once for each of its critics, under the name that its scores carry.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from alphallm_env.lm.prompts import PromptTemplate, ToolTemplate


@dataclass(frozen=True)
class Provenance:
    """Where the scores of one critic come from. None where a field does not apply or is unknown."""

    critic: str  # its name
    model: str | None = None  # folder, hub name, or a server's name of it
    revision: str | None = None  # of the weights: the hub's commit, or sha256 of a folder's weights
    prompt: str | None = None  # the template's name, and a hash of its wording
    aggregation: str | None = None  # how several scores become one
    calibration: str | None = None  # the scaling, as JSON
    parts: tuple[Provenance, ...] = field(default=())  # of what it is made: the critics of a mix, the reader of notes


@runtime_checkable
class HasProvenance(Protocol):
    """A critic, or a part of one, that says where its scores come from."""

    @property
    def provenance(self) -> Provenance:
        """Where they come from."""
        ...


@runtime_checkable
class HasRevision(Protocol):
    """A model that can name the revision of its weights."""

    @property
    def revision(self) -> str | None:
        """The hub's commit, or a digest of a folder's weights; None where they came from neither."""
        ...


class Named(Protocol):
    """A critic or a model with a name for the record of a run."""

    @property
    def name(self) -> str:
        """A critic's own; a model's folder, hub name, or a server's name of it."""
        ...


def provenance_of(critic: Named) -> Provenance:
    """Returns where a critic's scores come from: its name alone where it does not say."""
    return critic.provenance if isinstance(critic, HasProvenance) else Provenance(critic.name)


def model_provenance(
    critic: str,
    model: Named,
    template: PromptTemplate | None = None,
    *,
    aggregation: str | None = None,
    parts: tuple[Provenance, ...] = (),
) -> Provenance:
    """Returns where scores come from that `critic` takes from one model, prompted by `template`."""
    prompt = None if template is None else prompt_version(template)
    return Provenance(critic, model.name, model_revision(model), prompt, aggregation, parts=parts)


def model_revision(lm: object) -> str | None:
    """Returns the revision of a model's weights, None where the model has none."""
    return lm.revision if isinstance(lm, HasRevision) else None


def prompt_version(template: PromptTemplate) -> str:
    """Returns the template's name and a hash of the wording of its judgements: it changes when they do."""
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
