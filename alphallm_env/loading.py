"""From names to a running simulator: the shipped tiny models, a folder, or a hub name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from alphallm_env.critics.base import Critics
from alphallm_env.critics.context import CriticContext
from alphallm_env.critics.registry import make_critics
from alphallm_env.lm.backends import HasTokenizer, load_lm, load_server_lm
from alphallm_env.lm.base import LanguageModel
from alphallm_env.lm.policy import Policy
from alphallm_env.lm.prompts import FewShotTemplate, template_for
from alphallm_env.lm.shipped import resolve
from alphallm_env.mdp.dynamics import Rules
from alphallm_env.runtime.engine import Engine
from alphallm_env.simulator import Simulator


def load_policy(
    name: str = "tiny",
    device: str = "auto",
    dtype: str = "auto",
    temperature: float = 1.0,
    *,
    tokenizer: str = "",
    model: str = "",
    backend: str = "transformers",
    backend_settings: Sequence[str] = (),
) -> Policy:
    """Returns the policy of a name: `tiny`, `tiny_countdown`, a folder, a hub name, or a server's url.

    Its prompt template is the one that fits its tokenizer, few-shot prompts where it has none.
    Several servers of one model are given with commas between their urls. For a server, `tokenizer` names the
    tokenizer (tiny, a folder or hub name), and `model` is the server's name of the model, by default the first that it
    lists. `backend` runs a policy in process, as in `load_lm`. `backend_settings` are those of the backend, or of the
    server, as `NAME=VALUE`: "attempts=12", "enforce_eager=true". Raises ValueError, which lists them, for another.
    """
    if name.startswith(("http://", "https://")):
        lm: LanguageModel = load_server_lm(name, model, resolve(tokenizer), tuple(backend_settings))
    else:
        lm = load_lm(resolve(name), device, dtype, backend, backend_settings)
    found = lm.tokenizer if isinstance(lm, HasTokenizer) else None
    return Policy(lm, template_for(found) if found else FewShotTemplate(), temperature)


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
    rollout_policy: str = "",
    tokenizer: str = "",
    backend: str = "transformers",
    backend_settings: Sequence[str] = (),
) -> Simulator:
    """Returns a simulator from names. Models of one name are loaded once and shared, as is the engine.

    `rollout_policy` names the model that completes solutions in rollouts, usually a smaller one; by default it is the
    policy. `tokenizer` is for a policy on a server, `backend` for one in process, and `backend_settings` for either, as
    in `load_policy`.
    """

    def load(name: str) -> Policy:
        return load_policy(
            name,
            device,
            dtype,
            temperature,
            tokenizer=tokenizer,
            backend=backend,
            backend_settings=backend_settings,
        )

    rolling_out = load(rollout_policy) if rollout_policy else None
    return build_simulator(load(policy), critics, rules or Rules(), shared_engine(), device, rolling_out)


@cache
def shared_engine() -> Engine:
    """Returns the engine that all simulators loaded by name share."""
    return Engine()
