"""What a policy offers in a state: a few options that differ, with what the critics make of each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from alphallm_env.simulator import Simulator
from alphallm_env.types import Ending, Option, State, StopReason

ROUNDS = 3  # of sampling; each asks for as many options as are still missing


@dataclass(frozen=True, slots=True, eq=False)
class Proposals:
    """The options on offer, none twice, and by option the PRM's score, the value after it, whether it ends all.

    `embedding` is float32 [width] of the state itself, of width 0 where nobody asked for it.
    """

    options: tuple[Option, ...]
    prm: tuple[float, ...]
    value: tuple[float, ...]
    ends: tuple[bool, ...]
    embedding: NDArray[np.float32]

    def to_json(self) -> str:
        """Returns JSON that `from_json` reads back, equal to the last bit."""
        options = [[o.text, o.num_tokens, o.log_prob, o.stop_reason.value] for o in self.options]
        return json.dumps(
            {"options": options, "prm": self.prm, "value": self.value, "ends": self.ends,
             "embedding": self.embedding.tolist()},
            separators=(",", ":"), ensure_ascii=False,
        )  # fmt: skip

    @staticmethod
    def from_json(text: str) -> Proposals:
        """Returns the proposals that `to_json` wrote. Raises ValueError, KeyError or TypeError for other text."""
        record = json.loads(text)
        options = tuple(
            Option(str(words), int(num_tokens), None if log_prob is None else float(log_prob), StopReason(stop_reason))
            for words, num_tokens, log_prob, stop_reason in record["options"]
        )
        prm, value = tuple(map(float, record["prm"])), tuple(map(float, record["value"]))
        ends = tuple(map(bool, record["ends"]))
        if not len(options) == len(prm) == len(value) == len(ends):
            raise ValueError(f"expected a score of each of {len(options)} options")
        return Proposals(options, prm, value, ends, _fixed(np.array(record["embedding"], dtype=np.float32)))


async def propose(
    simulator: Simulator, state: State, seed: int, num_options: int, *, embeds: bool, ended: bool
) -> Proposals:
    """Returns up to `num_options` options of the policy in `state`: a function of the seed and the text so far.

    Where the episode has ended there are none, and only the embedding is asked for.
    """
    options = () if ended else await _different_options(simulator, state, seed, num_options)
    children = [simulator.transition(state, option).state for option in options]
    worth = [child for child in children if child.ending is not Ending.DEAD_END]  # that is 0 and nobody is asked
    # One after the other: the critics may share notes, and the second finds those of the first.
    prm = await simulator.score("prm", worth)
    value = await simulator.score("value", worth)
    [embedding] = await simulator.embed([state]) if embeds else [np.zeros(0, dtype=np.float32)]
    scores = {id(child): pair for child, pair in zip(worth, zip(prm, value, strict=True), strict=True)}
    pairs = [scores.get(id(child), (0.0, 0.0)) for child in children]
    return Proposals(
        options=options,
        prm=tuple(pair[0] for pair in pairs),
        value=tuple(pair[1] for pair in pairs),
        ends=tuple(child.ending is not None for child in children),
        embedding=_fixed(embedding),
    )


async def _different_options(simulator: Simulator, state: State, seed: int, num_options: int) -> tuple[Option, ...]:
    """Returns options with different texts, fewer than asked for where the policy is that sure."""
    found: dict[tuple[str, StopReason], Option] = {}
    num_drawn = 0
    for _ in range(ROUNDS):
        missing = num_options - len(found)
        if missing == 0:
            break
        for option in await simulator.propose(state, missing, seed, first_index=num_drawn):
            found.setdefault((option.text, option.stop_reason), option)
        num_drawn += missing
    return tuple(found.values())


def _fixed(embedding: NDArray[np.float32]) -> NDArray[np.float32]:
    copied = cast("NDArray[np.float32]", embedding.copy())
    copied.flags.writeable = False
    return copied
