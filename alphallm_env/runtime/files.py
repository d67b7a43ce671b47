"""Files that stay valid if the process is killed: journals of records, and files replaced atomically."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from alphallm_env.errors import AlphaLLMError, RunError
from alphallm_env.runtime.locking import FolderLock

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
Record = TypeVar("Record")


class Journal(Generic[Record]):
    """Records in a JSONL file, a line each, appended as they come.

    `append` returns once its records are on disk (fsync). A process that is killed amid it leaves a last line without
    its end, which `read` drops, and says so in the log. From the first use on, this process holds the journal's folder
    (`FolderLock`): another one that would use it gets RunError.
    """

    def __init__(self, path: Path, encode: Callable[[Record], Json], decode: Callable[[Json], Record]) -> None:
        self.path = path
        self._encode = encode
        self._decode = decode
        self._lock: FolderLock | None = None

    def read(self) -> list[Record]:
        """Returns all records, and removes a last line that was not completed.

        Raises RunError, which names file and line, where another line is broken: nothing is changed then.
        """
        self._hold_folder()
        if not self.path.exists():
            return []
        *lines, torn = self.path.read_bytes().split(b"\n")
        records = [self._record(number, line) for number, line in enumerate(lines, 1)]
        if torn:
            where = f"{self.path}, line {len(lines) + 1}"
            logging.getLogger(__name__).warning("%s was not completed, and is dropped: %r", where, torn[:40])
            os.truncate(self.path, self.path.stat().st_size - len(torn))
        return records

    def append(self, records: Sequence[Record]) -> None:
        """Writes the records and waits until they are on disk."""
        self._hold_folder()
        with self.path.open("a") as file:
            file.writelines(json.dumps(self._encode(record)) + "\n" for record in records)
            file.flush()
            os.fsync(file.fileno())

    def _hold_folder(self) -> None:
        if self._lock is None:
            self._lock = FolderLock.of(self.path.parent)

    def _record(self, number: int, line: bytes) -> Record:
        try:
            return self._decode(json.loads(line))
        except (ValueError, TypeError, LookupError, AttributeError, AlphaLLMError) as error:
            raise RunError(
                f"{self.path}, line {number}: expected a record, got {line[:40]!r} ({type(error).__name__}: {error}); "
                "remove the line to have its work done again, or choose another folder with --out"
            ) from error


def write_whole(path: Path, content: str | bytes) -> None:
    """Replaces a file atomically: a reader sees the old content or all of the new. Text is written as UTF-8."""
    scratch = path.with_name(path.name + ".partial")
    with scratch.open("wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)
