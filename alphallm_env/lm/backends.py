"""Language models by name: backends that run them in this process, and servers."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

from alphallm_env.errors import ModelError
from alphallm_env.lm.base import LanguageModel
from alphallm_env.registry import Registry

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from alphallm_env.lm.server.client import ServerLM

Backend = Callable[[str, str, str], LanguageModel]  # (source, device, dtype) -> a model that is ready to run

_DEFAULT_KEPT = 4  # models of one backend that stay loaded: self-improvement trains a new policy every round
_KEPT = {"auto": 0, "continuous": 1, "vllm": 1}  # these two take most of a device's memory


@runtime_checkable
class HasTokenizer(Protocol):
    """A language model that exposes its tokenizer, which decides its prompt template."""

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase | None:
        """The tokenizer, None where it is not available."""
        ...


def load_lm(source: str, device: str = "auto", dtype: str = "auto", backend: str = "transformers") -> LanguageModel:
    """Returns the model in a folder or of a hub name, run by a backend. Equal calls return the same model.

    `backend` is transformers, continuous, vllm, auto (continuous on a GPU, which gives its cache most of the memory,
    and transformers elsewhere), or the `module:attribute` of a user's own. Raises ValueError, which lists the names,
    for another, and ModelError where the model cannot be loaded.
    """
    return _shared(BACKENDS.resolve(backend), _KEPT.get(backend, _DEFAULT_KEPT))(source, device, dtype)


@cache
def _shared(backend: Backend, most: int) -> Backend:
    """Returns the backend with a cache of the `most` models that were used last."""

    def load(source: str, device: str, dtype: str) -> LanguageModel:
        lm = backend(source, device, dtype)
        if not isinstance(lm, LanguageModel):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ModelError(f"expected a language model from {backend!r}, got {lm!r}")
        return lm

    return lru_cache(maxsize=most)(load)


def _load_automatically(source: str, device: str, dtype: str) -> LanguageModel:
    from alphallm_env.lm.device import resolved_device

    backend = "continuous" if resolved_device(device).startswith("cuda") else "transformers"
    return load_lm(source, device, dtype, backend)


def _accepted(part: object) -> Backend:
    if not callable(part):
        raise TypeError(f"expected a function (source, device, dtype) that returns a language model, got {part!r}")
    return cast("Backend", part)


BACKENDS: Registry[Backend] = Registry(
    "backend",
    {
        "auto": _load_automatically,
        "transformers": "alphallm_env.lm.local.transformers_lm:TransformersLM.load",
        "continuous": "alphallm_env.lm.continuous:ContinuousLM.load",
        "vllm": "alphallm_env.lm.vllm:VLLMLM.load",
    },
    _accepted,
)


@lru_cache(maxsize=_DEFAULT_KEPT)
def load_server_lm(urls: str, model: str = "", tokenizer: str = "") -> ServerLM:
    """Returns the model behind servers, with commas between their urls. Equal calls return the same model.

    `model` is the servers' name of it, by default the first that they list; `tokenizer` is a folder or hub name, or
    empty. Raises ModelError where there is no such tokenizer, or the extra `server` is not installed.
    """
    try:
        from alphallm_env.lm.server.client import ServerLM
    except ModuleNotFoundError as error:
        raise ModelError(f"a policy on a server needs the extra alphallm-env[server]: {error}") from error
    found = _load_tokenizer(tokenizer) if tokenizer else None
    return ServerLM([url.strip() for url in urls.split(",")], model=model, tokenizer=found)


def _load_tokenizer(source: str) -> PreTrainedTokenizerBase:
    from transformers import AutoTokenizer

    try:
        return cast("PreTrainedTokenizerBase", AutoTokenizer.from_pretrained(source))
    except (OSError, ValueError) as error:
        raise ModelError(f"expected a tokenizer at {source!r}: {error}") from error
