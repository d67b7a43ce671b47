"""Settings of programs: groups that `--help` shows under headings, their flags, and how a run records them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, cast

import tyro

from alphallm_env.runtime.files import Json

Config = TypeVar("Config")


def with_flat_flags(kind: type[Config]) -> type[Config]:
    """Marks a class of settings: a field of a group has the flag of its own name, `--policy` for `models.policy`.

    A switch has one flag, which changes it.
    """
    return tyro.conf.configure(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff)(kind)


def settings_of(kind: type[Config], arguments: Sequence[str] | None = None, default: Config | None = None) -> Config:
    """Returns the settings that a command line asks for, this process's own where None.

    A wrong flag or `--help` ends the process, as tyro does.
    """
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    prog = f"python -m {spec.name}" if spec is not None else None
    if default is None:
        return tyro.cli(kind, prog=prog, args=arguments)
    return tyro.cli(kind, prog=prog, args=arguments, default=default)


def preset_of(arguments: Sequence[str], presets: Mapping[str, Config]) -> str:
    """Returns the name of the preset that `--preset` names, the first one where the flag is not given.

    Flags are parsed afterwards, as a preset is the default of all others. Raises SystemExit for one that does not
    exist.
    """
    name = next(iter(presets))
    for place, argument in enumerate(arguments):
        flag, equals, value = argument.partition("=")
        if flag == "--preset":
            name = value if equals else "".join(arguments[place + 1 : place + 2])
    if name not in presets:
        raise SystemExit(f"--preset must be one of {', '.join(presets)}, got {name!r}")
    return name


def flat(config: object, *left_out: str) -> dict[str, Json]:
    """Returns the settings as JSON by the names of their flags, those in groups too, paths as text.

    Raises ValueError where two groups have a setting of one name.
    """
    found: dict[str, Json] = {}
    for field in fields(cast(Any, config)):
        value = getattr(config, field.name)
        if field.name in left_out:
            continue
        inner = flat(value, *left_out) if is_dataclass(value) else {field.name: _as_json(value)}
        if twice := found.keys() & inner.keys():
            raise ValueError(f"expected each setting once in {type(config).__name__}, got {', '.join(twice)} twice")
        found |= inner
    return found


def changed(config: Config, **settings: object) -> Config:
    """Returns the config with some settings changed, those in groups too, by the names of their flags.

    Raises ValueError for a setting that it does not have.
    """
    if unknown := settings.keys() - flat(config).keys():
        raise ValueError(f"{type(config).__name__} has no setting {', '.join(sorted(unknown))}")
    mine = {field.name: getattr(config, field.name) for field in fields(cast(Any, config))}
    changes = {name: settings[name] for name, value in mine.items() if name in settings and not is_dataclass(value)}
    for name, group in mine.items():
        if is_dataclass(group) and (inner := flat(group).keys() & settings.keys()):
            changes[name] = changed(cast(Any, group), **{key: settings[key] for key in inner})
    return cast(Config, replace(cast(Any, config), **changes))


def _as_json(value: object) -> Json:
    if isinstance(value, tuple):
        return [_as_json(item) for item in cast("tuple[object, ...]", value)]
    return str(value) if isinstance(value, Path) else cast(Json, value)
