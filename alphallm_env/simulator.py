"""What a planner may ask for: options from the policy, transitions, rollouts and critics' scores.

The simulator binds the pure dynamics to the models behind one engine. It holds no episode and no gold
answer. Everything it generates is counted on the current meter (`metering.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from alphallm_env.critics.base import Critic, checked_scores
from alphallm_env.critics.provenance import Provenance, provenance_of
from alphallm_env.errors import CriticError, ModelError, StateError
from alphallm_env.lm.base import (
    Completion,
    Embedder,
    GenerationRequest,
    LanguageModel,
    clear_caches,
    generation,
    is_reproducible,
)
from alphallm_env.lm.prompts import PromptTemplate
from alphallm_env.mdp import dynamics
from alphallm_env.mdp.dynamics import Rules
from alphallm_env.mdp.options import TO_THE_END
from alphallm_env.runtime.engine import Engine
from alphallm_env.runtime.metering import Role, count_generated, count_read
from alphallm_env.runtime.operations import Operation
from alphallm_env.runtime.seeds import derive_seed
from alphallm_env.types import Option, Problem, State, Transition


@dataclass(frozen=True)
class Policy:
    """A language model with the template of its prompts and its sampling temperature."""

    lm: LanguageModel
    template: PromptTemplate
    temperature: float = 1.0

    @cached_property
    def generation(self) -> Operation[GenerationRequest, Completion]:
        """How an engine generates with the model."""
        return generation(self.lm)


@dataclass(frozen=True)
class Critics:
    """The critics at hand; None for those that there are not."""

    value: Critic | None = None
    prm: Critic | None = None
    orm: Critic | None = None

    def require(self, name: str) -> Critic:
        """Returns the critic called value, prm or orm. Raises CriticError if there is none."""
        critics = {"value": self.value, "prm": self.prm, "orm": self.orm}
        if name not in critics:
            raise CriticError(f"critic must be one of {', '.join(critics)}, got {name!r}")
        critic = critics[name]
        if critic is None:
            raise CriticError(f"a critic {name!r} is needed here, and none was given")
        return critic

    def provenance(self) -> dict[str, Provenance]:
        """Returns where the scores of each critic at hand come from: what a run's record keeps of them."""
        critics = {"value": self.value, "prm": self.prm, "orm": self.orm}
        return {name: provenance_of(critic) for name, critic in critics.items() if critic is not None}


@dataclass(frozen=True)
class Simulator:
    """The decision process with the models that act and judge in it."""

    policy: Policy
    critics: Critics = Critics()
    rules: Rules = Rules()
    rollout_policy: Policy | None = None  # the policy itself where None
    engine: Engine = field(default_factory=Engine)

    @property
    def is_reproducible(self) -> bool:
        """Whether the same seeds give the same texts and scores, whatever runs beside a search."""
        models = (self.policy.lm, (self.rollout_policy or self.policy).lm)
        return is_reproducible(*models, self.critics.value, self.critics.prm, self.critics.orm)

    def initial_state(self, problem: Problem) -> State:
        """Returns the state before the first option."""
        return dynamics.initial_state(problem)

    def transition(self, state: State, option: Option) -> Transition:
        """Returns what executing `option` does. Certain and free."""
        return dynamics.transition(state, option, self.rules)

    def clear_cache(self) -> None:
        """Drops what the models remember of earlier texts. Call it while nothing is in flight."""
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
        """Returns options sampled from the policy at a running state.

        Sample i of a state depends on `seed`, the state and `first_index + i` only, so a caller who comes
        back for more passes the number it has. With `to_the_end` an option is the rest of the solution.
        Temperature 0 is greedy. The rollout role asks the rollout model. Raises StateError if the episode
        has ended.
        """
        if state.ending is not None:
            raise StateError(f"expected a running state, got one that has ended: {state.ending.value}")
        policy = (self.rollout_policy or self.policy) if role is Role.ROLLOUT else self.policy
        left = self.rules.max_tokens - state.num_tokens
        text = state.text
        prompt = policy.template.solve(state.question, text)
        # Not the state's digest, which holds log-probabilities: their last bits depend on how a batch was cut.
        path = derive_seed(seed, state.problem_id, state.question, text, state.depth)
        requests = [
            GenerationRequest(
                prompt=prompt,
                seed=derive_seed(path, role.value, int(to_the_end), first_index + index),
                max_tokens=max(1, left if to_the_end else min(left, self.rules.max_option_tokens)),
                rule=TO_THE_END if to_the_end else self.rules.option_rule,
                stop_text=policy.template.stop_text,
                temperature=policy.temperature if temperature is None else temperature,
            )
            for index in range(num_options)
        ]
        completions = await self.engine.submit(policy.generation, requests, role=role)
        count_generated(role, completions)
        return [completion.as_option() for completion in completions]

    async def rollouts(
        self, state: State, num: int, seed: int, *, first_index: int = 0, temperature: float | None = None
    ) -> list[State]:
        """Returns `num` ended states reached from `state` by the rollout model in one long option each."""
        options = await self.propose(
            state,
            num,
            seed,
            first_index=first_index,
            to_the_end=True,
            temperature=temperature,
            role=Role.ROLLOUT,
        )
        return [self.transition(state, option).state for option in options]

    async def score(self, critic: str, states: Sequence[State]) -> list[float]:
        """Returns the scores in [0, 1] of the critic called value, prm or orm, one per state."""
        judge = self.critics.require(critic)
        return checked_scores(await judge.evaluate(states), states, judge.name) if states else []

    @property
    def embedder(self) -> Embedder:
        """The policy's model, which embeds states. Raises ModelError where it does not show its hidden states."""
        if not isinstance(self.policy.lm, Embedder):
            raise ModelError(f"policy {self.policy.lm.name!r} shows no hidden states to embed a state with")
        return self.policy.lm

    async def embed(self, states: Sequence[State]) -> list[NDArray[np.float32]]:
        """Returns what the policy's model makes of each state: float32 [width], each entry in (-1, 1).

        Raises ModelError where it does not show its hidden states.
        """
        prompts = [self.policy.template.solve(state.question, state.text) for state in states]
        embeddings = await self.engine.submit(self.embedder.embed, prompts, role=Role.POLICY)
        count_read(Role.POLICY, embeddings)
        return [embedding.vector for embedding in embeddings]
