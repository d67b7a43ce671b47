"""One engine of vLLM for all models of one shape: its weights are exchanged, and it is started anew after it died.

An engine is a process that vLLM starts. It ends when the last model that uses it is closed or forgotten, and at the
latest when this process ends.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import dataclasses
import gc
import hashlib
import importlib
import itertools
import json
import logging
import os
import threading
import weakref
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from alphallm_env.errors import ModelError, ServerError
from alphallm_env.lm.checkpoints import model_config
from alphallm_env.lm.settings import check_names
from alphallm_env.runtime.concurrency import LoopThread

log = logging.getLogger(__name__)

_EXTENSION = f"{__name__}.WeightsOfFolder"
_OWN = ("model", "dtype", "worker_extension_cls")  # arguments of the engine that are no settings
# Without a GPU: a prefill in parts ends vLLM's engine where a request has a seed, and blocks are multiples of 32.
_ON_CPU = {"enable_chunked_prefill": False, "block_size": 32, "enforce_eager": True}
_GRACE = 20.0  # seconds in which its processes may end by themselves
_SHOWN = 400  # characters of vLLM's own error


class VLLMEngine:
    """An engine with the weights of one folder at a time. Coroutines run on its `thread`.

    `arguments` are those of vLLM's `AsyncEngineArgs`. Raises ModelError where the engine does not start.
    """

    def __init__(self, source: str, arguments: Mapping[str, object]) -> None:
        self.name = source
        self.vllm = import_vllm()
        logging.getLogger("vllm.v1.engine.async_llm").addFilter(_of_a_death)
        self.kinds: Any = importlib.import_module("vllm.sampling_params").RequestOutputKind
        self._arguments = dict(arguments)
        self._names = map(str, itertools.count())
        self._adapter_ids = itertools.count(1)
        self._turn = asyncio.Lock()  # held while a user of other weights waits for its turn; first come, first served
        self._idle = asyncio.Event()
        self._idle.set()
        self._num_running = 0  # blocks of `with_weights`
        self._users: weakref.WeakSet[object] = weakref.WeakSet()
        self._weights: str | None = source  # None while it is not known what the engine holds
        self.thread = LoopThread(f"vllm {source}", serves_one_process=True)
        self._running = _Running(self.thread)
        weakref.finalize(self, self._running.end)
        self.thread.run(self._start())
        # Before what vLLM and multiprocessing end at exit: the engine's processes must not go while we listen to them.
        atexit.register(self._running.end)

    @property
    def max_model_len(self) -> int:
        """The most tokens of prompt and text together."""
        return int(self._running.engine.model_config.max_model_len)

    @property
    def process_ids(self) -> list[int]:
        """The processes in which the model runs."""
        manager = self._running.engine.engine_core.resources.engine_manager
        return [int(process.pid) for process in manager.processes]

    @contextlib.asynccontextmanager
    async def with_weights(self, folder: str) -> AsyncGenerator[None]:
        """Keeps the weights of a folder loaded until the block ends: first waits for users of others, if need be."""
        async with self._turn:
            if self._is_dead or self._weights != folder:
                await self._idle.wait()
                await self._load(folder)
            self._num_running += 1
            self._idle.clear()
        try:
            yield
        finally:
            self._num_running -= 1
            if not self._num_running:
                self._idle.set()

    async def load(self, folder: str) -> None:
        """Loads the weights of a folder. Raises ModelError where that fails; what was loaded is loaded again then."""
        async with self.with_weights(folder):
            pass

    async def output(self, tokens: list[int], adapter: object, about: str, **sampling: object) -> Any:
        """Returns vLLM's `RequestOutput` for a prompt. Raises ServerError if the engine has died, else ModelError.

        Cancelling this aborts the request. `about` describes the request in errors.
        """
        try:
            parameters = self.vllm.SamplingParams(output_kind=self.kinds.FINAL_ONLY, **sampling)
            prompt = {"prompt_token_ids": tokens}
            answers = self._running.engine.generate(prompt, parameters, next(self._names), lora_request=adapter)
            *_, output = [answer async for answer in answers]
        except Exception as error:  # vLLM's errors have no root of their own in all versions
            if self._is_dead:
                raise self._died(about) from None  # vLLM says no more than that it did
            raise ModelError(f"vLLM failed with {self.name} on {about}: {_short(error)}") from error
        return output

    def new_adapter_id(self) -> int:
        """Returns a number that no other adapter of the engine has."""
        return next(self._adapter_ids)

    def add_user(self, user: object) -> None:
        """Keeps the engine until this user is done with it."""
        self._users.add(user)

    def remove_user(self, user: object) -> None:
        """Ends the engine's processes, for good, where this was the last user. May be called twice."""
        self._users.discard(user)
        if not self._users:
            _forget(self)
            self._running.end()

    @property
    def _is_dead(self) -> bool:
        return self._running.engine is None or bool(self._running.engine.errored)

    def _died(self, about: str) -> ServerError:
        return ServerError(
            f"vLLM's engine of {self.name} has died at {about}; what it printed last says why. The next request starts "
            "it again"
        )

    async def _load(self, folder: str) -> None:
        if self._is_dead or self._weights is None:
            log.warning("vLLM's engine of %s has died, and is started again", self.name)
            self._running.end_engine()
            await self._start(folder)
            return
        self._weights = None  # what a failure leaves behind is not run: the engine is started again then
        engine = self._running.engine
        try:
            await engine.pause_generation(mode="wait", clear_cache=True)
            await engine.collective_rpc("load_weights_of", args=(folder,))
            await engine.resume_generation()
        except Exception as error:
            raise ModelError(f"vLLM could not load the weights in {folder!r}: {_short(error)}") from error
        self._weights = folder

    async def _start(self, folder: str = "") -> None:
        """Starts the processes with the weights of a folder, by default those that the engine began with."""
        folder = folder or self.name
        defaults = _ON_CPU if _is_cpu() else {}
        settings = {"enable_prefix_caching": True, "disable_log_stats": True, **defaults, **self._arguments}
        try:
            arguments = self.vllm.AsyncEngineArgs(model=folder, worker_extension_cls=_EXTENSION, **settings)
            self._running.engine = self.vllm.AsyncLLMEngine.from_engine_args(arguments)
        except Exception as error:
            raise ModelError(f"vLLM cannot run {folder!r}: {_short(error)}") from error
        self._weights = folder


class _Running:
    """The engine of vLLM that runs now, if any, and the thread that it is asked on: what has to be ended."""

    def __init__(self, thread: LoopThread) -> None:
        self.engine: Any = None
        self._thread = thread
        self._owner = os.getpid()

    def end(self) -> None:
        """Ends thread and engine. Does nothing in a forked child: both are the parent's."""
        if os.getpid() != self._owner:
            return
        atexit.unregister(self.end)
        if not self._thread.is_current:  # first: what still listens to the engine would take its end for a death
            self._thread.close()
        self.end_engine()

    def end_engine(self) -> None:
        """Ends the engine's processes."""
        engine, self.engine = self.engine, None
        if engine is not None:
            engine.shutdown(timeout=_GRACE)


class WeightsOfFolder:
    """Exchanges the weights of a model: vLLM makes this a base of its worker, in the worker's process."""

    def load_weights_of(self, folder: str) -> None:
        """Loads the weights in a folder in place of the present ones."""
        worker = cast(Any, self)
        worker.model_runner.reload_weights(weights_path=folder)
        heads = importlib.import_module("vllm.model_executor.layers.vocab_parallel_embedding").ParallelLMHead
        # Without a GPU a head keeps a packed copy of its matrix, which a reload renews unless it is the embedding's.
        for module in worker.model_runner.get_model().modules():
            if isinstance(module, heads) and not module.weight.is_meta:
                module.quant_method.process_weights_after_loading(module)


_lock = threading.Lock()
_engines: weakref.WeakValueDictionary[str, VLLMEngine] = weakref.WeakValueDictionary()
_kept: list[VLLMEngine] = []  # the last one, for the next model of its shape, though no model may use it at the moment


def shared_engine(source: str, arguments: Mapping[str, object]) -> VLLMEngine:
    """Returns the engine that runs models of this shape with these arguments; starts it where there is none."""
    own = [os.getpid(), _shape(source), dict(arguments)]  # a forked child starts an engine of its own
    key = json.dumps(own, sort_keys=True, default=repr)
    with _lock:
        found = _engines.get(key)
        if found is None:
            _kept.clear()
            gc.collect()  # ends engines that no model uses: each takes most of a device's memory
            found = _engines[key] = VLLMEngine(source, arguments)
        _kept[:] = [found]
        return found


def _forget(engine: VLLMEngine) -> None:
    with _lock:
        _kept[:] = [kept for kept in _kept if kept is not engine]
        for key in [key for key, known in _engines.items() if known is engine]:
            del _engines[key]


def _shape(source: str) -> object:
    """Returns what models must have in common to be run by one engine: the network, and the tokenizer."""
    if not Path(source).is_dir():
        return source
    tokenizer = Path(source, "tokenizer.json")
    digest = hashlib.sha256(tokenizer.read_bytes()).hexdigest() if tokenizer.is_file() else source
    return [model_config(source), digest]


def check_arguments(arguments: Mapping[str, object]) -> None:
    """Raises ValueError, which lists vLLM's engine arguments, for a setting that is none. Imports vLLM."""
    known = {field.name for field in dataclasses.fields(import_vllm().AsyncEngineArgs)}
    check_names(arguments, known.difference(_OWN), "backend vllm")


def _of_a_death(record: logging.LogRecord) -> bool:
    """Takes the traceback from what vLLM logs here when its engine has died: the engine itself has printed why."""
    if record.exc_info and type(record.exc_info[1]).__name__ == "EngineDeadError":
        record.exc_info = None
    return True


def import_vllm() -> ModuleType:
    """Returns the module vllm. Raises ModelError, which says what to install, where it is missing."""
    try:
        return importlib.import_module("vllm")
    except ImportError as error:
        raise ModelError(f"vLLM cannot be used, try pip install alphallm-env[vllm]: {error}") from error


def _is_cpu() -> bool:
    return bool(importlib.import_module("vllm.platforms").current_platform.is_cpu())


def _short(error: BaseException) -> str:
    said = " ".join(f"{type(error).__name__}: {error}".split())
    return said if len(said) <= _SHOWN else said[:_SHOWN] + " …"
