"""The program of a grading process: reads questions as JSON lines, answers each with a verdict.

Run by its path, apart from the package, so that it loads computer algebra and nothing else. It is meant to be
killed: it keeps no state, and leaves at the end of its input. Model text is parsed here and nowhere else.
"""

import json
import os
import resource
import sys
from dataclasses import replace
from typing import TextIO

import math_verify
from sympy import Basic, MatrixBase

Reading = Basic | MatrixBase | str

MEMORY_BYTES = 1 << 30
# Units are off: math-verify takes the letters m, s, t at an end for metres, seconds, tons.
_LATEX = math_verify.LatexExtractionConfig()
_CONFIG = (replace(_LATEX, normalization_config=replace(_LATEX.normalization_config, units=False)),)


def main() -> None:
    """Serves questions until the input ends."""
    replies = _own_stdout()
    _limit(resource.RLIMIT_AS, MEMORY_BYTES)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    judge(["x+1"], [r"1+\frac{2x}{2}"], in_order=True)  # loads what is loaded on first use
    _reply(replies, "ready")
    for line in sys.stdin:
        question = json.loads(line)
        _limit(resource.RLIMIT_CPU, int(_cpu_seconds() + question["cpu_seconds"]) + 1)
        try:
            verdict = judge(question["answers"], question["golds"], in_order=question["in_order"])
        except (MemoryError, RecursionError):
            os._exit(1)  # what is left of the process is not to be trusted with the next question
        except Exception:  # computer algebra raises anything at all on mathematics it cannot compare
            verdict = "ungradable"
        _reply(replies, verdict)


def judge(answers: list[str], golds: list[str], *, in_order: bool) -> str:
    """Returns "correct" when answers and golds, equally many, match one to one; else what is wrong."""
    parsed_golds = [_parse(gold) for gold in golds]
    if not all(parsed_golds):
        return "ungradable"
    unmatched = [_parse(answer) for answer in answers]
    for gold in parsed_golds:
        candidates = range(1 if in_order else len(unmatched))
        match = next((index for index in candidates if _is_equal(gold, unmatched[index])), None)
        if match is None:
            return "incorrect"
        del unmatched[match]
    return "correct"


def _parse(latex: str) -> list[Reading]:
    """Returns the one reading of the text, or nothing. No part of the text stands for the whole."""
    return math_verify.parse(
        f"${latex}$",
        _CONFIG,
        fallback_mode="no_fallback",
        extraction_mode="first_match",
        parsing_timeout=0,
    )


def _is_equal(gold: list[Reading], answer: list[Reading]) -> bool:
    """Returns whether two readings are equivalent. Not symmetric: gold comes first."""
    return bool(answer) and math_verify.verify(gold, answer, timeout_seconds=0, raise_on_error=True)


def _own_stdout() -> TextIO:
    """Returns a stream to the parent that no library can print to."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return replies


def _limit(kind: int, amount: int) -> None:
    """Lowers (or raises again) this process's soft limit, never past its hard limit."""
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (amount if hard == resource.RLIM_INFINITY else min(amount, hard), hard))


def _cpu_seconds() -> float:
    """Returns the processor time this process has used."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _reply(replies: TextIO, verdict: str) -> None:
    """Sends one line to the parent."""
    replies.write(json.dumps({"verdict": verdict}) + "\n")
    replies.flush()


if __name__ == "__main__":
    main()
