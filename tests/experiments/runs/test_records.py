"""A run folder: what it refuses, what it survives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from alphallm_env.errors import RunError
from alphallm_env.runtime.files import Journal, Json
from experiments.runs.records import RunFolder


def identity(record: Json) -> Json:
    return record


def test_another_config_is_refused_and_named(tmp_path: Path) -> None:
    RunFolder(tmp_path, {"seed": 0, "budget": 10})
    RunFolder(tmp_path, {"seed": 0, "budget": 10})
    with pytest.raises(RunError, match=r"budget: 10 there, 20 now"):
        RunFolder(tmp_path, {"seed": 0, "budget": 20})


def test_a_finished_stage_is_read_back(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, {})
    assert folder.stage("one", lambda: {"answer": 42}) == {"answer": 42}
    assert folder.stage("one", lambda: pytest.fail("worked twice")) == {"answer": 42}


def test_a_half_made_checkpoint_is_made_again(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, {})

    def killed(scratch: Path) -> None:
        (scratch / "weights").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        folder.checkpoint("round1", killed)
    made = folder.checkpoint("round1", lambda scratch: (scratch / "weights").write_text("whole") and None)
    assert (made / "weights").read_text() == "whole"
    assert folder.checkpoint("round1", lambda scratch: pytest.fail("made twice")) == made


def test_a_journal_drops_what_a_kill_cut_short(tmp_path: Path) -> None:
    journal: Journal[Json] = Journal(tmp_path / "j.jsonl", identity, identity)
    assert journal.read() == []
    journal.append([{"n": 0}, {"n": 1}, {"n": 2}])
    with journal.path.open("a") as file:
        file.write('{"n": 3')
    assert journal.read() == [{"n": 0}, {"n": 1}, {"n": 2}]
    journal.append([{"n": 3}])
    assert [json.loads(line)["n"] for line in journal.path.read_text().splitlines()] == [0, 1, 2, 3]
