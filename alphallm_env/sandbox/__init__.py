"""Runs code that a model wrote, in a process that can do no harm.

What keeps it harmless is the operating system: namespaces, Landlock, seccomp, limits, no privileges. No text
is filtered and no builtin taken away. Where the layers do not suffice, nothing is run: SandboxError says what
is missing. `docs/sandbox.md` has the threat model.
"""

from alphallm_env.sandbox.limits import Limits, ProgramResult, Status
from alphallm_env.sandbox.pool import Sandbox
from alphallm_env.sandbox.worker import Layers

__all__ = ["Layers", "Limits", "ProgramResult", "Sandbox", "Status"]
