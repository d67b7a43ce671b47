"""Prompts of questions and solutions: a template for each kind of model, and the one that fits a tokenizer.

Texts that users or models wrote pass through `plain` before they reach a prompt.
"""

from alphallm_env.lm.prompts.base import LABELS, PromptTemplate, ToolTemplate, plain
from alphallm_env.lm.prompts.chat import ChatTemplate
from alphallm_env.lm.prompts.choosing import bos_token, mark_as_taught, template_for
from alphallm_env.lm.prompts.few_shot import FewShotTemplate
from alphallm_env.lm.prompts.thinking import plain_solution, without_opening
from alphallm_env.lm.prompts.tiny import TinyTemplate

__all__ = [
    "LABELS",
    "ChatTemplate",
    "FewShotTemplate",
    "PromptTemplate",
    "TinyTemplate",
    "ToolTemplate",
    "bos_token",
    "mark_as_taught",
    "plain",
    "plain_solution",
    "template_for",
    "without_opening",
]
