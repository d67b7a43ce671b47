"""One row of a data set, whatever its columns are called, as a problem."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping

from alphallm_env.errors import ProblemError
from alphallm_env.problems.verifiers import VERIFIERS
from alphallm_env.types import Problem

_MISSING = ("", "nan")  # text that tables write where there is nothing
_WORD = re.compile(r"[^\W\d_]{2,}")
_MATHEMATICS = re.compile(r"\$[^$]*\$|\\(?:text|mathrm|textbf)\s*\{[^}]*\}|\\[A-Za-z]+")
_LAYOUT = "\t\n\r"  # the control characters that a text may hold
_SHOWN = 40  # characters of a text in an error


def problem_from_row(row: Mapping[str, object], default_id: str, source: str) -> Problem:
    r"""Returns the problem of a row in GSM8K's form, in MATH's form, or with a bare answer.

    The question is in the column `question` or `problem`. Where `answer` holds a whole solution or a sentence, the
    final answer is what that states, as the grader reads it; where there is no `answer`, it is what the last `\boxed`
    of `solution` holds, with braces or without. None and NaN count as missing, further columns are ignored.
    A row that names a `verifier` needs no answer. Raises ProblemError, saying what was expected and what is there.
    """
    verifier = _text(row, "verifier") or ""
    question = _text(row, "question", "problem")
    if question is None:
        raise ProblemError(f"expected text under 'question' or 'problem', {_found(row)}")
    answer, solution = _text(row, "answer"), _text(row, "solution")
    if answer is not None:
        final = _final(answer)
        solution = solution or (answer if "\n" in answer.strip() else None)
    else:
        final = _boxed(solution) if solution is not None else None
    if not final and not verifier:
        raise ProblemError(f"expected a final answer under 'answer' or in a \\boxed of 'solution', {_found(row)}")
    if verifier and verifier not in VERIFIERS and ":" not in verifier:
        raise ProblemError(f"verifier must be one of {VERIFIERS.choices}, got {verifier!r}")
    identity = _text(row, "id", "unique_id") or default_id
    return checked(Problem(identity, question.strip(), final.strip() if final else None, solution, source, verifier))


def checked(problem: Problem) -> Problem:
    """Returns a problem as it is. Raises ProblemError where a text of it holds what is no text.

    Lone surrogates can be neither written nor sent to a model. Control characters (but tab and line breaks) come from
    backslashes that were not doubled: "\\frac" was written, and a form feed and "rac" were read.
    """
    texts = {"id": problem.id, "question": problem.question, "answer": problem.answer, "solution": problem.solution}
    for name, text in texts.items():
        wrong = next((place for place, sign in enumerate(text or "") if _is_no_text(sign)), None)
        if text is not None and wrong is not None:
            kind = "a lone surrogate" if unicodedata.category(text[wrong]) == "Cs" else "a control character"
            shown = text[max(0, wrong - _SHOWN // 2) : wrong + _SHOWN // 2]
            raise ProblemError(f"expected text as {name}, got {kind}, U+{ord(text[wrong]):04X}, in {shown!a}")
    return problem


def _is_no_text(sign: str) -> bool:
    return unicodedata.category(sign) in ("Cs", "Cc") and sign not in _LAYOUT


def _final(answer: str) -> str:
    """Returns the final answer of what is under `answer`. Raises ProblemError for prose that states none."""
    from alphallm_env.grading.extraction import extract_answer
    from alphallm_env.grading.quantities.sentences import stated_number

    if "####" in answer:
        return answer.rpartition("####")[2]
    stated = extract_answer(answer)
    if stated is not None:
        return stated
    if not _is_prose(answer):
        return answer
    number = stated_number(answer.strip())
    if number is None:
        raise ProblemError(
            f"expected a final answer under 'answer', got a sentence that states none: {answer.strip()[:_SHOWN]!r}; "
            "end it with '#### ANSWER'"
        )
    return number


def _is_prose(answer: str) -> bool:
    """Returns whether a text is a sentence or a solution, not a value: five words, or three and a full stop."""
    from alphallm_env.grading.extraction.statements import is_value

    text = answer.strip()
    num_words = len(_WORD.findall(_MATHEMATICS.sub(" ", text)))
    if num_words >= 3 and (text.endswith((".", "!", "?")) or "\n" in text):
        return True
    return num_words >= 5 and not is_value(text)


def _boxed(solution: str) -> str | None:
    from alphallm_env.grading.extraction import boxed_answer

    return boxed_answer(solution)


def _text(row: Mapping[str, object], *columns: str) -> str | None:
    """Returns the first of the columns that holds something, a number as its digits, None where none does."""
    for column in columns:
        value = row.get(column)
        if _is_missing(value):
            continue
        if isinstance(value, str):
            return value
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return f"{value:.0f}" if float(value).is_integer() and abs(value) < 1e15 else str(value)
        raise ProblemError(f"expected text under {column!r}, got {type(value).__name__}: {value!r}")
    return None


def _is_missing(value: object) -> bool:
    if isinstance(value, str):
        return value.strip().lower() in _MISSING
    return value is None or (isinstance(value, float) and math.isnan(value))


def _found(row: Mapping[str, object]) -> str:
    columns = [repr(name) + (f" ({value!r})" if _is_missing(value) else "") for name, value in row.items()]
    return f"got the columns {', '.join(columns) or '(none)'}"
