"""Landlock: the kernel denies this process every file but those under a few folders."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Mapping

from .system import LockdownError, address, syscall

# include/uapi/linux/landlock.h
_VERSION = 1
_PATH_BENEATH = 1
_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_FILE = 1 << 4, 1 << 5, 1 << 7, 1 << 8
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}  # number of rights on files by version; 16 from the fifth on
_NETWORK = 0b11  # bind and connect by TCP, from the fourth version on
_SCOPES = 0b11  # abstract sockets and signals of others, from the sixth on
READ = _READ_FILE | _READ_DIR
WRITE = READ | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_FILE | _REFER | _TRUNCATE


def version() -> int:
    """Returns the kernel's version of Landlock. Raises LockdownError where there is none."""
    return syscall("landlock_create_ruleset", 0, 0, _VERSION)


def restrict(folders: Mapping[int, int]) -> None:
    """Denies every right on files but those of `folders`: descriptors of folders, and their rights.

    Also denies TCP, abstract sockets and signals to others where the kernel's version can.
    """
    kernel = version()
    handled = (1 << _FILE_RIGHTS.get(kernel, 16)) - 1
    rules = struct.pack("QQQ", handled, _NETWORK, _SCOPES)[: 8 if kernel < 4 else 16 if kernel < 6 else 24]
    attributes = ctypes.create_string_buffer(rules, len(rules))
    ruleset = syscall("landlock_create_ruleset", address(attributes), len(rules), 0)
    try:
        for folder, rights in folders.items():
            rule = ctypes.create_string_buffer(struct.pack("=Qi", rights & handled, folder))
            syscall("landlock_add_rule", ruleset, _PATH_BENEATH, address(rule), 0)
        syscall("landlock_restrict_self", ruleset, 0)
    finally:
        os.close(ruleset)


def missing() -> str:
    """Returns why Landlock cannot be used here, "" where it can."""
    try:
        version()
    except LockdownError as error:
        return str(error)
    return ""
