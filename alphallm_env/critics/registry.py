"""Critics by name: sets of a value function, a PRM and an ORM, each of which may be replaced.

    tiny                        the trained critics that are shipped
    prompted                    PRM and ORM by prompting the policy's own model
    prompted_tools              the same, and the ORM may run programs before it judges
    verifier                    the problem's own verifier of lines and of solutions, where it has one
    learned                     the trained ones of Countdown, where the verifier tells how good they are
    none                        no critics
    runs/critics                a folder that `experiments.train_critics` wrote
    qwen_prm:FOLDER             a public PRM by its adapter, as PRM and ORM
    my_module:make              the critics that a module of your own holds or makes
    tiny,orm=my_module:MyORM    the shipped critics with another ORM

A set with an ORM and without a value function gets one by rollouts that its ORM judges, unless `value=none` is given.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol, cast

from alphallm_env.critics.base import CRITIC_NAMES, Critic, Critics
from alphallm_env.critics.context import CriticContext
from alphallm_env.critics.monte_carlo import MonteCarloValue
from alphallm_env.critics.public.formats import FORMATS
from alphallm_env.registry import Registry, split_changes

NONE = "none"

MadeCritics = Critics | Critic | Sequence[Critic]


class CriticFactory(Protocol):
    """Makes critics. One that is not in a `Critics` is placed by its name: value, prm or orm."""

    def __call__(self, context: CriticContext, /) -> MadeCritics:
        """Returns critics that call their models through the context's engine."""
        ...


def make_critics(spec: str, context: CriticContext) -> Critics:
    """Returns the critics of a name, a folder or a `module:attribute`, with the replacements of `NAME,orm=PART`.

    A part is a `module:attribute`, none, or the name of a set, whose critic of that name is taken.
    Raises ValueError, which lists the names, for an unknown one.
    """
    base, replacements = split_changes(spec)
    critics = _critics(base, context)
    replaced: set[str] = set()
    for name, part in replacements:
        if name not in CRITIC_NAMES or name in replaced:
            raise ValueError(f"critics are replaced by {'=…, '.join(CRITIC_NAMES)}=…, each once, got {spec!r}")
        critics = replace(critics, **{name: _critic(name, part, context)})
        replaced.add(name)
    if base == NONE or "value" in replaced or critics.value or critics.orm is None or context.rollouts is None:
        return critics
    return replace(critics, value=MonteCarloValue(context.rollouts, critics.orm))


def critic_choices() -> str:
    """Returns the names to choose from, as help and errors show them."""
    return f"{CRITICS.choices}, or a folder of trained critics"


def _critics(name: str, context: CriticContext) -> Critics:
    return _as_set(_made(name, context), name)


def _critic(name: str, part: str, context: CriticContext) -> Critic | None:
    """Returns the critic that `name=part` asks for."""
    if part == NONE:
        return None
    made = _made(part, context)
    return made if isinstance(made, Critic) else _as_set(made, part).require(name)


def _made(name: str, context: CriticContext) -> MadeCritics:
    if name and name not in CRITICS and Path(name).is_dir():
        from alphallm_env.critics.loading import load_critics

        return load_critics(name, context)
    if name not in CRITICS and ":" not in name:
        raise ValueError(f"critics must be one of {critic_choices()}, got {name!r}")
    return CRITICS.resolve(name)(context)


def _as_set(made: MadeCritics, source: str) -> Critics:
    if isinstance(made, Critics):
        return made
    listed = [made] if isinstance(made, Critic) else list(made)
    named = {critic.name: critic for critic in listed}
    if not listed or len(named) < len(listed) or not named.keys() <= set(CRITIC_NAMES):
        found = ", ".join(critic.name for critic in listed) or "none"
        raise ValueError(
            f"expected {source} to make critics named {', '.join(CRITIC_NAMES)}, each at most once, got {found}; "
            f"a critic of another name may replace one, as in tiny,orm={source}"
        )
    return replace(Critics(), **named)


def _as_factory(found: object) -> CriticFactory:
    """Returns a factory from an attribute of a module: a factory, a class, a critic, or a set of critics.

    A class or function takes the context as its one required argument, or nothing.
    """
    if isinstance(found, Critics) or (isinstance(found, Critic) and not isinstance(found, type)):
        return lambda _: found
    if not callable(found):
        raise TypeError(f"expected a critic, or what makes critics, got {found!r}")
    required = _required_parameters(found)
    if len(required) > 1:
        raise TypeError(f"expected what makes critics to take a CriticContext or nothing, got {', '.join(required)}")
    return partial(_call, found, takes_context=bool(required))


def _call(make: Callable[..., object], context: CriticContext, *, takes_context: bool) -> MadeCritics:
    made = make(context) if takes_context else make()
    if isinstance(made, Critics | Critic):
        return made
    items = cast("list[object]", list(made)) if isinstance(made, list | tuple) else [made]
    if not all(isinstance(item, Critic) for item in items):
        raise ValueError(f"expected critics, with a name and an async method evaluate, of {make!r}, got {made!r}")
    return cast("list[Critic]", items)


def _required_parameters(make: Callable[..., object]) -> list[str]:
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [
        name
        for name, parameter in inspect.signature(make).parameters.items()
        if parameter.default is inspect.Parameter.empty and parameter.kind not in variadic
    ]


def _no_critics(_: CriticContext) -> Critics:
    return Critics()


def _public(adapter: str, model: str) -> CriticFactory:
    """Returns the factory of the critics called `ADAPTER:MODEL`."""

    def make(context: CriticContext) -> Critics:
        from alphallm_env.critics.loading import public_critics

        return public_critics(f"{adapter}:{model}", context.engine, context.device)

    return make


CRITICS: Registry[CriticFactory] = Registry(
    "critics",
    {
        "tiny": "alphallm_env.critics.loading:tiny_critics",
        "prompted": "alphallm_env.critics.loading:prompted_critics",
        "prompted_tools": "alphallm_env.critics.loading:prompted_critics_with_tools",
        "verifier": "alphallm_env.critics.verifier:verifier_critics",
        "learned": "alphallm_env.critics.loading:countdown_critics",
        NONE: _no_critics,
    },
    _as_factory,
    families={adapter: partial(_public, adapter) for adapter in FORMATS},
)
