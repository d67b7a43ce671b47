"""Rewards of options taken: a reward function with the critics' scores that it needs, computed once for each state."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from alphallm_env.mdp.dynamics import Rules
from alphallm_env.mdp.options import discount
from alphallm_env.mdp.rewards import Reward, RewardFunction, gain, pays_gains
from alphallm_env.runtime.result_cache import ResultCache
from alphallm_env.simulator import Simulator
from alphallm_env.types import Problem, State


@dataclass(frozen=True, slots=True)
class RewardRequest:
    """A state whose last option to reward, and the scores of the state that critics have given already."""

    state: State
    scores: Mapping[str, float] = field(default_factory=dict[str, float])


class OptionRewards:
    """Computes the reward of an option, by the state after it, and caches it: repeated requests are bit-identical.

    What a reward function says of a state is cached. Where options earn gains, that is the state's worth, and the
    state before is asked about too where it is not in the cache, as after `restore_state`.
    """

    def __init__(self, function: RewardFunction, problems: Mapping[str, Problem], rules: Rules) -> None:
        self.function = function
        self._problems = problems
        self._rules = rules
        self._pays_gains = pays_gains(function)
        self._cache: ResultCache[State, Reward] = ResultCache()

    def cached(self, state: State) -> Reward | None:
        """Returns the reward of the last option of a state, None where it is not in the cache."""
        worths = {needed: self._cache.get(needed) for needed in self._needed(state)}
        known = {needed: worth for needed, worth in worths.items() if worth is not None}
        return self._paid(state, known) if len(known) == len(worths) else None

    def missing(self, request: RewardRequest) -> list[str]:
        """Returns the critics whose scores the request lacks. Raises ValueError where one of them is not declared."""
        missing = self._missing(request)
        for before in self._needed(request.state)[:-1]:
            if self._cache.get(before) is None:
                missing += self._missing(RewardRequest(before))
        return missing

    def compute(self, request: RewardRequest) -> Reward:
        """Returns the reward of a request with all scores that it needs."""
        worths: dict[State, Reward] = {}
        for state in self._needed(request.state):
            scores = request.scores if state is request.state else {}
            cached = self._cache.get(state)
            worths[state] = self._cache.put(state, self._judged(state, scores)) if cached is None else cached
        return self._paid(request.state, worths)

    async def ask(self, simulator: Simulator, requests: Sequence[RewardRequest]) -> list[Reward]:
        """Returns the rewards in order. Each critic scores all states that it is asked for in one batch."""
        by_state = {request.state: request for request in requests}
        needed = list(dict.fromkeys(state for request in requests for state in self._needed(request.state)))

        found = await self._cache.get_or_compute(needed, self._judge_states(simulator, by_state))
        worths = dict(zip(needed, found, strict=True))
        return [self._paid(request.state, worths) for request in requests]

    async def ask_to_stop(self, simulator: Simulator, state: State) -> Reward:
        """Returns the reward of stopping at a running state without an option: it pays back what that was worth."""
        if not self.has_worth(state):
            return Reward()
        [worth] = await self._cache.get_or_compute([state], self._judge_states(simulator, {}))
        return Reward(before=-worth.total)

    def has_worth(self, state: State) -> bool:
        """Returns whether options earn gains, and some were earned up to `state`."""
        return self._pays_gains and state.option is not None

    def _needed(self, state: State) -> list[State]:
        """Returns the states that the reward of the last option of `state` depends on, itself the last."""
        before = state.parent
        return [state] if before is None or not self.has_worth(before) else [before, state]

    def _paid(self, state: State, worths: Mapping[State, Reward]) -> Reward:
        after = worths[state]
        if not self._pays_gains or state.option is None or state.parent is None:
            return after
        before = worths.get(state.parent, Reward())  # the initial state has no worth
        return gain(before, after, discount(state.option, self._rules.gamma, self._rules.discount_per_token))

    def _missing(self, request: RewardRequest) -> list[str]:
        asked = self.function.critics_for(request.state)
        if undeclared := set(asked) - set(self.function.critics):
            raise ValueError(f"critics_for must return some of {self.function.critics}, got {sorted(undeclared)}")
        return [critic for critic in asked if critic not in request.scores]

    def _judge_states(
        self, simulator: Simulator, requests: Mapping[State, RewardRequest]
    ) -> Callable[[list[State]], Awaitable[list[Reward]]]:
        """Returns what judges states, with the scores that their requests hold, if any."""
        return lambda states: self._judge(simulator, [requests.get(state, RewardRequest(state)) for state in states])

    async def _judge(self, simulator: Simulator, requests: Sequence[RewardRequest]) -> list[Reward]:
        missing = [self._missing(request) for request in requests]
        scores = [dict(request.scores) for request in requests]
        for critic in self.function.critics:  # one by one: the second may read the first's notes from the cache
            asked = [index for index, critics in enumerate(missing) if critic in critics]
            found = await simulator.score(critic, [requests[index].state for index in asked])
            for index, score in zip(asked, found, strict=True):
                scores[index][critic] = score
        return [self._judged(request.state, known) for request, known in zip(requests, scores, strict=True)]

    def _judged(self, state: State, scores: Mapping[str, float]) -> Reward:
        return self.function.reward(state, self._problems[state.problem_id], scores)

    def clear(self) -> None:
        """Empties the cache."""
        self._cache.clear()
