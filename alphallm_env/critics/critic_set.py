"""The critics that a simulator has: a value function, a PRM and an ORM, each of which may be missing."""

from __future__ import annotations

from dataclasses import dataclass

from alphallm_env.critics.base import Critic
from alphallm_env.critics.provenance import Provenance, provenance_of
from alphallm_env.errors import CriticError

CRITIC_NAMES = ("value", "prm", "orm")


@dataclass(frozen=True)
class Critics:
    """A value function, a PRM and an ORM; None for one that is missing."""

    value: Critic | None = None
    prm: Critic | None = None
    orm: Critic | None = None

    def by_name(self) -> dict[str, Critic]:
        """Returns the critics that are there, under the names value, prm and orm."""
        critics = {"value": self.value, "prm": self.prm, "orm": self.orm}
        return {name: critic for name, critic in critics.items() if critic is not None}

    def require(self, name: str) -> Critic:
        """Returns the critic called value, prm or orm. Raises CriticError if it is missing."""
        if name not in CRITIC_NAMES:
            raise CriticError(f"critic must be one of {', '.join(CRITIC_NAMES)}, got {name!r}")
        critic = self.by_name().get(name)
        if critic is None:
            raise CriticError(f"a critic {name!r} is needed here, and none was given")
        return critic

    def provenance(self) -> dict[str, Provenance]:
        """Returns where the scores of each critic come from, by name: what the record of a run keeps of them."""
        return {name: provenance_of(critic) for name, critic in self.by_name().items()}
