"""The state of an episode of a Choice environment: the solution so far, and the options on offer."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from alphallm_env.envs.proposals import Proposals
from alphallm_env.errors import StateError
from alphallm_env.types import Ending, State


@dataclass(frozen=True, slots=True)
class ChoiceState:
    """The snapshot that a Choice environment's `clone_state` returns: immutable, and all that changes in an episode.

    `seed` is the episode's: the options on offer in a state are a function of it and of the text so far. `ending`
    is also set where invalid actions ended the episode. What counts against the budgets is part of it: tokens,
    options and invalid actions.
    """

    state: State
    seed: int
    proposals: Proposals = field(compare=False, repr=False)  # a function of the other fields
    num_invalid: int = 0
    ending: Ending | None = None

    @property
    def num_steps(self) -> int:
        """Options taken and invalid actions: what counts against `max_options`."""
        return self.state.depth + self.num_invalid

    @property
    def ended_state(self) -> State:
        """The solution with the ending of the episode, which invalid actions may have ended earlier."""
        state = self.state
        if state.ending is self.ending or state.parent is None or state.option is None:
            return state
        return state.parent.child(state.option, self.ending)

    def to_bytes(self) -> bytes:
        """Returns the snapshot as UTF-8 JSON, which `from_bytes` reads in any process."""
        state = self.state.to_bytes().decode("utf-8", "surrogatepass")
        ending = self.ending.value if self.ending else None
        record = [state, self.seed, self.num_invalid, ending, self.proposals.to_json()]
        return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")

    @staticmethod
    def from_bytes(data: bytes) -> ChoiceState:
        """Returns the snapshot that `to_bytes` wrote. Raises StateError if the bytes are not one."""
        try:
            state, seed, num_invalid, ending, proposals = json.loads(data.decode("utf-8", "surrogatepass"))
            return ChoiceState(
                State.from_bytes(str(state).encode("utf-8", "surrogatepass")),
                int(seed),
                Proposals.from_json(proposals),
                int(num_invalid),
                Ending(ending) if ending else None,
            )
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise StateError(f"expected the bytes of a ChoiceState, got {data[:40]!r}: {error}") from error
