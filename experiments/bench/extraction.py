"""What reading formulas without a mark costs: the strict policy beside the lenient one.

    python -m experiments.bench.extraction --cases CASES.jsonl MORE.jsonl

A case is a line with `text` and `expected` (None where nothing is stated), or one of the grading cases of kind
`free_text`. For each policy and file it prints how many texts are read right, how many answers are missed (false
negatives), and how many texts are given an answer that is wrong (false positives).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.table import Table

from alphallm_env.grading import Verdict, extract_answer, grade
from alphallm_env.grading.extraction import FormulaPolicy
from experiments.runs.screen import results_console


@dataclass(frozen=True)
class ExtractionBenchConfig:
    """The files of cases."""

    cases: tuple[Path, ...]


@dataclass
class Tally:
    """Counts of texts. `missed` have an answer that was not read, `wrong` were given one that they do not have."""

    texts: int = 0
    right: int = 0
    missed: int = 0
    wrong: int = 0


def texts_of(path: Path) -> list[tuple[str, str | None, bool]]:
    """Returns texts with an answer and whether reading it is right. Raises ValueError for a file without any."""
    found: list[tuple[str, str | None, bool]] = []
    for line in path.read_text().splitlines():
        row = json.loads(line)
        if "text" in row:
            found.append((row["text"], row["expected"], True))
        elif row["kind"] == "free_text" and not row.get("gold_free_text"):
            found.append((row["prediction"], row["gold"], row["expected"]))
    if not found:
        raise ValueError(f"expected texts to extract answers from in {path}, got none")
    return found


def measure(path: Path, policy: FormulaPolicy) -> Tally:
    """Returns how the texts of a file are read under a policy."""
    tally = Tally()
    for text, answer, is_answer in texts_of(path):
        found = extract_answer(text, policy)
        equal = found == answer or (
            found is not None and answer is not None and grade(found, answer) is Verdict.CORRECT
        )
        tally.texts += 1
        tally.right += equal is is_answer
        tally.missed += found is None and answer is not None and is_answer
        tally.wrong += found is not None and equal is not is_answer
    return tally


def main(config: ExtractionBenchConfig) -> None:
    """Prints a row for each file and policy."""
    table = Table("cases", "policy", "texts", "right", "missed", "wrong")
    for path in config.cases:
        for policy in FormulaPolicy:
            tally = measure(path, policy)
            counts = (tally.texts, tally.right, tally.missed, tally.wrong)
            table.add_row(path.stem, policy.value, *map(str, counts))
    results_console().print(table)


if __name__ == "__main__":
    main(tyro.cli(ExtractionBenchConfig))
