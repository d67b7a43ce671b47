"""Runs code that a model wrote, in a process that the operating system confines.

The layers are namespaces, Landlock, seccomp, resource limits and dropped privileges. No text is filtered and no
builtin is removed. Where the layers do not suffice, nothing is run: SandboxError says what is missing.
`docs/sandbox.md` has the threat model.
"""

from alphallm_env.sandbox.limits import Limits, ProgramResult, Status
from alphallm_env.sandbox.pool import Sandbox
from alphallm_env.sandbox.worker import Layers

__all__ = ["Layers", "Limits", "ProgramResult", "Sandbox", "Status"]
