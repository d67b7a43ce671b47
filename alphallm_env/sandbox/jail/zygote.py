"""The zygote: a process that has computer algebra loaded and forks a warden for every program.

It never reads a request itself, so that no program finds an earlier one in its memory. It exits when its input ends.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import sys
from typing import cast

from . import frames, lockdown, preloading, warden
from .protocol import MAX_REQUEST_BYTES


def main(settings: str) -> None:
    """Reports the layers that work here, then serves programs until the input ends.

    `settings` are JSON: `paths`, where computer algebra is found, and `avoided`, layers that are left out.
    """
    asked = json.loads(settings)
    sys.path += [path for path in asked["paths"] if path not in sys.path]
    requests, replies = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    # The kernel's out-of-memory killer should pick this process first.
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write("1000")
    confinement = lockdown.settle(preloading.load(), asked["avoided"])
    refusal = lockdown.insufficient(confinement)
    layers = cast("list[frames.Json]", list(confinement.layers))
    missing = cast("dict[str, frames.Json]", confinement.missing)
    gc.collect()
    gc.freeze()
    frames.write(replies, frames.encode({"layers": layers, "missing": missing, "refusal": refusal}))
    os.dup2(nothing, 2)
    os.close(nothing)
    while not refusal and _has_request(requests):
        child = os.fork()
        if child == 0:
            _serve_one(confinement, requests, replies)
        os.waitpid(child, 0)


def _has_request(requests: int) -> bool:
    """Waits for a request. Returns whether one came before the end of the input."""
    poll = select.poll()
    poll.register(requests, select.POLLIN)
    return any(event & select.POLLIN for _, event in poll.poll())


def _serve_one(confinement: lockdown.Confinement, requests: int, replies: int) -> None:
    """Becomes a warden, serves the next request, and exits."""
    try:
        request = lockdown.Request(**frames.read(requests, MAX_REQUEST_BYTES))  # type: ignore[arg-type]
        try:
            reply = warden.serve(confinement, request)
        except Exception as error:  # a call that this system or Python lacks: at once, not after the library's patience
            reply = {"failure": str(error)}
        frames.write(replies, frames.encode(reply))
    finally:
        os._exit(0)
