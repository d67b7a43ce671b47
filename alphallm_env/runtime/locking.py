"""A folder that one process at a time may write to."""

from __future__ import annotations

import importlib
import logging
import os
import shlex
import socket
import sys
import weakref
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from alphallm_env.errors import RunError
from alphallm_env.runtime.forking import ForkAware

NAME = "lock"  # of the file in the folder that is locked, and says by whom

_held: weakref.WeakValueDictionary[Path, FolderLock] = weakref.WeakValueDictionary()  # by this process


class FolderLock(ForkAware):
    """Holds a folder for this process until the object is gone or the process ends, however it ends.

    `of` returns it. The kernel keeps the lock (flock) and releases it at the process's death, also by `kill -9`; over
    NFS it holds between machines where the server and both clients support locks. Processes that are forked or started
    by the holder do not hold it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = _locked(folder)
        weakref.finalize(self, self._file.close)
        self.follow_forks()

    @staticmethod
    def of(folder: Path) -> FolderLock:
        """Returns this process's lock of a folder, which must exist.

        Raises RunError, naming the process, if another one holds it.
        """
        folder = folder.resolve()
        lock = _held.get(folder)
        if lock is None or not _is_still_there(folder / NAME, lock._file):
            lock = _held[folder] = FolderLock(folder)
        return lock

    def after_fork_in_child(self) -> None:
        """Leaves the folder to the parent: a child that outlives it must not hold it."""
        self._file.close()
        if _held.get(self.folder) is self:
            del _held[self.folder]


def _locked(folder: Path) -> BinaryIO:
    """Returns the open lock file of a folder, which now says that this process holds it."""
    path = folder / NAME
    while True:
        file = path.open("a+b")
        try:
            _flock(file, folder)
            if _is_still_there(path, file):
                file.truncate(0)
                file.write(_this_process().encode())
                file.flush()
                return file
        except BaseException:
            file.close()
            raise
        file.close()  # the folder was removed and made again meanwhile


def _flock(file: BinaryIO, folder: Path) -> None:
    try:
        fcntl = importlib.import_module("fcntl")  # Windows has none
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().decode(errors="replace") or "another process"
        raise RunError(
            f"{folder} is in use by {holder}; wait until it has ended, or choose another folder with --out"
        ) from None
    except (OSError, ImportError) as error:  # a file system without locks
        logging.getLogger(__name__).warning(
            "%s cannot be locked (%s): make sure that no other process writes to it", folder, error
        )


def _is_still_there(path: Path, file: BinaryIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _this_process() -> str:
    started = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    return f"process {os.getpid()} on {socket.gethostname()} since {started}: {shlex.join(sys.orig_argv)}"
