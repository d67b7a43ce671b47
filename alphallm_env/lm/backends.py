"""Language models by name: backends that run them in this process, and servers."""

from __future__ import annotations

import inspect
import json
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

from alphallm_env.errors import ModelError
from alphallm_env.lm.base import LanguageModel
from alphallm_env.lm.settings import Value, check_names, filled, parsed
from alphallm_env.registry import Registry

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from alphallm_env.lm.server.client import ServerLM

# (source, device, dtype, and the backend's settings as keywords) -> a model that is ready to run
Backend = Callable[..., LanguageModel]
Loader = Callable[[str, str, str, tuple[str, ...]], LanguageModel]

_NUM_PLACES = 3  # parameters of a backend before its settings
_DEFAULT_KEPT = 4  # models of one backend that stay loaded: self-improvement trains a new policy every round
_KEPT = {"auto": 0, "continuous": 1, "vllm": 1}  # these two take most of a device's memory


@runtime_checkable
class HasTokenizer(Protocol):
    """A language model that exposes its tokenizer, which decides its prompt template."""

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase | None:
        """The tokenizer, None where it is not available."""
        ...


def load_lm(
    source: str,
    device: str = "auto",
    dtype: str = "auto",
    backend: str = "transformers",
    backend_settings: Sequence[str] = (),
) -> LanguageModel:
    """Returns the model in a folder or of a hub name, run by a backend. Equal calls return the same model.

    `backend` is transformers, continuous, vllm, auto (continuous on a GPU, which gives its cache most of the memory,
    and transformers elsewhere), or the `module:attribute` of a user's own. `backend_settings` are the backend's own, as
    `NAME=VALUE`: with vllm, the arguments of its engine. Raises ValueError, which lists the names, for another, and
    ModelError where the model cannot be loaded.
    """
    load = _shared(backend, _KEPT.get(backend, _DEFAULT_KEPT))
    return load(source, device, dtype, tuple(backend_settings))


@cache
def _shared(name: str, most: int) -> Loader:
    """Returns what loads models with a backend, and keeps the `most` that were used last."""
    backend = BACKENDS.resolve(name)
    kept: OrderedDict[tuple[object, ...], LanguageModel] = OrderedDict()
    lock = Lock()

    def load(source: str, device: str, dtype: str, settings: tuple[str, ...]) -> LanguageModel:
        key = (source, device, dtype, settings)
        with lock:
            if key in kept:
                kept.move_to_end(key)
                return kept[key]
            while most and len(kept) >= most:  # before another is loaded: both may not fit into memory
                kept.popitem(last=False)
        lm = backend(source, device, dtype, **_settings_of(name, backend, settings))
        if not isinstance(lm, LanguageModel):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ModelError(f"expected a language model from {backend!r}, got {lm!r}")
        if most:
            with lock:
                kept[key] = lm
        return lm

    return load


def _settings_of(name: str, backend: Backend, settings: Sequence[str]) -> dict[str, Value]:
    """Returns the settings as keywords. Raises ValueError for one that the backend does not take."""
    values = parsed(settings)
    own = list(inspect.signature(backend).parameters.values())[_NUM_PLACES:]
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in own):
        check_names(values, (parameter.name for parameter in own), f"backend {name}")
    return values


def _load_automatically(source: str, device: str, dtype: str, **settings: Value) -> LanguageModel:
    from alphallm_env.lm.device import resolved_device

    backend = "continuous" if resolved_device(device).startswith("cuda") else "transformers"
    return load_lm(source, device, dtype, backend, [f"{name}={json.dumps(value)}" for name, value in settings.items()])


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
def load_server_lm(urls: str, model: str = "", tokenizer: str = "", settings: tuple[str, ...] = ()) -> ServerLM:
    """Returns the model behind servers, with commas between their urls. Equal calls return the same model.

    `model` is the servers' name of it, by default the first that they list; `tokenizer` is a folder or hub name, or
    empty; `settings` are those of `ServerSettings`, as `NAME=VALUE`, and `top_log_probs`. Raises ModelError where there
    is no such tokenizer, or the extra `server` is not installed, ValueError for an unknown setting.
    """
    try:
        from alphallm_env.lm.server.client import ServerLM, ServerOptions
    except ModuleNotFoundError as error:
        raise ModelError(f"a policy on a server needs the extra alphallm-env[server]: {error}") from error
    found = _load_tokenizer(tokenizer) if tokenizer else None
    options = filled(ServerOptions, parsed(settings), "a server", without=["api_key"])  # settings are written to runs
    return ServerLM(
        [url.strip() for url in urls.split(",")],
        model=model,
        tokenizer=found,
        settings=options,
        top_log_probs=options.top_log_probs,
        weights=options.weights,
    )


def _load_tokenizer(source: str) -> PreTrainedTokenizerBase:
    from transformers import AutoTokenizer

    try:
        return cast("PreTrainedTokenizerBase", AutoTokenizer.from_pretrained(source))
    except (OSError, ValueError) as error:
        raise ModelError(f"expected a tokenizer at {source!r}: {error}") from error
