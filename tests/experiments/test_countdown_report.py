"""The report of what a policy can do in Countdown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments import countdown_report
from experiments.countdown_report import ReportConfig


def test_the_shipped_policy_keeps_the_rules_and_solves_what_it_was_taught(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    file = tmp_path / "report.json"
    rows = countdown_report.main(ReportConfig(levels="2,3,5", limit=40, samples=4, json=file))
    two, three, five = rows
    assert [row.level for row in rows] == ["2", "3", "5"]
    assert two.greedy > 0.9
    assert 0.3 < three.greedy < two.greedy
    assert five.greedy < three.greedy
    assert two.legal > 0.97
    assert five.legal > 0.5
    assert all(row.sampled <= row.best_of for row in rows)
    assert two.tokens < three.tokens < five.tokens
    assert [row["legal"] for row in json.loads(file.read_text())["rows"]] == [row.legal for row in rows]
    assert "40 problems a level, 4 samples each" in " ".join(capsys.readouterr().out.split())
