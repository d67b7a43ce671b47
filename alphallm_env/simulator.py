"""The environment model that planners search with: options of the policy, transitions, rollouts, scores.

The simulator binds the pure dynamics to the models behind one engine. It has no episode state and no gold answer. The
work of its models is counted on the current meter (`runtime/metering.py`).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from alphallm_env.critics.base import Critics, checked_scores, last_option
from alphallm_env.critics.calculations import calculations
from alphallm_env.errors import ModelError, StateError
from alphallm_env.grading.extraction.thinking import opening_at_end
from alphallm_env.lm.base import Embedder, GenerationRequest, clear_caches, is_reproducible
from alphallm_env.lm.policy import Policy
from alphallm_env.mdp import dynamics
from alphallm_env.mdp.dynamics import Rules
from alphallm_env.mdp.options import TO_THE_END, rule_after
from alphallm_env.problems.verifiers import is_legal, position_of
from alphallm_env.runtime.counting import count_generated, count_read
from alphallm_env.runtime.engine import Engine
from alphallm_env.runtime.metering import Role
from alphallm_env.runtime.seeds import derive_seed, derive_seeds
from alphallm_env.types import Option, Problem, State, Transition


@dataclass(frozen=True)
class Simulator:
    """The decision process with the policy that acts in it, the critics that score it, and the engine that batches."""

    policy: Policy
    critics: Critics = field(default_factory=Critics)
    rules: Rules = Rules()
    rollout_policy: Policy | None = None  # the policy itself where None
    engine: Engine = field(default_factory=Engine)

    @property
    def is_reproducible(self) -> bool:
        """Whether the same seeds give the same texts and scores, whatever else runs on the engine."""
        models = (self.policy.lm, (self.rollout_policy or self.policy).lm)
        return is_reproducible(*models, self.critics.value, self.critics.prm, self.critics.orm)

    def initial_state(self, problem: Problem) -> State:
        """Returns the state before the first option."""
        return dynamics.initial_state(problem)

    def transition(self, state: State, option: Option) -> Transition:
        """Returns the transition of executing `option`: deterministic, without a model."""
        return dynamics.transition(state, option, self.rules)

    def next_state(self, state: State, option: Option) -> State:
        """Returns the state of `transition`."""
        return dynamics.next_state(state, option, self.rules)

    def is_legal(self, state: State) -> bool | None:
        """Returns whether every line of a state is legal, as the problem's verifier reads it; None without one.

        It costs nothing and knows nothing but question and lines: any planner may ask. An unfinished line counts as it
        stands.
        """
        return is_legal(state)

    def position(self, state: State) -> Hashable | None:
        """Returns what is left to do at a running state: what completes a state completes all at its position.

        The problem's verifier tells, free of cost; None where it does not, and where the episode has ended.
        """
        return position_of(state)

    def is_sound(self, state: State) -> bool | None:
        """Returns whether a state's last step holds up where rules alone can tell; None where they cannot.

        The problem's verifier tells, as `is_legal`; without one, the calculations that the step states, all of which
        must be right. It costs no token: planners ask before they ask a critic.
        """
        if state.verifier or not state.depth:
            return self.is_legal(state)
        stated = calculations(last_option(state)[1].text)
        return all(calculation.is_right for calculation in stated) if stated else None

    def clear_cache(self) -> None:
        """Empties the caches of all models. Call it while nothing is in flight."""
        clear_caches(self.policy.lm, self.critics.value, self.critics.prm, self.critics.orm)
        if self.rollout_policy is not None:
            clear_caches(self.rollout_policy.lm)

    async def propose(
        self,
        state: State,
        num_options: int,
        seed: int,
        *,
        first_index: int = 0,
        to_the_end: bool = False,
        temperature: float | None = None,
        role: Role = Role.POLICY,
    ) -> list[Option]:
        """Returns `num_options` options sampled from the policy at a running state, in one batch.

        Sample i is a function of `seed`, the state and `first_index + i`: to sample more later, pass the number of
        samples so far as `first_index`. With `to_the_end` an option is the rest of the solution. `temperature` defaults
        to the policy's, and 0 is greedy. With `Role.ROLLOUT` the rollout policy samples. Raises
        StateError if the episode has ended.
        """
        requests = self._requests(state, num_options, seed, first_index, to_the_end, temperature, role)
        return self._begun(state, await self._options(requests, role), role)

    def _begun(self, state: State, options: list[Option], role: Role) -> list[Option]:
        """Returns options of one state; of an initial one with the thinking part's mark that its prompt opened."""
        opening = self._opening(state, role)
        return [replace(option, text=opening + option.text) for option in options] if opening else options

    def _opening(self, state: State, role: Role) -> str:
        """Returns the mark of a thinking part that the policy's prompt opens at an initial state, else ""."""
        return "" if state.depth else opening_at_end(self._policy_of(role).template.solve(state.question, ""))

    def _policy_of(self, role: Role) -> Policy:
        return (self.rollout_policy or self.policy) if role is Role.ROLLOUT else self.policy

    def _requests(
        self,
        state: State,
        num_options: int,
        seed: int,
        first_index: int,
        to_the_end: bool,
        temperature: float | None,
        role: Role,
    ) -> list[GenerationRequest]:
        """Returns what to ask the policy of `role` for options at a running state."""
        if state.ending is not None:
            raise StateError(f"expected a running state, got one that has ended: {state.ending.value}")
        policy = self._policy_of(role)
        left = self.rules.max_tokens - state.num_tokens
        text = state.text
        prompt = policy.template.solve(state.question, text)
        # Not derived from the state's digest, which covers log-probabilities: their last bits depend on the batch.
        path = derive_seed(seed, state.problem_id, state.question, text, state.depth)
        seeds = derive_seeds(path, role.value, int(to_the_end), indices=range(first_index, first_index + num_options))
        max_tokens = max(1, left if to_the_end else min(left, self.rules.max_option_tokens))
        rule = TO_THE_END if to_the_end else rule_after(self.rules.option_rule, text or self._opening(state, role))
        warmth = policy.temperature if temperature is None else temperature
        stop_text = policy.template.stop_text
        return [GenerationRequest(prompt, own, max_tokens, rule, warmth, stop_text) for own in seeds]

    async def _options(self, requests: Sequence[GenerationRequest], role: Role) -> list[Option]:
        """Returns what the policy of `role` writes, in one batch."""
        policy = self._policy_of(role)
        completions = await self.engine.submit(policy.generation, requests, role=role)
        count_generated(role, policy.lm, requests, completions)
        return [completion.as_option() for completion in completions]

    async def rollouts(
        self, state: State, num: int, seed: int, *, first_index: int = 0, temperature: float | None = None
    ) -> list[State]:
        """Returns `num` ended states: the rollout policy completes the solution, as one option each."""
        requests = self._requests(state, num, seed, first_index, True, temperature, Role.ROLLOUT)
        return self._rolled_out(state, await self._options(requests, Role.ROLLOUT))

    def _rolled_out(self, state: State, options: list[Option]) -> list[State]:
        return [self.next_state(state, option) for option in self._begun(state, options, Role.ROLLOUT)]

    async def rollouts_of_each(
        self, states: Sequence[State], num: int, seeds: Sequence[int], *, temperature: float | None = None
    ) -> list[list[State]]:
        """Returns what `rollouts` returns for each state with its seed, in one batch."""
        requests = [
            request
            for state, seed in zip(states, seeds, strict=True)
            for request in self._requests(state, num, seed, 0, True, temperature, Role.ROLLOUT)
        ]
        options = await self._options(requests, Role.ROLLOUT)
        return [self._rolled_out(state, options[place * num : (place + 1) * num]) for place, state in enumerate(states)]

    async def score(self, critic: str, states: Sequence[State]) -> list[float]:
        """Returns a score in [0, 1] per state, in order, from the critic called value, prm or orm.

        Raises CriticError for another name, a critic that is missing, and scores that are missing or out of range.
        """
        judge = self.critics.require(critic)
        return checked_scores(await judge.evaluate(states), states, judge.name) if states else []

    @property
    def embedder(self) -> Embedder:
        """The policy's model as an `Embedder`. Raises ModelError where it exposes no hidden states."""
        if not isinstance(self.policy.lm, Embedder):
            raise ModelError(f"policy {self.policy.lm.name!r} shows no hidden states to embed a state with")
        return self.policy.lm

    async def embed(self, states: Sequence[State]) -> list[NDArray[np.float32]]:
        """Returns an embedding of each state by the policy's model: float32 [width], each entry in (-1, 1).

        Raises ModelError where it exposes no hidden states.
        """
        prompts = [self.policy.template.solve(state.question, state.text) for state in states]
        embeddings = await self.engine.submit(self.embedder.embed, prompts, role=Role.POLICY)
        count_read(Role.POLICY, self.policy.lm, prompts, embeddings)
        return [embedding.vector for embedding in embeddings]
