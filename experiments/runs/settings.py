"""Settings of programs: groups that `--help` shows under headings, their flags, and how a run records them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, cast

import tyro
import yaml

from alphallm_env.runtime.files import Json

Config = TypeVar("Config")


def with_flat_flags(kind: type[Config]) -> type[Config]:
    """Marks a class of settings: a field of a group has the flag of its own name, `--policy` for `models.policy`.

    A switch has one flag, which changes it.
    """
    return tyro.conf.configure(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff)(kind)


def settings_of(kind: type[Config], arguments: Sequence[str] | None = None, default: Config | None = None) -> Config:
    """Returns the settings that a command line asks for, this process's own where None.

    `--config FILE` stands for the flags in a YAML file, by their names; those of the command line go before them. A
    wrong flag or `--help` ends the process, as tyro does.
    """
    arguments = with_file(sys.argv[1:] if arguments is None else arguments, kind if default is None else default)
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    prog = f"python -m {spec.name}" if spec is not None else None
    if default is None:
        return tyro.cli(kind, prog=prog, args=arguments)
    return tyro.cli(kind, prog=prog, args=arguments, default=default)


def with_file(arguments: Sequence[str], default: object) -> list[str]:
    """Returns a command line with the settings of the file that `--config` names, before its own flags.

    A setting is written as its flag without the dashes, with a value or a list; a switch is true or false. `default` is
    a class of settings, or settings of one. Raises SystemExit for a file that is none.
    """
    for place, argument in enumerate(arguments):
        flag, equals, value = argument.partition("=")
        if flag == "--config":
            end = place + 1 if equals else place + 2
            name = value if equals else "".join(arguments[place + 1 : end])
            return [*_flags_in(name, default), *arguments[:place], *arguments[end:]]
    return list(arguments)


def _defaults(kind: type) -> dict[str, object]:
    """Returns the settings of a class by the names of their flags, with their defaults, those in groups too."""
    found: dict[str, object] = {}
    for field in fields(kind):
        value = field.default if field.default_factory is MISSING else field.default_factory()
        found |= flat(value) if is_dataclass(value) else {field.name: value}
    return found


def _flags_in(name: str, default: object) -> list[str]:
    try:
        read = cast(object, yaml.safe_load(Path(name).read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SystemExit(f"--config must be a YAML file of settings, got {name!r}: {error}") from error
    if not isinstance(read, dict):
        raise SystemExit(f"--config must be a YAML file of settings by name, got {type(read).__name__} in {name!r}")
    flags: list[str] = []
    known = _defaults(default) if isinstance(default, type) else flat(default)
    for key, value in cast("dict[object, object]", read).items():
        setting = str(key).replace("-", "_")
        if setting not in known:
            raise SystemExit(f"--config {name}: expected a setting among {', '.join(sorted(known))}, got {key!r}")
        flag = setting.replace("_", "-")
        if isinstance(value, bool):
            flags += [] if value == known[setting] else [f"--{flag}" if value else f"--no-{flag}"]
        else:
            values = cast("list[object]", value) if isinstance(value, list) else [value]
            flags += [f"--{flag}", *map(str, values)]
    return flags


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
