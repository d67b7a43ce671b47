"""Problems from a JSONL file: one JSON object per line, with `question` and `answer`."""

from __future__ import annotations

import json
import string
from pathlib import Path

from alphallm_env.errors import ProblemError
from alphallm_env.problems.rows import problem_from_row
from alphallm_env.types import Problem

_MARK = "\ufeff"  # the byte order mark, with which some editors begin a file


def read_jsonl(path: str | Path) -> list[Problem]:
    """Returns the problems of a file, in its order.

    Each line has `question` and `answer`, and may have `id` and `solution`; further forms of a row are
    in `rows.py`. Blank lines are skipped. A problem without an id gets the file's name and its line.
    Raises ProblemError, naming file and line, for anything else, and for two problems of one id.
    """
    path = Path(path)
    first_line: dict[str, int] = {}
    problems: list[Problem] = []
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip(_MARK + string.whitespace):
            continue
        try:
            problem = problem_from_row(_row(line.lstrip(_MARK)), default_id=f"{path.stem}/{number}", source=path.name)
        except ProblemError as error:
            raise ProblemError(f"{path}, line {number}: {error}") from error
        if problem.id in first_line:
            earlier = first_line[problem.id]
            raise ProblemError(f"{path}, line {number}: expected a new id, got {problem.id!r} of line {earlier}")
        first_line[problem.id] = number
        problems.append(problem)
    if not problems:
        raise ProblemError(f"{path}: expected at least one problem, got an empty file")
    return problems


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise ProblemError(f"{path}: expected a readable file: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ProblemError(f"{path}: expected UTF-8, got other bytes: {error}") from error


def _row(line: str) -> dict[str, object]:
    try:
        row: object = json.loads(line)
    except ValueError as error:
        raise ProblemError(f"expected a JSON object, got {line[:40]!r}: {error}") from error
    if not isinstance(row, dict):
        raise ProblemError(f"expected a JSON object, got {type(row).__name__}: {line[:40]!r}")
    return {str(key): value for key, value in row.items()}
