"""Grading: take the final answer out of a text and decide whether it equals the gold answer.

`extract_answer` is strict, `grade` is tri-state, `Grader` owns the processes that do the symbolic work.
Importing this package loads no computer algebra: that lives in the worker processes only.
"""

from alphallm_env.grading.extraction import extract_answer
from alphallm_env.grading.grader import Grader, grade
from alphallm_env.grading.verdict import Verdict
from alphallm_env.grading.workers import GradingError

__all__ = ["Grader", "GradingError", "Verdict", "extract_answer", "grade"]
