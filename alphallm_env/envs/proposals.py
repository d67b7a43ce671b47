"""The options on offer in a state: a few different samples of the policy, with the critics' scores of each."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alphallm_env.runtime.concurrency import gather
from alphallm_env.simulator import Simulator
from alphallm_env.types import Ending, Option, State, StopReason


@dataclass(frozen=True, slots=True, eq=False)
class Proposals:
    """Different options, and for each the PRM's score, the value after it, and whether it ends the episode.

    `embedding` is float32 [width] of the state itself, of width 0 where it is not observed.
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
            found = f"{len(prm)} of the PRM, {len(value)} values and {len(ends)} ends"
            raise ValueError(f"expected scores of {len(options)} options, got {found}")
        return Proposals(options, prm, value, ends, _fixed(np.array(record["embedding"], dtype=np.float32)))


@dataclass(frozen=True, slots=True)
class ProposalRequest:
    """A state to sample and score options for, and the seed of its episode. No options where that has `ended`."""

    state: State
    seed: int
    ended: bool = False


async def propose(
    simulator: Simulator, requests: Sequence[ProposalRequest], num_options: int, *, embeds: bool
) -> list[Proposals]:
    """Returns for each request up to `num_options` options of the policy, a function of its seed and the text so far.

    Each model works on all requests in one batch. Where an episode has ended, only the embedding is computed. An
    option that is a dead end is worth 0, and no critic is asked.
    """
    options = await gather(_different_options(simulator, request, num_options) for request in requests)
    children = [
        [simulator.next_state(request.state, option) for option in offered]
        for request, offered in zip(requests, options, strict=True)
    ]
    judged = [child for each in children for child in each if child.ending is not Ending.DEAD_END]
    # One after the other: where critics share notes, the second reads those of the first from the cache.
    prm = iter(await simulator.score("prm", judged))
    value = iter(await simulator.score("value", judged))
    nothing = [np.zeros(0, dtype=np.float32)] * len(requests)
    embeddings = await simulator.embed([request.state for request in requests]) if embeds else nothing

    def scores(states: Sequence[State], judgements: Iterator[float]) -> tuple[float, ...]:
        return tuple(0.0 if state.ending is Ending.DEAD_END else next(judgements) for state in states)

    return [
        Proposals(
            options=tuple(offered),
            prm=scores(states, prm),
            value=scores(states, value),
            ends=tuple(state.ending is not None for state in states),
            embedding=_fixed(embedding),
        )
        for offered, states, embedding in zip(options, children, embeddings, strict=True)
    ]


async def _different_options(simulator: Simulator, request: ProposalRequest, num_options: int) -> Collection[Option]:
    """Returns up to `num_options` options with different texts: fewer where the policy is nearly deterministic.

    Samples `num_options`, and once more twice as many as are missing where some were equal.
    """
    found: dict[tuple[str, StopReason], Option] = {}
    for first_index, share in ((0, 1), (num_options, 2)):
        missing = 0 if request.ended else num_options - len(found)
        if missing:
            drawn = await simulator.propose(request.state, share * missing, request.seed, first_index=first_index)
            for option in drawn:
                if len(found) < num_options:
                    found.setdefault((option.text, option.stop_reason), option)
    return found.values()


def _fixed(embedding: NDArray[np.float32]) -> NDArray[np.float32]:
    copied = embedding.copy()
    copied.flags.writeable = False
    return copied


NOTHING = Proposals((), (), (), (), _fixed(np.zeros(0, dtype=np.float32)))
