"""A policy: the language model that proposes options, with its prompts and its temperature."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from alphallm_env.lm.base import Completion, GenerationRequest, LanguageModel, generation
from alphallm_env.lm.prompts import PromptTemplate
from alphallm_env.runtime.operations import Operation


@dataclass(frozen=True)
class Policy:
    """A language model with the template of its prompts and its sampling temperature."""

    lm: LanguageModel
    template: PromptTemplate
    temperature: float = 1.0

    @cached_property
    def generation(self) -> Operation[GenerationRequest, Completion]:
        """The operation by which an engine generates with the model."""
        return generation(self.lm)
