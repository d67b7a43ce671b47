"""Where problems come from: generated ones, JSONL files, data sets of the hub; and that splits stay apart."""

from alphallm_env.problems.loading import load_problems
from alphallm_env.problems.overlap import check_overlap, normalise_question

__all__ = ["check_overlap", "load_problems", "normalise_question"]
