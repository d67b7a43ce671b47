"""The sandbox of this process."""

from __future__ import annotations

import os
from functools import cache

from alphallm_env.sandbox.pool import Sandbox

_MOST_WORKERS = 4


@cache
def shared_sandbox() -> Sandbox:
    """Returns the sandbox that all critics made by name share. It is closed when this process ends."""
    return Sandbox(num_workers=max(1, min(_MOST_WORKERS, os.cpu_count() or 1)))
