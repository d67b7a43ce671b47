"""A run's folder: it survives `kill -9`, and the same command resumes from it.

lock             the process that uses the folder; a second one is refused
config.json      the settings; another command's settings are refused
revision.txt     the git revision
searches/*.jsonl one line per search, appended and fsynced when it ends
stages/*.json    one file per finished stage, written whole or not at all
checkpoints/     policies, as safetensors
tensorboard/     event files
results.json, report.html
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from alphallm_env.errors import RunError
from alphallm_env.runtime.files import Json, write_whole
from alphallm_env.runtime.locking import FolderLock
from alphallm_env.types import Problem


class RunFolder:
    """A run's folder. Opening one that holds another config, or that another process uses, raises RunError."""

    def __init__(self, path: Path, config: dict[str, Json]) -> None:
        self.path = path
        for name in ("searches", "stages", "checkpoints", "tensorboard"):
            (path / name).mkdir(parents=True, exist_ok=True)
        self._lock = FolderLock.of(path)  # as long as this object lives
        if not (path / "config.json").exists():
            write_whole(path / "revision.txt", git_revision() + "\n")
        settle_config(path / "config.json", config)

    def stage(self, name: str, work: Callable[[], Json]) -> Json:
        """Returns the result of a stage: read back if it was finished before, else worked out and written."""
        file = self.path / "stages" / f"{name}.json"
        if file.exists():
            return json.loads(file.read_text())
        result = json.loads(json.dumps(work()))
        write_whole(file, json.dumps(result) + "\n")
        return result

    def finished(self, name: str) -> Json:
        """Returns the result of a stage that was finished before. Raises FileNotFoundError for another."""
        return json.loads((self.path / "stages" / f"{name}.json").read_text())

    def is_finished(self, name: str) -> bool:
        """Returns whether the stage was finished before."""
        return (self.path / "stages" / f"{name}.json").exists()

    def checkpoint(self, name: str, train: Callable[[Path], None]) -> Path:
        """Returns the folder of a checkpoint, made by `train` in a scratch folder unless it is there."""
        final = self.path / "checkpoints" / name
        if not final.exists():
            scratch = final.with_name(name + ".partial")
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir()
            train(scratch)
            scratch.rename(final)
        return final


def write_json(path: Path, record: Mapping[str, object]) -> None:
    """Writes a record as indented JSON, the whole file or nothing."""
    write_whole(path, json.dumps(record, indent=2) + "\n")


def settle_config(file: Path, config: dict[str, Json]) -> None:
    """Writes the config to `file`, or raises RunError, naming the differences, if another one is there."""
    config = json.loads(json.dumps(config))
    if not file.exists():
        write_json(file, config)
        return
    before = json.loads(file.read_text())
    changed = sorted(k for k in before.keys() | config.keys() if before.get(k) != config.get(k))
    if changed:
        said = ", ".join(f"{key}: {before.get(key)!r} there, {config.get(key)!r} now" for key in changed)
        raise RunError(f"{file.parent} holds a run with other settings ({said}); choose another folder with --out")


def check_same_problems(found: Sequence[Problem | None], problems: Sequence[Problem], where: str) -> None:
    """Raises RunError unless what was found in `where` belongs to these problems, in order; None fits any problem."""
    if len(found) > len(problems):
        raise RunError(f"expected at most {len(problems)} problems in {where}, got {len(found)}")
    for number, (other, problem) in enumerate(zip(found, problems, strict=False)):
        if other is not None and other != problem:
            raise RunError(
                f"the problems have changed: expected {problem.id!r}: {problem.question[:40]!r} as number {number} "
                f"of {where}, got {other.id!r}: {other.question[:40]!r}"
            )


def git_revision() -> str:
    """Returns the git revision of the code, `-dirty` behind it where files were changed, or `unknown`."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
