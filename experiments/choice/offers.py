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
class OfferKey:
    """What an offer depends on: the problem, the episode's seed, the text so far and the options it took."""

    problem_id: str
    seed: int
    depth: int
    text: str
    ended: bool

    @staticmethod
    def of(request: ProposalRequest) -> OfferKey:
        """Returns the key of the offer that an environment asks for."""
        state = request.state
        return OfferKey(state.problem_id, request.seed, state.depth, state.text, request.ended)


@dataclass(frozen=True, slots=True)
class Offer:
    """The proposals in a state, and the tokens they cost: proposed, repeats included, and scored by critics."""

    key: OfferKey
    proposals: Proposals
    num_tokens: int

    def to_json(self) -> Json:
        """Returns the offer as JSON, which `from_json` reads back, equal to the last bit."""
        key = self.key
        return [key.problem_id, key.seed, key.depth, key.text, key.ended, self.num_tokens, self.proposals.to_json()]

    @staticmethod
    def from_json(record: Json) -> Offer:
        """Returns the offer that `to_json` wrote."""
        problem_id, seed, depth, text, ended, num_tokens, proposals = cast("list[Any]", record)
        return Offer(OfferKey(problem_id, seed, depth, text, ended), Proposals.from_json(proposals), num_tokens)


class OfferBook:
    """A cache of offers by their keys. With a file they outlive the process: a resumed run finds them again."""

    def __init__(self, path: Path | None = None) -> None:
        self._journal = None if path is None else Journal(path, Offer.to_json, Offer.from_json)
        self._offers = {offer.key: offer for offer in (self._journal.read() if self._journal else ())}

    def __len__(self) -> int:
        return len(self._offers)

    def __contains__(self, key: OfferKey) -> bool:
        return key in self._offers

    def __getitem__(self, key: OfferKey) -> Offer:
        return self._offers[key]

    def add(self, offers: Sequence[Offer]) -> None:
        """Adds offers, on disk too where there is a file."""
        if self._journal:
            self._journal.append(offers)
        self._offers |= {offer.key: offer for offer in offers}


class RecordedChoiceEnv(OptionChoiceEnv):
    """An `OptionChoiceEnv` whose episodes have one of a few seeds, and whose offers are cached in a book.

    With few seeds there are few states, so that an agent visits them again, and the models are asked once. It is
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
        """Returns the tokens that the current offer cost. Raises ResetNeeded before the first reset."""
        return self.book[_key_of(self._current())].num_tokens

    def _initial(self, rng: np.random.Generator, options: dict[str, object] | None) -> ChoiceState:
        choice = super()._initial(rng, options)
        return replace(choice, seed=self.episode_seeds[choice.seed % len(self.episode_seeds)])

    # Cached offers are looked up here, which saves a round trip to the engine's thread.

    def queries_of_step(self, action: ChoiceAction, then_reset: bool = False) -> Sequence[ModelQuery]:
        """Returns what `step(action)` would ask the models, without what is in the book."""
        return self._not_cached(super().queries_of_step(action, then_reset))

    def queries_of_reset(
        self, seed: int | None = None, options: dict[str, object] | None = None
    ) -> Sequence[ModelQuery]:
        """Returns what `reset` would ask the models, without what is in the book."""
        return self._not_cached(super().queries_of_reset(seed, options))

    def _not_cached(self, queries: Sequence[ModelQuery]) -> list[ModelQuery]:
        return [
            query for query in queries if not isinstance(query, ProposalRequest) or OfferKey.of(query) not in self.book
        ]

    def _with_proposals(self, choice: ChoiceState) -> ChoiceState:
        key = _key_of(choice)
        if key in self.book:
            return replace(choice, proposals=self.book[key].proposals)
        return super()._with_proposals(choice)

    async def _offered(self, requests: Sequence[ProposalRequest]) -> list[Proposals]:
        missing = {key: request for request in requests if (key := OfferKey.of(request)) not in self.book}
        if missing:
            self.book.add(await gather(self._charged(request) for request in missing.values()))
        return [self.book[OfferKey.of(request)].proposals for request in requests]

    async def _charged(self, request: ProposalRequest) -> Offer:
        """Returns an offer from the models, on a meter of its own; requests at the same time still share batches."""
        with metering(Meter()) as meter:
            if request.state.depth and not request.ended:
                # An episode pays once for a critic's notes on the question, and did when this state was on offer.
                await self.simulator.score("prm", [request.state])
            paid_before = meter.usage.tokens
            [proposals] = await propose(self.simulator, [request], self.num_options, embeds=self._embedding_size > 0)
        return Offer(OfferKey.of(request), proposals, meter.usage.tokens - paid_before)


def _key_of(choice: ChoiceState) -> OfferKey:
    return OfferKey.of(ProposalRequest(choice.state, choice.seed, ended=choice.ending is not None))
