"""The grading bench: its figures come from the cases it is given."""

import json
from pathlib import Path

import pytest

from alphallm_env.grading import Verdict, extract_answer
from alphallm_env.grading.equivalence import decide
from experiments.bench.grading import Case, GradingBenchConfig, hedges, main, percentile, read_cases

CASES = [
    {"id": "a", "prediction": "18.0", "gold": "18", "expected": True, "core": True, "kind": "answer"},
    {"id": "b", "prediction": "x+x", "gold": "2x", "expected": True, "core": True, "kind": "answer"},
    {"id": "c", "prediction": r"So \boxed{18}", "gold": "18", "expected": True, "core": True, "kind": "free_text"},
    {"id": "d", "prediction": "18 or 20", "gold": "18", "expected": True, "core": True, "kind": "answer", "note": "no"},
]


def test_the_figures_are_those_of_the_cases(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    cases, out = tmp_path / "cases.jsonl", tmp_path / "figures.json"
    cases.write_text("\n".join(map(json.dumps, CASES)))
    main(GradingBenchConfig(cases=cases, json=out))
    figures = json.loads(out.read_text())
    assert (figures["core_cases"], figures["core_accuracy"], figures["crashes"]) == (4, 0.75, 0)
    assert [missed["id"] for missed in figures["missed"]] == ["d"]
    assert figures["hedges"] > 20
    assert figures["hedges_correct"] == figures["false_positives"] == 0
    assert 0 < figures["p50_ms"] <= figures["p99_ms"] <= figures["slowest_ms"]
    assert figures["without_worker"] == 0.75
    assert "core_accuracy" in capsys.readouterr().out


def test_no_hedge_is_one_answer():
    case = Case("a", "1", "18", expected=True, core=True)
    for text, gold in hedges([case]):
        assert decide(extract_answer(text), gold) is Verdict.INCORRECT, text


def test_cases_without_a_core_one_are_misuse(tmp_path: Path):
    path = tmp_path / "cases.jsonl"
    path.write_text(json.dumps(CASES[0] | {"core": False}))
    with pytest.raises(ValueError, match="got 1 cases without one"):
        read_cases(path)


def test_percentiles_are_nearest_rank():
    assert [percentile([3, 1, 2, 4], percent) for percent in (1, 50, 75, 99, 100)] == [1, 2, 3, 4, 4]
