"""A Choice environment with its proposals cached on disk, each with the tokens that it cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from alphallm_env.envs.base import ModelQuery
from alphallm_env.envs.choice.env import ChoiceAction, OptionChoiceEnv
from alphallm_env.envs.choice.state import ChoiceState
from alphallm_env.envs.proposals import ProposalRequest, Proposals, propose
from alphallm_env.runtime.concurrency import gather
from alphallm_env.runtime.files import Journal, Json
from alphallm_env.runtime.metering import Meter, metering


@dataclass(frozen=True, slots=True)
class Stop:
    """Where something is offered: a problem, the episode's seed, the text so far and the options it took."""

    problem_id: str
    seed: int
    depth: int
    text: str
    ended: bool

    @staticmethod
    def of(request: ProposalRequest) -> Stop:
        """Returns where an environment asks what is on offer."""
        state = request.state
        return Stop(state.problem_id, request.seed, state.depth, state.text, request.ended)


@dataclass(frozen=True, slots=True)
class Offer:
    """What is on offer, and the tokens that it takes to know: proposed, repeats included, and scored by critics."""

    stop: Stop
    proposals: Proposals
    num_tokens: int

    def to_json(self) -> Json:
        """Returns the offer as JSON, which `from_json` reads back, equal to the last bit."""
        stop = self.stop
        return [stop.problem_id, stop.seed, stop.depth, stop.text, stop.ended, self.num_tokens,
                self.proposals.to_json()]  # fmt: skip

    @staticmethod
    def from_json(record: Json) -> Offer:
        """Returns the offer that `to_json` wrote."""
        problem_id, seed, depth, text, ended, num_tokens, proposals = cast("list[Any]", record)
        return Offer(Stop(problem_id, seed, depth, text, ended), Proposals.from_json(proposals), num_tokens)


class OfferBook:
    """Offers by where they are made. With a file they outlive the process; those of one run are found in the next."""

    def __init__(self, path: Path | None = None) -> None:
        self._journal = None if path is None else Journal(path, Offer.to_json, Offer.from_json)
        self._offers = {offer.stop: offer for offer in (self._journal.read() if self._journal else ())}

    def __len__(self) -> int:
        return len(self._offers)

    def __contains__(self, stop: Stop) -> bool:
        return stop in self._offers

    def __getitem__(self, stop: Stop) -> Offer:
        return self._offers[stop]

    def add(self, offers: Sequence[Offer]) -> None:
        """Keeps offers, on disk where there is a file."""
        if self._journal:
            self._journal.append(offers)
        self._offers |= {offer.stop: offer for offer in offers}


class RecordedChoiceEnv(OptionChoiceEnv):
    """An `OptionChoiceEnv` whose episodes have one of a few seeds, and whose offers are written down in a book.

    With few seeds there are few states, so that an agent comes back to them, and the models are asked once. It is
    the same decision process: what is on offer is what `OptionChoiceEnv` offers under that seed. Copies share the book.
    """

    def __init__(
        self,
        problems: str,
        split: str,
        limit: int,
        *,
        book: OfferBook,
        episode_seeds: Sequence[int] = (0,),
        **arguments: Any,
    ) -> None:
        self.book = book
        self.episode_seeds = tuple(episode_seeds)
        super().__init__(problems, split, limit, **arguments)

    def with_seed(self, seed: int) -> RecordedChoiceEnv:
        """Returns a copy whose episodes all have this seed."""
        env: RecordedChoiceEnv = self.__deepcopy__({})
        env.episode_seeds = (seed,)
        return env

    def num_tokens_here(self) -> int:
        """Returns the tokens that it took to know what is on offer now. Raises ResetNeeded before the first reset."""
        return self.book[_stop(self._current())].num_tokens

    def _initial(self, rng: np.random.Generator, options: dict[str, object] | None) -> ChoiceState:
        place = super()._initial(rng, options)
        return replace(place, seed=self.episode_seeds[place.seed % len(self.episode_seeds)])

    # What is in the book is looked up here, and does not go to the engine's thread and back.

    def queries_of_step(self, action: ChoiceAction, then_reset: bool = False) -> Sequence[ModelQuery]:
        """Returns what `step(action)` would ask the models that is not in the book."""
        return self._unknown(super().queries_of_step(action, then_reset))

    def queries_of_reset(
        self, seed: int | None = None, options: dict[str, object] | None = None
    ) -> Sequence[ModelQuery]:
        """Returns what `reset` would ask the models that is not in the book."""
        return self._unknown(super().queries_of_reset(seed, options))

    def _unknown(self, questions: Sequence[ModelQuery]) -> list[ModelQuery]:
        return [
            asked for asked in questions if not isinstance(asked, ProposalRequest) or Stop.of(asked) not in self.book
        ]

    def _with_proposals(self, choice: ChoiceState) -> ChoiceState:
        stop = _stop(choice)
        return (
            replace(choice, proposals=self.book[stop].proposals)
            if stop in self.book
            else super()._with_proposals(choice)
        )

    async def _offered(self, requests: Sequence[ProposalRequest]) -> list[Proposals]:
        missing = {stop: request for request in requests if (stop := Stop.of(request)) not in self.book}
        if missing:
            self.book.add(await gather(self._charged(request) for request in missing.values()))
        return [self.book[Stop.of(request)].proposals for request in requests]

    async def _charged(self, request: ProposalRequest) -> Offer:
        """Asks the models, on a meter of its own; they still work on all questions in common batches."""
        with metering(Meter()) as meter:
            if request.state.depth and not request.ended:
                # An episode pays once for a critic's notes on the question, and did when this state was on offer.
                await self.simulator.score("prm", [request.state])
            paid_before = meter.usage.tokens
            [proposals] = await propose(self.simulator, [request], self.num_options, embeds=self._embedding_size > 0)
        return Offer(Stop.of(request), proposals, meter.usage.tokens - paid_before)


def _stop(place: ChoiceState) -> Stop:
    return Stop.of(ProposalRequest(place.state, place.seed, ended=place.ending is not None))
