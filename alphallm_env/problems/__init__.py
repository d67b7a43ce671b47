"""Problem sets: generated ones, JSONL files, data sets of the hub, your own; and the check that splits are disjoint."""

from alphallm_env.problems.identity import opaque_id
from alphallm_env.problems.loading import PROBLEM_SETS, ProblemSet, load_problems
from alphallm_env.problems.overlap import check_overlap, normalise_question

__all__ = ["PROBLEM_SETS", "ProblemSet", "check_overlap", "load_problems", "normalise_question", "opaque_id"]
