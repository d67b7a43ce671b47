"""Counts the lines of real solutions that a merge rule takes for the same although their mathematics differs.

    python -m experiments.bench.merging --data ../shared/data/gsm8k_train.jsonl

Any two lines of one solution are compared, as if they were siblings. Their mathematics differs where both state
calculations and these are not the same, by the calculations critic's reading, which the merge rules do not use.
AlphaLLM's own rule, 50 changed characters whatever the length, stands beside the rules of this library.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import tyro
from rapidfuzz.distance import Levenshtein
from rich.console import Console
from rich.table import Table

from agents.tree.merging import MERGE_RULES, MergeRule
from alphallm_env.critics.calculations import calculations

_MARK = re.compile(r"<<.*?>>")


@dataclass(frozen=True)
class MergingConfig:
    """Settings of the command line."""

    data: Path | None = None
    """JSONL with `solution` (GSM8K) or `steps` (ProcessBench); without it there is nothing to count"""
    limit: int = 2_000
    """rows to read"""
    rules: tuple[str, ...] = ("distance_50", "distance_20", "cosine", "mathematics")


@dataclass(frozen=True)
class Merged:
    """How many pairs of lines with different mathematics there are, and how many of them a rule merges."""

    num_pairs: int
    num_merged: int

    @property
    def share(self) -> float:
        """The share that is merged, 0 where there are no pairs."""
        return self.num_merged / self.num_pairs if self.num_pairs else 0.0


def absolute_distance(first: str, second: str) -> bool:
    """Returns whether 50 changed characters make two texts equal: AlphaLLM's rule as printed."""
    return Levenshtein.distance(first, second, score_cutoff=50) <= 50


def solutions(data: Path, limit: int) -> Iterator[list[str]]:
    """Yields the lines of each solution, without GSM8K's calculator marks and answers.

    Raises ValueError for a row without `solution` or `steps`.
    """
    with data.open(encoding="utf-8") as rows:
        for number, text in zip(range(limit), rows, strict=False):
            row = json.loads(text)
            if "steps" in row:
                yield list(row["steps"])
            elif row.get("solution"):
                lines = _MARK.sub("", row["solution"]).splitlines()
                yield [line for line in lines if line.strip() and not line.startswith("####")]
            else:
                raise ValueError(f"row {number + 1} of {data} must have solution or steps, got {sorted(row)}")


def different_pairs(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yields the pairs of lines whose calculations differ."""
    known = [(line, {(found.left, found.right) for found in calculations(line)}) for line in lines]
    for (first, mine), (second, other) in combinations(known, 2):
        if mine and other and mine != other:
            yield first, second


def count(rule: MergeRule, pairs: Iterable[tuple[str, str]]) -> Merged:
    """Returns how many of the pairs a rule merges."""
    found = [rule(first, second) for first, second in pairs]
    return Merged(len(found), sum(found))


def main(config: MergingConfig) -> dict[str, Merged]:
    """Prints a line for each rule."""
    if config.data is None:
        print("nothing to count: --data names a JSONL file with solutions")
        return {}
    pairs = [pair for lines in solutions(config.data, config.limit) for pair in different_pairs(lines)]
    rules = {"50 characters": absolute_distance} | {
        name: rule for name in config.rules if (rule := MERGE_RULES.resolve(name)) is not None
    }
    results = {name: count(rule, pairs) for name, rule in rules.items()}
    table = Table("rule", "pairs with different mathematics", "merged", "share")
    for name, merged in results.items():
        table.add_row(name, f"{merged.num_pairs:,}", f"{merged.num_merged:,}", f"{merged.share:.3f}")
    Console().print(table)
    return results


if __name__ == "__main__":
    main(tyro.cli(MergingConfig))
