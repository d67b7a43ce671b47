r"""Extraction: whether and what a text answers. One function decides, and all the rest of the library asks it.

`stated_answer` reads a text: what it states last, where, whether that closes the solution, and whether the text
takes it back. `extract_answer` is its content alone. What stands in a thinking part (`thinking`) is not read.
"""

from alphallm_env.grading.extraction.answer import (
    StatedAnswer,
    boxed_answer,
    closed_at,
    extract_answer,
    stated_answer,
)
from alphallm_env.grading.extraction.formulas import FormulaPolicy
from alphallm_env.grading.extraction.statements import Kind

__all__ = ["FormulaPolicy", "Kind", "StatedAnswer", "boxed_answer", "closed_at", "extract_answer", "stated_answer"]
