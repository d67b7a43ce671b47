"""Registries of rules: functions, or classes whose instances can be called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar, cast

from alphallm_env.registry import Registry

Rule = TypeVar("Rule")


def registry_of_rules(
    kind: str,
    rules: Mapping[str, Rule],
    expected: str,
    families: Mapping[str, Callable[[str], Rule]] | None = None,
) -> Registry[Rule]:
    """Returns a registry whose `module:attribute` may be a rule, or a class that makes one without arguments.

    `expected` says in an error what a rule of this kind is.
    """

    def accept(found: object) -> Rule:
        rule = found() if isinstance(found, type) else found
        if not callable(rule):
            raise TypeError(f"expected {expected}, got {rule!r}")
        return cast(Rule, rule)

    return Registry(kind, rules, accept, families=families)
