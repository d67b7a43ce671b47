"""What an attack is: a program, and what would show that it got out."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

REACHED = "-".join(("GOT", "THROUGH"))  # printed by a program that did what it must not


@dataclass(frozen=True)
class Attack:
    """One hostile program.

    `{canary}` and other names in braces stand for things outside, which `Outside` makes and watches. `reached` is
    an expression that is true, once the program has run without an exception, if it did what it must not: nothing
    need then be seen outside. A program that only `spins` gets little time.
    """

    kind: str
    name: str
    code: str
    reached: str = "False"
    spins: bool = False

    def program(self, places: Mapping[str, str]) -> str:
        """Returns the program, with what is outside named in it."""
        code = textwrap.dedent(self.code).strip("\n")
        for name, place in places.items():
            code = code.replace("{" + name + "}", place)
        first, second = REACHED.split("-")
        return f"{code}\nif {self.reached}:\n    print({first!r} + '-' + {second!r})\n"


def table(kind: str, rows: Mapping[str, str], reached: str = "False", *, spins: bool = False) -> tuple[Attack, ...]:
    """Returns attacks of one kind by their names."""
    return tuple(Attack(kind, name, code, reached, spins) for name, code in rows.items())
