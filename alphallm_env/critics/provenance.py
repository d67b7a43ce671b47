"""Provenance of a critic's scores: model and revision, prompt, aggregation, calibration.

The record of a run has one for each of its critics, under the name of the scores.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from alphallm_env.lm.prompts import PromptTemplate, ToolTemplate


@dataclass(frozen=True)
class Provenance:
    """The provenance of one critic's scores. A field is None where it does not apply or is unknown."""

    critic: str  # its name
    model: str | None = None  # folder, hub name, or a server's name of it
    revision: str | None = None  # of the weights: the hub's commit, or sha256 of a folder's weights
    prompt: str | None = None  # the template's name, and a hash of its wording
    aggregation: str | None = None  # how several scores become one
    calibration: str | None = None  # the scaling, as JSON
    parts: tuple[Provenance, ...] = field(default=())  # of its parts: the critics of a mix, the reader of notes


@runtime_checkable
class HasProvenance(Protocol):
    """A critic, or a part of one, that declares its provenance."""

    @property
    def provenance(self) -> Provenance:
        """The provenance of its scores."""
        ...


@runtime_checkable
class HasRevision(Protocol):
    """A model that declares the revision of its weights."""

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
    """Returns a critic's provenance; its name only where it declares none."""
    return critic.provenance if isinstance(critic, HasProvenance) else Provenance(critic.name)


def model_provenance(
    critic: str,
    model: Named,
    template: PromptTemplate | None = None,
    *,
    aggregation: str | None = None,
    parts: tuple[Provenance, ...] = (),
) -> Provenance:
    """Returns the provenance of scores that `critic` takes from one model, prompted by `template`."""
    prompt = None if template is None else prompt_version(template)
    return Provenance(critic, model.name, model_revision(model), prompt, aggregation, parts=parts)


def model_revision(lm: object) -> str | None:
    """Returns the revision of a model's weights, None where it declares none."""
    return lm.revision if isinstance(lm, HasRevision) else None


def prompt_version(template: PromptTemplate) -> str:
    """Returns the template's name and a hash of the wording of its judgements."""
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
