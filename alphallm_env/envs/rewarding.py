"""Rewards of options taken: a reward function with the critics' scores that it needs, computed once for each state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from alphallm_env.mdp.rewards import Reward, RewardFunction
from alphallm_env.runtime.result_cache import ResultCache
from alphallm_env.simulator import Simulator
from alphallm_env.types import Problem, State


@dataclass(frozen=True, slots=True)
class RewardRequest:
    """A state whose last option to reward, and the scores of the state that critics have given already."""

    state: State
    scores: Mapping[str, float] = field(default_factory=dict[str, float])


class OptionRewards:
    """Computes the reward of an option, by the state after it, and caches it: repeated requests are bit-identical."""

    def __init__(self, function: RewardFunction, problems: Mapping[str, Problem]) -> None:
        self.function = function
        self._problems = problems
        self._cache: ResultCache[State, Reward] = ResultCache()

    def cached(self, state: State) -> Reward | None:
        """Returns the reward of the last option of a state, None where it is not in the cache."""
        return self._cache.get(state)

    def missing(self, request: RewardRequest) -> list[str]:
        """Returns the critics whose scores the request lacks. Raises ValueError where one of them is not declared."""
        asked = self.function.critics_for(request.state)
        if undeclared := set(asked) - set(self.function.critics):
            raise ValueError(f"critics_for must return some of {self.function.critics}, got {sorted(undeclared)}")
        return [critic for critic in asked if critic not in request.scores]

    def compute(self, request: RewardRequest) -> Reward:
        """Returns the reward of a request with all scores that it needs."""
        return self._cache.put(request.state, self._reward(request.state, request.scores))

    async def ask(self, simulator: Simulator, requests: Sequence[RewardRequest]) -> list[Reward]:
        """Returns the rewards in order. Each critic scores all states that it is asked for in one batch."""
        by_state = {request.state: request for request in requests}

        async def judge(states: list[State]) -> list[Reward]:
            return await self._judge(simulator, [by_state[state] for state in states])

        return await self._cache.get_or_compute([request.state for request in requests], judge)

    async def _judge(self, simulator: Simulator, requests: Sequence[RewardRequest]) -> list[Reward]:
        missing = [self.missing(request) for request in requests]
        scores = [dict(request.scores) for request in requests]
        for critic in self.function.critics:  # one by one: the second may read the first's notes from the cache
            asked = [index for index, critics in enumerate(missing) if critic in critics]
            found = await simulator.score(critic, [requests[index].state for index in asked])
            for index, score in zip(asked, found, strict=True):
                scores[index][critic] = score
        return [self._reward(request.state, known) for request, known in zip(requests, scores, strict=True)]

    def _reward(self, state: State, scores: Mapping[str, float]) -> Reward:
        return self.function.reward(state, self._problems[state.problem_id], scores)

    def clear(self) -> None:
        """Empties the cache."""
        self._cache.clear()
