import json
from pathlib import Path

import pytest

from experiments.bench.merging import Merged, MergingConfig, main, solutions

ROWS = [
    {"solution": "He has 9 - 2 = <<9-2=7>>7 left\nThat is 3 * 7 = <<3*7=21>>21 in all\nSo he is glad.\n#### 21"},
    {"steps": ["4 + 4 = 8.", "Again, 4 + 4 = 8."]},
]


def written(folder: Path, rows: list[dict[str, object]]) -> Path:
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def test_pairs_with_different_calculations_are_counted(tmp_path: Path):
    # The first solution has one such pair; the line without a calculation and the equal ones of the second count not.
    results = main(MergingConfig(written(tmp_path, ROWS)))
    assert results["50 characters"] == Merged(1, 1)
    assert {results[name] for name in results if name != "50 characters"} == {Merged(1, 0)}
    assert results["50 characters"].share == 1.0


def test_the_rows_read_are_limited(tmp_path: Path):
    assert len(list(solutions(written(tmp_path, ROWS), limit=1))) == 1


def test_a_row_without_a_solution_is_named(tmp_path: Path):
    with pytest.raises(ValueError, match=r"row 1 of .* must have solution or steps, got \['question'\]"):
        list(solutions(written(tmp_path, [{"question": "?"}]), limit=5))


def test_without_data_nothing_is_counted(capsys: pytest.CaptureFixture[str]):
    assert main(MergingConfig()) == {}
    assert "--data" in capsys.readouterr().out
