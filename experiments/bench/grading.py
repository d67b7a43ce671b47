"""How often the grader is right, beside math-verify alone, and how long it takes.

    python -m experiments.bench.grading --cases CASES.jsonl --json FILE

A case is a line with `id`, `prediction`, `gold`, `expected`, `core`, and `kind`: `answer`, or `free_text` to extract
the answer from (of the gold text too, with `gold_free_text`). Latencies are of warm workers and an empty cache.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import math_verify
import tyro
from rich.table import Table

from alphallm_env.grading import Grader, Verdict, extract_answer
from alphallm_env.grading.equivalence import decide
from alphallm_env.runtime.files import write_whole
from experiments.runs.screen import quiet_libraries, results_console


@dataclass(frozen=True)
class GradingBenchConfig:
    """What to measure. `timeout` is the limit of one comparison in seconds."""

    cases: Path
    json: Path | None = None
    timeout: float = 5.0
    workers: int = 1


@dataclass(frozen=True)
class Case:
    """One line of the cases."""

    id: str
    prediction: str
    gold: str
    expected: bool
    core: bool
    kind: str = "answer"
    gold_free_text: bool = False

    @property
    def pair(self) -> tuple[str | None, str]:
        """The answer and the gold answer, extracted where they are texts."""
        answer = extract_answer(self.prediction) if self.kind == "free_text" else self.prediction
        gold = extract_answer(self.gold) if self.gold_free_text else None
        return answer, gold or self.gold


@dataclass(frozen=True)
class Graded:
    """One pair, graded. `verdict` is None where grading raised."""

    verdict: Verdict | None
    seconds: float


def read_cases(path: Path) -> list[Case]:
    """Returns the cases of a JSONL file. Raises ValueError for a file without any."""
    rows = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    names = Case.__dataclass_fields__
    cases = [Case(**{name: value for name, value in row.items() if name in names}) for row in rows]
    if not any(case.core for case in cases):
        raise ValueError(f"expected core cases in {path}, got {len(cases)} cases without one")
    return cases


def hedges(cases: Sequence[Case]) -> list[tuple[str, str]]:
    """Returns texts that state two answers, one of them right, each with the gold answer: none may be correct."""
    golds = sorted(
        {case.gold.strip("$ ") for case in cases if case.core and len(case.gold) < 30 and case.gold.strip("$ ")}
    )
    plain = [gold for gold in golds if gold.replace(".", "").replace("/", "").lstrip("-").isdigit()]
    templates = (
        r"\boxed{%s} or \boxed{%s}", r"\boxed{%s \text{ or } %s}", "#### %s\n#### %s", "#### %s or %s",
        r"The answer is %s or %s.", r"The answer is %s, but it could be %s.", r"\boxed{%s}\boxed{%s}",
        r"either %s or \boxed{%s}", r"\boxed{%s, %s}", "The answer is %s. The answer is maybe %s.",
    )  # fmt: skip
    pairs = [(gold, other) for gold in plain for other in ("7919", gold + "1") if gold != other]
    return [
        (template % order, gold) for gold, other in pairs for template in templates for order in ((gold, other),)
    ] + [(template % (other, gold), gold) for gold, other in pairs for template in templates[:4] + templates[7:9]]


def graded(grader: Grader, pairs: Sequence[tuple[str | None, str]], timeout: float) -> list[Graded]:
    """Returns every pair, graded in turn."""
    found: list[Graded] = []
    for answer, gold in pairs:
        started = time.perf_counter()
        try:
            verdict = grader.grade(answer, gold, timeout=timeout)
        except Exception:  # counted as a crash, whatever it is
            verdict = None
        found.append(Graded(verdict, time.perf_counter() - started))
    return found


def math_verify_alone(case: Case) -> bool:
    """Returns what math-verify says of the whole texts, with its own extraction and settings."""
    return bool(math_verify.verify(math_verify.parse(case.gold), math_verify.parse(case.prediction)))


def percentile(values: Sequence[float], percent: float) -> float:
    """Returns the nearest-rank percentile."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def measure(config: GradingBenchConfig) -> dict[str, object]:
    """Returns the figures, the cases missed among them."""
    cases = read_cases(config.cases)
    pairs = [case.pair for case in cases]
    hedged = [(extract_answer(text), gold) for text, gold in hedges(cases)]
    with Grader(config.workers) as grader:
        grader.grade_many([(f"x+{n}", f"{n}+1x") for n in range(config.workers)], timeout=config.timeout)  # all are up
        found = graded(grader, pairs, config.timeout)
        found_hedges = graded(grader, hedged, config.timeout)
    right = [(result.verdict is Verdict.CORRECT) == case.expected for result, case in zip(found, cases, strict=True)]
    core = [is_right for is_right, case in zip(right, cases, strict=True) if case.core]
    alone = [math_verify_alone(case) == case.expected for case in cases if case.core]
    milliseconds = [1e3 * result.seconds for result in found]
    missed = [
        {
            "id": case.id,
            "core": case.core,
            "expected": case.expected,
            "verdict": None if result.verdict is None else result.verdict.value,
            "answer": case.pair[0],
            "gold": case.pair[1][-200:],
        }
        for case, result, is_right in zip(cases, found, right, strict=True)
        if not is_right
    ]
    return {
        "core_accuracy": sum(core) / len(core),
        "math_verify_core_accuracy": sum(alone) / len(alone),
        "core_right": sum(core),
        "math_verify_core_right": sum(alone),
        "core_cases": len(core),
        "false_positives": sum(m["verdict"] == "correct" for m in missed if m["core"]),
        "hedges": len(hedged),
        "hedges_correct": sum(result.verdict is Verdict.CORRECT for result in found_hedges),
        "crashes": sum(result.verdict is None for result in found + found_hedges),
        "ungradable": sum(result.verdict is Verdict.UNGRADABLE for result in found),
        "without_worker": sum(isinstance(decide(*pair), Verdict) for pair in pairs) / len(pairs),
        "p50_ms": percentile(milliseconds, 50),
        "p99_ms": percentile(milliseconds, 99),
        "slowest_ms": max(milliseconds),
        "limit_ms": 1e3 * config.timeout,
        "answers_per_s": len(found) / sum(result.seconds for result in found),
        "missed": missed,
    }


def main(config: GradingBenchConfig) -> None:
    """Prints the figures, and writes them."""
    quiet_libraries()
    figures = measure(config)
    table = Table("figure", "value")
    for name, value in figures.items():
        if name != "missed":
            table.add_row(name, f"{value:.4g}" if isinstance(value, float) else str(value))
    missed = Table("missed", "core", "expected", "verdict", "answer", "gold")
    for row in figures["missed"]:  # type: ignore[attr-defined]
        missed.add_row(*(str(value)[:60] for value in row.values()))
    console = results_console()
    console.print(table)
    console.print(missed)
    if config.json is not None:
        write_whole(config.json, json.dumps(figures, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main(tyro.cli(GradingBenchConfig))
