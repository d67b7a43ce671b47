"""Capabilities: drops every privilege, irrevocably."""

from __future__ import annotations

import ctypes
import errno
import os
import struct

from .namespaces import become_nobody
from .system import PR_CAPBSET_DROP, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS, LockdownError, address, prctl, syscall

_VERSION_3 = 0x20080522  # include/uapi/linux/capability.h
_MOST = 64


def drop() -> None:
    """Drops all capabilities irrevocably; a process of root becomes one of the user nobody."""
    for capability in range(_MOST):
        try:
            prctl("capability", PR_CAPBSET_DROP, capability)
        except LockdownError as error:
            if error.errno == errno.EINVAL:  # there are no more
                break
            if error.errno != errno.EPERM:  # it has none to lose
                raise
    if os.geteuid() == 0:
        become_nobody()
    header = ctypes.create_string_buffer(struct.pack("=Ii", _VERSION_3, 0))
    none = ctypes.create_string_buffer(24)
    syscall("capset", address(header), address(none))
    prctl("dumpable", PR_SET_DUMPABLE, 0)
    prctl("no_new_privs", PR_SET_NO_NEW_PRIVS, 1)
