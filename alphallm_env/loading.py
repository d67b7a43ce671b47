"""From names to a running simulator: the shipped tiny models, a folder, or a hub name."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from alphallm_env.critics.critic_set import Critics
from alphallm_env.critics.registry import CriticContext, make_critics
from alphallm_env.errors import ModelError
from alphallm_env.lm.device import resolved_device
from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.lm.policy import Policy
from alphallm_env.lm.prompts.templates import FewShotTemplate, template_for
from alphallm_env.mdp.dynamics import Rules
from alphallm_env.runtime.engine import Engine
from alphallm_env.simulator import Simulator

if TYPE_CHECKING:
    from alphallm_env.lm.continuous import ContinuousLM
    from alphallm_env.lm.server.client import ServerLM
    from alphallm_env.lm.vllm import VLLMLM

BACKENDS = ("auto", "transformers", "continuous", "vllm")
TINY_POLICY = Path(__file__).parent / "lm" / "tiny"
_MODELS_KEPT = 4  # of each kind: a loop trains a new policy every round


def resolve(name: str, tiny: Path) -> str:
    """Returns what to load: the shipped folder for `tiny`, else the name as it is."""
    return str(tiny) if name == "tiny" else name


def load_policy(
    name: str = "tiny",
    device: str = "auto",
    dtype: str = "auto",
    temperature: float = 1.0,
    *,
    tokenizer: str = "",
    model: str = "",
    backend: str = "transformers",
) -> Policy:
    """Returns the policy called `tiny`, that of a folder or hub name, or that behind a server's url.

    Its template fits its tokenizer. A server, or several of one model with commas between their urls, has
    the one called `tokenizer` (tiny, a folder or hub name), and few-shot prompts without one; `model` is
    what the server calls the model, the first that it lists where empty.
    `backend` of a policy in process is transformers, continuous, vllm, or auto: continuous on a GPU, which gives its
    cache most of the memory, and transformers elsewhere. Raises ModelError for another.
    """
    if name.startswith(("http://", "https://")):
        server = _load_server_lm(name, model, tokenizer)
        return Policy(server, template_for(server.tokenizer) if server.tokenizer else FewShotTemplate(), temperature)
    lm = _load_backend(resolve(name, TINY_POLICY), device, dtype, backend)
    return Policy(lm, template_for(lm.tokenizer), temperature)


def build_simulator(
    policy: Policy,
    critics: str,
    rules: Rules,
    engine: Engine,
    device: str = "auto",
    rollout_policy: Policy | None = None,
) -> Simulator:
    """Returns a simulator around a policy, with the critics that `alphallm_env.critics.registry` finds by name."""
    without = Simulator(policy, Critics(), rules, rollout_policy, engine)
    return replace(without, critics=make_critics(critics, CriticContext(policy, engine, device, without)))


def load_simulator(
    policy: str = "tiny",
    critics: str = "tiny",
    rules: Rules | None = None,
    device: str = "auto",
    dtype: str = "auto",
    temperature: float = 1.0,
    *,
    tokenizer: str = "",
    backend: str = "transformers",
) -> Simulator:
    """Returns a simulator by names. Models of one name are loaded once and shared, as is the engine.

    `tokenizer` is for a policy on a server and `backend` for one in process, as in `load_policy`.
    """
    acting = load_policy(policy, device, dtype, temperature, tokenizer=tokenizer, backend=backend)
    return build_simulator(acting, critics, rules or Rules(), shared_engine(), device)


@cache
def shared_engine() -> Engine:
    """Returns the engine that environments made by name have in common."""
    return Engine()


@lru_cache(maxsize=_MODELS_KEPT)
def _load_lm(source: str, device: str, dtype: str) -> TransformersLM:
    return TransformersLM.load(source, device, dtype)


def _load_backend(source: str, device: str, dtype: str, backend: str) -> TransformersLM | VLLMLM:
    if backend not in BACKENDS:
        raise ModelError(f"backend must be one of {', '.join(BACKENDS)}, got {backend!r}")
    if backend == "continuous" or (backend == "auto" and resolved_device(device).startswith("cuda")):
        return _load_continuous_lm(source, device, dtype)
    return _load_vllm_lm(source, dtype) if backend == "vllm" else _load_lm(source, device, dtype)


@lru_cache(maxsize=1)  # it takes most of a device's memory
def _load_continuous_lm(source: str, device: str, dtype: str) -> ContinuousLM:
    from alphallm_env.lm.continuous import ContinuousLM

    return ContinuousLM.load(source, device, dtype)


@lru_cache(maxsize=1)  # as this does
def _load_vllm_lm(source: str, dtype: str) -> VLLMLM:
    from alphallm_env.lm.vllm import VLLMLM

    return VLLMLM(source, dtype=dtype)


@lru_cache(maxsize=_MODELS_KEPT)
def _load_server_lm(urls: str, model: str, tokenizer: str) -> ServerLM:
    try:
        from alphallm_env.lm.server.client import ServerLM
    except ModuleNotFoundError as error:
        raise ModelError(f"a policy on a server needs the extra alphallm-env[server]: {error}") from error
    found = _load_tokenizer(resolve(tokenizer, TINY_POLICY)) if tokenizer else None
    return ServerLM([url.strip() for url in urls.split(",")], model=model, tokenizer=found)


def _load_tokenizer(source: str) -> PreTrainedTokenizerBase:
    try:
        return cast("PreTrainedTokenizerBase", AutoTokenizer.from_pretrained(source))
    except (OSError, ValueError) as error:
        raise ModelError(f"expected a tokenizer at {source!r}: {error}") from error
