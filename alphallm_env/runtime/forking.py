"""What becomes of threads, loops and processes when the process forks: they stay with the parent.

A forked child inherits the memory of objects whose threads, event loops, connections and worker processes it does not
have. Each such object is `ForkAware`: the child gets it as new, and leaves what the parent owns alone.
"""

from __future__ import annotations

import itertools
import os
import weakref

_aware: weakref.WeakValueDictionary[int, ForkAware] = weakref.WeakValueDictionary()  # by the order of registration
_numbers = itertools.count()


class ForkAware:
    """An object that owns threads, locks or processes. `follow_forks` registers it; its life is not prolonged."""

    def follow_forks(self) -> None:
        """Has the methods below called at every fork from now on."""
        _aware[next(_numbers)] = self

    def before_fork(self) -> None:
        """Called before the process forks."""

    def after_fork_in_parent(self) -> None:
        """Called in the parent once it has forked."""

    def after_fork_in_child(self) -> None:
        """Called in the child, which has one thread: replaces what belongs to the parent, and waits for nothing."""


def _before() -> None:
    for aware in list(_aware.values()):
        aware.before_fork()


def _after_in_parent() -> None:
    for aware in list(_aware.values()):
        aware.after_fork_in_parent()


def _after_in_child() -> None:
    for aware in list(_aware.values()):
        aware.after_fork_in_child()


if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
