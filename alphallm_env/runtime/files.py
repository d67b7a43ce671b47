"""Files that stay valid if the process is killed: journals of records, and files replaced atomically."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
Record = TypeVar("Record")


class Journal(Generic[Record]):
    """Records in a JSONL file, appended in groups. A last line that was not completed is dropped on reading."""

    def __init__(self, path: Path, encode: Callable[[Record], Json], decode: Callable[[Json], Record]) -> None:
        self.path = path
        self._encode = encode
        self._decode = decode

    def read(self, group: int = 1, total: int | None = None) -> list[Record]:
        """Returns the records of all complete groups of `group` lines, and truncates the file to them.

        The last group may be smaller where it completes `total` records.
        """
        if not self.path.exists():
            return []
        *lines, torn = self.path.read_bytes().split(b"\n")
        kept = lines if len(lines) == total else lines[: len(lines) // group * group]
        if torn or len(kept) < len(lines):
            write_whole(self.path, b"".join(line + b"\n" for line in kept).decode())
        return [self._decode(json.loads(line)) for line in kept]

    def append(self, records: Sequence[Record]) -> None:
        """Writes the records and waits until they are on disk."""
        with self.path.open("a") as file:
            file.writelines(json.dumps(self._encode(record)) + "\n" for record in records)
            file.flush()
            os.fsync(file.fileno())


def write_whole(path: Path, content: str | bytes) -> None:
    """Replaces a file atomically: a reader sees the old content or all of the new. Text is written as UTF-8."""
    scratch = path.with_name(path.name + ".partial")
    with scratch.open("wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)
