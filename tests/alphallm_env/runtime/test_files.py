"""Journals: a line cut short is dropped, a broken one is named; one process at a time."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from alphallm_env.errors import RunError
from alphallm_env.runtime import locking
from alphallm_env.runtime.files import Journal, Json
from alphallm_env.runtime.locking import FolderLock

HOLD = """
import sys, time
from pathlib import Path
from alphallm_env.runtime.locking import FolderLock
lock = FolderLock.of(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(600)
"""


def number_of(record: Json) -> int:
    return int(record["n"])  # type: ignore[arg-type]


def journal(path: Path) -> Journal[int]:
    return Journal(path, lambda n: {"n": n}, number_of)


def holding(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_line_cut_short_is_dropped_with_a_notice(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    file = tmp_path / "j.jsonl"
    assert journal(file).read() == []
    journal(file).append([4, 5, 6])
    with file.open("a") as end:
        end.write('{"n": 7')
    with caplog.at_level(logging.WARNING):
        assert journal(file).read() == [4, 5, 6]
    assert f"{file}, line 4 was not completed, and is dropped" in caplog.text
    journal(file).append([7])
    assert [json.loads(line)["n"] for line in file.read_text().splitlines()] == [4, 5, 6, 7]


@pytest.mark.parametrize("broken", ['{"n": 5', "", '{"m": 5}', "[5]", '{"n": "five"}', "\x00\x00", '{"n": 4}{"n": 5}'])
def test_a_broken_line_is_named_and_nothing_is_lost(broken: str, tmp_path: Path):
    file = tmp_path / "j.jsonl"
    whole = '{"n": 4}\n' + broken + '\n{"n": 6}\n{"n"'
    file.write_text(whole)
    with pytest.raises(RunError, match=rf"{file}, line 2: expected a record, got .*remove the line"):
        journal(file).read()
    assert file.read_text() == whole


def test_bytes_that_are_no_text_are_a_broken_line(tmp_path: Path):
    file = tmp_path / "j.jsonl"
    file.write_bytes(b'{"n": 4}\n{"n": "\xff"}\n{"n": 6}\n')
    with pytest.raises(RunError, match="line 2"):
        journal(file).read()


def test_a_second_process_is_refused_and_told_who_is_there(tmp_path: Path):
    process = holding(tmp_path)
    try:
        with pytest.raises(RunError) as refused:
            journal(tmp_path / "j.jsonl").append([1])
    finally:
        process.kill()
        process.wait()
    said = str(refused.value)
    assert str(tmp_path) in said
    assert f"process {process.pid} on " in said
    assert " since 2" in said
    assert HOLD.splitlines()[1] in said  # its command
    assert not (tmp_path / "j.jsonl").exists()


def test_a_kill_releases_the_folder(tmp_path: Path):
    process = holding(tmp_path)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    journal(tmp_path / "j.jsonl").append([1])
    assert journal(tmp_path / "j.jsonl").read() == [1]


def test_one_process_may_open_a_folder_twice_and_lets_go_of_it(tmp_path: Path):
    one = FolderLock.of(tmp_path)
    assert FolderLock.of(tmp_path / "." / ".." / tmp_path.name) is one
    del one
    holding(tmp_path).kill()


def test_a_child_that_outlives_its_parent_does_not_hold_the_folder(tmp_path: Path):
    lock = FolderLock.of(tmp_path)
    child = multiprocessing.get_context("fork").Process(target=signal.pause)
    child.start()
    del lock
    process = holding(tmp_path)
    process.kill()
    process.wait()
    child.kill()
    child.join()


def test_a_forked_child_is_refused_while_its_parent_holds_the_folder(tmp_path: Path):
    lock = FolderLock.of(tmp_path)
    receiver, sender = multiprocessing.Pipe(duplex=False)

    def take() -> None:
        try:
            FolderLock.of(tmp_path)
            sender.send("taken")
        except RunError as error:
            sender.send(str(error))

    child = multiprocessing.get_context("fork").Process(target=take)
    child.start()
    child.join()
    assert f"in use by process {os.getpid()} on" in receiver.recv()
    del lock


def test_where_nothing_can_be_locked_the_log_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def no_locks(name: str) -> object:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(locking.importlib, "import_module", no_locks)
    lock = FolderLock.of(tmp_path)
    assert "cannot be locked ([Errno 37] No locks available)" in caplog.text
    del lock


def test_a_folder_that_was_removed_and_made_again_is_held_anew(tmp_path: Path):
    folder = tmp_path / "run"
    folder.mkdir()
    first = FolderLock.of(folder)
    shutil.rmtree(folder)
    folder.mkdir()
    second = FolderLock.of(folder)
    assert second is not first
    assert str(os.getpid()) in (folder / locking.NAME).read_text()
