"""The errors that this library raises: one root, a few leaves."""


class AlphaLLMError(Exception):
    """Root of every error that alphallm-env raises on purpose."""


class ProblemError(AlphaLLMError, ValueError):
    """A problem, a problem file or a problem set cannot be used."""


class OverlapError(ProblemError):
    """A test problem is also a training problem."""


class StateError(AlphaLLMError, ValueError):
    """A state cannot be used here: it has ended, is unknown, or its bytes are damaged."""


class ModelError(AlphaLLMError, RuntimeError):
    """A language model could not be loaded, lacks a capability, or returned what breaks its contract."""


class ServerError(ModelError):
    """A server of a language model failed after all retries, or lacks a capability. Names server and request.

    An engine that runs a model in a process of its own, as vLLM's does, raises it where that process has died.
    """


class CriticError(AlphaLLMError, RuntimeError):
    """A critic could not score a state. A failure is never turned into a score."""


class SandboxError(AlphaLLMError, RuntimeError):
    """No program can be run: the machine cannot isolate one, or the sandbox is broken or closed."""


class RunError(AlphaLLMError, RuntimeError):
    """A run folder does not fit the command that would resume it."""
