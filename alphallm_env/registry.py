"""Parts by name: registered ones, families of them that take an argument, and any `module:attribute`.

Whatever a user may replace (planner, selection rule, merge rule, critic, problem set, termination rule, reward,
backend, fine-tuner) is chosen through one `Registry`, so that a name means the same on the command line, in
`gym.make` and in Python.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

Part = TypeVar("Part")
_CHANGE = re.compile(r",\s*(?=\w+=)")  # before each key=value


class Registry(Generic[Part]):
    """The parts of one kind, by name.

    `parts` maps names to parts or, where a part needs a library that the others do not, to the `module:attribute`
    that holds it. `families` maps the text before a colon to a function that makes a part from the text after
    it, as in `regex:PATTERN`; an entry may be a `module:attribute` too. `accept` turns what an attribute holds (a part,
    a class, a factory) into a part, and raises TypeError, which says what was expected, where it cannot.
    """

    def __init__(
        self,
        kind: str,
        parts: Mapping[str, Part | str],
        accept: Callable[[object], Part],
        *,
        families: Mapping[str, Callable[[str], Part] | str] | None = None,
    ) -> None:
        self.kind = kind
        self._parts: dict[str, Part | str] = dict(parts)
        self._accept = accept
        self._families: dict[str, Callable[[str], Part] | str] = dict(families or {})

    def __contains__(self, name: object) -> bool:
        return name in self._parts

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    @property
    def choices(self) -> str:
        """The names to choose from, as help and errors show them."""
        return ", ".join((*self._parts, *(f"{family}:…" for family in self._families), "module:attribute"))

    def register(self, name: str, part: Part | str) -> None:
        """Adds a part, or the `module:attribute` that holds one. Raises ValueError for a name that is taken."""
        if name in self._parts or name in self._families:
            raise ValueError(f"expected a new name for a {self.kind}, got {name!r}, which is taken")
        if not name or ":" in name:
            raise ValueError(f"a name of a {self.kind} must not be empty nor hold a colon, got {name!r}")
        self._parts[name] = part

    def resolve(self, name: str) -> Part:
        """Returns the part of that name.

        A module is looked for in the current directory too. Raises ValueError, which lists the names, for an unknown
        name, a module that cannot be imported, and an attribute that is missing or of the wrong kind.
        """
        if name in self._parts:
            part = self._parts[name]
            return self._accept(imported(part)) if isinstance(part, str) else part
        family, colon, argument = name.partition(":")
        if colon and family in self._families:
            make = self._families[family]
            return self._made(imported(make) if isinstance(make, str) else make, argument)
        if not (family and argument):
            raise ValueError(f"{self.kind} must be one of {self.choices}, got {name!r}")
        try:
            return self._accept(imported(name))
        except (ImportError, AttributeError, TypeError) as error:
            raise ValueError(f"{self.kind} must be one of {self.choices}, got {name!r}: {error}") from error

    def _made(self, make: object, argument: str) -> Part:
        if not callable(make):
            raise TypeError(f"expected a function that makes a {self.kind}, got {make!r}")
        return self._accept(make(argument))

    def name_of(self, part: object) -> str | None:
        """Returns the name under which a part is registered, None where it is not."""
        return next((name for name, known in self._parts.items() if known is part or known == part), None)


def split_changes(spec: str) -> tuple[str, list[tuple[str, str]]]:
    """Returns a name and what is changed of what it names, in order, of a text as `NAME,key=value,other=value`.

    >>> split_changes("tiny,orm=my_module:MyORM, prm=none")
    ('tiny', [('orm', 'my_module:MyORM'), ('prm', 'none')])
    """
    name, *changes = _CHANGE.split(spec)
    pairs = [change.partition("=") for change in changes]
    return name, [(key, value) for key, _, value in pairs]


def imported(reference: str) -> object:
    """Returns what `module:attribute` names. The module is looked for in the current directory too.

    Raises ImportError where there is no such module, AttributeError where it does not hold the attribute.

    >>> imported("math:tau") > 6
    True
    """
    module, _, attribute = reference.partition(":")
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())
    found: object = importlib.import_module(module)
    for name in attribute.split("."):
        found = getattr(found, name)
    return found
