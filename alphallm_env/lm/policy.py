"""A policy: the language model that proposes options, with its prompts and its temperature."""

from __future__ import annotations

from dataclasses import dataclass

from alphallm_env.lm.base import LanguageModel
from alphallm_env.lm.prompts.templates import PromptTemplate


@dataclass(frozen=True)
class Policy:
    """A language model with the template of its prompts and its sampling temperature."""

    lm: LanguageModel
    template: PromptTemplate
    temperature: float = 1.0
