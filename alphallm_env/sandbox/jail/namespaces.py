"""Namespaces: a file system of a few library folders, no network, no other processes.

The zygote enters a root once that holds only the libraries, read-only: no /proc, no /dev, and a network without
interfaces. Each program gets a workspace in it: a folder of its own in memory, and a process namespace in which it is
the only process.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from pathlib import Path

from .system import PR_SET_DUMPABLE, LockdownError, address, mount, prctl, syscall, unmount, unshare

# include/uapi/linux/sched.h and mount.h
_NEW_MOUNTS, _NEW_CGROUP, _NEW_UTS, _NEW_IPC = 0x00020000, 0x02000000, 0x04000000, 0x08000000
_NEW_USER, _NEW_PROCESSES, _NEW_NETWORK = 0x10000000, 0x20000000, 0x40000000
_ROOT = _NEW_MOUNTS | _NEW_CGROUP | _NEW_UTS | _NEW_IPC | _NEW_NETWORK
_READ_ONLY, _NO_SETUID, _NO_DEVICES, _NO_EXECUTION = 1, 2, 4, 8
_REMOUNT, _BIND, _RECURSIVE, _PRIVATE = 32, 4096, 16384, 1 << 18
_HARMLESS = _NO_SETUID | _NO_DEVICES | _NO_EXECUTION
_DETACH = 2
_LOCKED_FLAGS = _HARMLESS | os.ST_NOATIME | os.ST_NODIRATIME  # a mount's own, which it must keep
_RELATIVE_ACCESS_TIMES = 1 << 21
NOBODY = 65534
FOLDER = "/own-folder"  # a program's; no library lies there
_MAX_FILES = 256
_PLACES = ("/tmp", "/mnt", "/var", "/sys")  # where the new root may lie before it is the root


def enter_root(libraries: Sequence[Path], *, keep_root: bool = False) -> None:
    """Moves this process into a root with only the libraries. Root becomes nobody, unless programs do that themselves.

    Raises LockdownError where the system refuses.
    """
    processes = os.open("/proc/self", os.O_PATH | os.O_DIRECTORY)
    try:
        if os.geteuid() != 0:
            _enter_user_namespace(processes, _ROOT)
            _build(libraries)
            return
        unshare(_ROOT)
        _build(libraries)
        if not keep_root:
            become_nobody()
            _enter_user_namespace(processes, 0)
    finally:
        os.close(processes)


def enter_workspace(folder_bytes: int) -> None:
    """Gives this process an empty folder in memory, and its children a process namespace of their own."""
    unshare(_NEW_MOUNTS | _NEW_PROCESSES)
    options = f"size={max(4096, folder_bytes)},nr_inodes={_MAX_FILES},mode=0777"
    mount("tmpfs", FOLDER, "tmpfs", _HARMLESS, options)
    os.chdir(FOLDER)


def become_nobody() -> None:
    """Changes the user of this process to nobody, irrevocably."""
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    prctl("dumpable", PR_SET_DUMPABLE, 1)  # else /proc/self would still be root's


def _enter_user_namespace(processes: int, flags: int) -> None:
    """Enters a user namespace, and those of `flags`, in which this process is nobody, with every capability."""
    user, group = os.geteuid(), os.getegid()
    unshare(_NEW_USER | flags)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{NOBODY} {user} 1"),
        ("gid_map", f"{NOBODY} {group} 1"),
    ):
        try:
            descriptor = os.open(name, os.O_WRONLY, dir_fd=processes)
            try:
                os.write(descriptor, text.encode())
            finally:
                os.close(descriptor)
        except OSError as error:
            raise LockdownError(error.errno, f"{name}: {error.strerror}") from error


def _build(libraries: Sequence[Path]) -> None:
    """Makes the root of this mount namespace a folder that holds the libraries and an empty folder for programs."""
    root = next(place for place in _PLACES if os.path.isdir(place))
    mount("none", "/", "", _RECURSIVE | _PRIVATE)
    opened = [(library, os.open(library, os.O_PATH | os.O_DIRECTORY)) for library in libraries]
    mount("tmpfs", root, "tmpfs", _HARMLESS, "size=1m,nr_inodes=1024,mode=0755")
    for library, descriptor in opened:
        target = f"{root}{library}"
        os.makedirs(target, exist_ok=True)
        mount(f"/proc/self/fd/{descriptor}", target, "", _BIND)
        mount("none", target, "", _REMOUNT | _BIND | _READ_ONLY | _HARMLESS | _flags(target))
        os.close(descriptor)
    os.mkdir(root + FOLDER, 0o755)  # raises where a library lies there, which the folder would hide
    mount("none", root, "", _REMOUNT | _BIND | _READ_ONLY | _HARMLESS)
    os.chdir(root)
    here = ctypes.create_string_buffer(b".")
    syscall("pivot_root", address(here), address(here))  # the old root is mounted over the new one
    unmount(".", _DETACH)
    os.chdir("/")


def _flags(target: str) -> int:
    """Returns the flags of a mount that a remount has to repeat."""
    found = os.statvfs(target).f_flag
    relative = _RELATIVE_ACCESS_TIMES if found & os.ST_RELATIME else 0
    return (found & _LOCKED_FLAGS) | relative
