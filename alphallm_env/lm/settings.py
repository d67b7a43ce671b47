"""Settings of a backend as `NAME=VALUE`, the same on the command line, in `gym.make` and in Python."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import TypeVar, cast

import yaml

Value = str | int | float | bool | None | list[object] | dict[str, object]
Made = TypeVar("Made")


def parsed(settings: Sequence[str]) -> dict[str, Value]:
    """Returns the values by name; a value is read as YAML.

    Raises ValueError for what is not NAME=VALUE, and for a name that occurs twice.

    >>> parsed(["attempts=12", "rest=0.5", "enforce_eager=true", "quantization=fp8", "hf_overrides={head_dim: 32}"])
    {'attempts': 12, 'rest': 0.5, 'enforce_eager': True, 'quantization': 'fp8', 'hf_overrides': {'head_dim': 32}}
    """
    values: dict[str, Value] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or not name.isidentifier():
            raise ValueError(f"a backend's setting must be NAME=VALUE, got {setting!r}")
        if name in values:
            raise ValueError(f"a backend's setting must be given once, got {name!r} twice")
        try:
            values[name] = cast(Value, yaml.safe_load(text))
        except yaml.YAMLError as error:
            raise ValueError(f"a backend's setting must be NAME=VALUE with a value in YAML, got {setting!r}") from error
    return values


def check_names(values: Mapping[str, object], known: Iterable[str], owner: str) -> None:
    """Raises ValueError, which lists the known names, where a value has another."""
    names = sorted(known)
    for name in values:
        if name not in names:
            expected = f"one of {', '.join(names)}" if names else "none"
            raise ValueError(f"a setting of {owner} must be {expected}, got {name!r}")


def filled(kind: type[Made], values: Mapping[str, Value], owner: str, without: Sequence[str] = ()) -> Made:
    """Returns a dataclass of numbers with these values, and defaults elsewhere.

    Raises ValueError for an unknown name, for one of `without`, and for a value that is not a number.
    """
    types = {field.name: field.type for field in fields(kind) if field.name not in without}  # type: ignore[arg-type]
    check_names(values, types, owner)
    for name, value in values.items():
        whole = types[name] in (int, "int")
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            raise ValueError(f"{name} of {owner} must be {'an integer' if whole else 'a number'}, got {value!r}")
    return kind(**values)
