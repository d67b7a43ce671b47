"""The lock-down: which layers work on this machine, and the steps that confine a process before it runs a program."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import capabilities, landlock, limits, namespaces, seccomp
from .protocol import LANDLOCK, LAYERS, NAMESPACES, SECCOMP
from .system import PR_SET_PDEATHSIG, prctl

KEPT = 3
_HIGHEST_DESCRIPTOR = 1024  # the zygote starts with three, and opens few


@dataclass(frozen=True)
class Request:
    """One program and its limits."""

    code: str
    seconds: float
    cpu_seconds: int
    memory_bytes: int
    output_bytes: int
    folder_bytes: int


@dataclass(frozen=True)
class Confinement:
    """The layers that work on this machine, and what each process needs to apply them."""

    layers: tuple[str, ...]
    missing: dict[str, str]  # why the other layers do not hold
    libraries: tuple[int, ...]  # descriptors of the folders that may be read
    mapped_bytes: int  # of a process that has run no program yet

    def __contains__(self, layer: str) -> bool:
        return layer in self.layers


def settle(libraries: Sequence[Path], avoided: Sequence[str]) -> Confinement:
    """Applies the layers that a zygote shares with its programs. `avoided` layers are left out."""
    keep_root = False
    refusals = {LANDLOCK: landlock.missing(), SECCOMP: _attempt(_install_filter)}
    refusals[NAMESPACES] = _attempt(lambda: _enter(libraries))
    if refusals[NAMESPACES] and os.geteuid() == 0 and not _attempt(lambda: _enter(libraries, keep_root=True)):
        refusals[NAMESPACES], keep_root = "", True
    missing = {layer: reason for layer, reason in refusals.items() if reason}
    missing |= dict.fromkeys(avoided, "left out on request")
    descriptors = tuple(os.open(library, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) for library in libraries)
    mapped_bytes = limits.mapped_bytes()
    if NAMESPACES not in missing:
        namespaces.enter_root(libraries, keep_root=keep_root)
    elif os.geteuid() == 0:
        namespaces.become_nobody()
    return Confinement(tuple(layer for layer in LAYERS if layer not in missing), missing, descriptors, mapped_bytes)


def insufficient(confinement: Confinement) -> str:
    """Returns which needed layers are missing, "" where the layers suffice.

    Needed are seccomp (network, processes, kernel) and one of the layers that hide files.
    """
    needs = ((SECCOMP,), (NAMESPACES, LANDLOCK))
    lacking = [need for need in needs if not any(layer in confinement for layer in need)]
    return "; ".join(" or ".join(f"{layer} ({confinement.missing[layer]})" for layer in need) for need in lacking)


def _install_filter() -> None:
    capabilities.drop()
    seccomp.restrict(os.getpid())


def _enter(libraries: Sequence[Path], *, keep_root: bool = False) -> None:
    namespaces.enter_root(libraries, keep_root=keep_root)
    namespaces.enter_workspace(4096)


def _attempt(step: Callable[[], None]) -> str:
    """Returns why a step fails, "" where it works. The step runs in a process forked for it."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            step()
            reason = ""
        except BaseException as error:
            reason = str(error) or repr(error)
        os.write(writer, reason.encode()[:1000])
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as answer:
        reason = answer.read().decode(errors="replace")
    _, status = os.waitpid(child, 0)
    return reason or ("" if status == 0 else f"it ended the process that tried it ({status})")


def lock_up(confinement: Confinement, request: Request, keep: int) -> None:
    """Confines this process, irrevocably. Only descriptors 0, 1, 2 and `keep`, which becomes 3, stay open.

    Raises OSError where a step is refused: then no program may run.
    """
    limits.restrict(request.cpu_seconds, confinement.mapped_bytes + request.memory_bytes, request.folder_bytes)
    capabilities.drop()
    prctl("parent's death", PR_SET_PDEATHSIG, signal.SIGKILL)
    if LANDLOCK in confinement:
        landlock.restrict(_visible(confinement))
    os.dup2(keep, KEPT, inheritable=False)
    os.closerange(KEPT + 1, _HIGHEST_DESCRIPTOR)
    if SECCOMP in confinement:
        seccomp.restrict(os.getpid())


def _visible(confinement: Confinement) -> dict[int, int]:
    """Returns the folders that a program sees, with its rights on them."""
    visible = dict.fromkeys(confinement.libraries, landlock.READ)
    if NAMESPACES in confinement:
        visible[os.open(namespaces.FOLDER, os.O_PATH | os.O_DIRECTORY)] = landlock.WRITE
    return visible
