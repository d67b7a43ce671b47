"""Thinking parts in prompts: those that a chat template opens, and those in a solution that a policy continues."""

from __future__ import annotations

from alphallm_env.grading.extraction.thinking import closing_mark, mark_places, opening_at_end
from alphallm_env.lm.prompts.base import SPECIAL, plain


def plain_solution(solution: str) -> str:
    """Returns a policy's own text as `plain` does, but for the marks of its thinking parts, which stay marks.

    >>> plain_solution("<think>2 + 2</think>4<|im_end|>")
    '<think>2 + 2</think>4< |im_end|>'
    """
    marks = set(mark_places(solution))
    if not marks:
        return plain(solution)
    return SPECIAL.sub(lambda found: found[0] if found.start() in marks else found[0] + " ", solution)


def continued(prompt: str, solution: str) -> str:
    """Returns a prompt with a solution behind it. A thinking part that both open is opened once.

    >>> continued("Why? <think>", "<think>2 + 2"), continued("Why? ", "2 + 2")
    ('Why? <think>2 + 2', 'Why? 2 + 2')
    """
    return prompt + without_opening(prompt, solution)


def without_opening(prompt: str, solution: str) -> str:
    """Returns a solution without the opening mark of a thinking part that the prompt ends with."""
    opening = opening_at_end(prompt)
    return solution.removeprefix(opening) if opening else solution


def closed(prompt: str) -> str:
    r"""Returns a prompt whose thinking part, where it ends in one that it opens, is closed without a thought.

    >>> closed("Is it right? <think>\n")
    'Is it right? <think>\n\n</think>\n\n'
    """
    opening = opening_at_end(prompt)
    return f"{prompt}\n{closing_mark(opening.strip())}\n\n" if opening else prompt
