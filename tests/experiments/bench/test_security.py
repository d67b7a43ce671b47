"""The attack's real main, on one kind of programs and one of answers; and that it can tell when something got out."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from experiments.bench.attacks import PROGRAMS
from experiments.bench.attacks.answers import ANSWERS
from experiments.bench.security import SecurityConfig, Tally, figures_of, main

if sys.platform != "linux":
    pytest.skip("programs are run on Linux only", allow_module_level=True)


def test_there_are_as_many_different_attacks_as_promised() -> None:
    assert len({(attack.code, attack.reached) for attack in PROGRAMS}) == len(PROGRAMS) >= 200
    assert len({(answer.text, answer.gold) for answer in ANSWERS}) >= 500


def test_the_attack_runs_and_writes_its_figures(tmp_path: Path) -> None:
    file = tmp_path / "security.json"
    main(SecurityConfig(json=file, only="control", benign=3))
    figures = json.loads(file.read_text())
    assert figures["programs"] == sum("control" in attack.kind for attack in PROGRAMS)
    assert figures["answers"] == sum("control" in answer.kind for answer in ANSWERS)
    assert [figures[name] for name in ("escapes", "hangs", "workers_lost", "went_wrong")] == [0, 0, 0, []]
    assert figures["benign_ms"] > 0


def test_what_goes_wrong_is_counted_by_name() -> None:
    tally = Tally()
    tally.count("a loop", "ok", 30.0, 2.0, ["connected"])
    figures = figures_of({"time": tally}, {})
    assert (figures["escapes"], figures["hangs"]) == (1, 1)
    assert figures["went_wrong"] == ["a loop: connected", "a loop: 30.0 s"]
