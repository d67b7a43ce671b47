"""One row of a data set, whatever its columns are called, as a problem."""

from __future__ import annotations

from collections.abc import Mapping

from alphallm_env.errors import ProblemError
from alphallm_env.types import Problem


def problem_from_row(row: Mapping[str, object], default_id: str, source: str) -> Problem:
    r"""Returns the problem of a row in GSM8K's form, in MATH's form, or with a bare answer.

    The question is in the column `question` or `problem`. Where `answer` holds a whole solution, the
    final answer is what follows its last `####`; where there is no `answer`, it is what the last
    `\boxed` of `solution` holds. Raises ProblemError, saying what was expected and what is there.
    """
    question = _text(row, "question", "problem")
    if question is None or not question.strip():
        raise ProblemError(f"expected text under 'question' or 'problem', {_found(row)}")
    answer, solution = _text(row, "answer"), _text(row, "solution")
    if answer is not None and "####" in answer:
        solution, answer = solution or answer, answer.rpartition("####")[2]
    elif answer is None and solution is not None:
        answer = _boxed(solution)
    if answer is None or not answer.strip():
        raise ProblemError(f"expected a final answer under 'answer' or in a \\boxed of 'solution', {_found(row)}")
    identity = _text(row, "id", "unique_id") or default_id
    return Problem(identity, question.strip(), answer.strip(), solution, source)


def _boxed(solution: str) -> str | None:
    from alphallm_env.grading.extraction import boxed_answer

    return boxed_answer(solution) or None


def _text(row: Mapping[str, object], *columns: str) -> str | None:
    """Returns the first of the columns that is there, a number as its digits, None where none is."""
    for column in columns:
        value = row.get(column)
        if isinstance(value, str):
            return value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
        if value is not None:
            raise ProblemError(f"expected text under {column!r}, got {type(value).__name__}: {value!r}")
    return None


def _found(row: Mapping[str, object]) -> str:
    return f"got the columns {', '.join(map(repr, row)) or '(none)'}"
