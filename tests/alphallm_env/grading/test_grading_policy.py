"""docs/grading.md states the policy: each row of its table behaves as it says."""

import re
from collections.abc import Iterator

import math_verify
import pytest
from paths import ROOT

from alphallm_env.grading import Grader, Verdict

PAGE = ROOT / "docs" / "grading.md"
ROW = re.compile(r"\| `(.+?)` \| `(.+?)` \| (correct|incorrect|ungradable) \| (correct|incorrect) \| (.+) \|")
ROWS = [ROW.fullmatch(line) for line in PAGE.read_text().splitlines() if line.startswith("| `")]


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader() as grader:
        yield grader


def test_the_page_has_a_table_and_every_row_is_a_disagreement():
    assert len(ROWS) >= 40
    assert all(row is not None and row[3] != row[4] for row in ROWS)


@pytest.mark.parametrize("row", [row for row in ROWS if row], ids=lambda row: f"{row[1]} for {row[2]}")
def test_every_row_behaves_as_the_page_says(grader: Grader, row: re.Match[str]):
    answer, gold, verdict, alone, _ = row.groups()
    assert grader.grade(answer, gold) is Verdict(verdict)
    agreed = math_verify.verify(math_verify.parse(f"${gold}$"), math_verify.parse(f"${answer}$"))
    assert agreed == (alone == "correct")
