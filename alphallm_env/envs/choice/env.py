"""OptionChoiceEnv: the policy proposes a few options, an agent picks one, and sees numbers only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Self, SupportsIndex

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from alphallm_env.envs.base import BaseReasoningEnv, Info, ModelQuery
from alphallm_env.envs.choice.config import ChoiceConfig
from alphallm_env.envs.choice.features import Features, feature_space, features
from alphallm_env.envs.choice.masks import InvalidAction, action_mask
from alphallm_env.envs.choice.state import ChoiceState
from alphallm_env.envs.config import Value, keywords_of
from alphallm_env.envs.proposals import NOTHING, ProposalRequest, Proposals, propose
from alphallm_env.envs.rendering import render_image, render_text
from alphallm_env.envs.rewarding import RewardRequest
from alphallm_env.errors import ModelError, StateError
from alphallm_env.mdp import dynamics
from alphallm_env.mdp.rewards import Reward
from alphallm_env.runtime.result_cache import ResultCache
from alphallm_env.simulator import Simulator
from alphallm_env.types import Ending, Problem, State

_SEEDS = 2**62

ChoiceAction = int | np.int64


class OptionChoiceEnv(BaseReasoningEnv[Features, np.int64, ChoiceState]):
    """Solve a mathematical word problem by choosing, again and again, one of a few options of a policy.

    ## Description
    In every state the policy, a language model, proposes up to `num_options` different options. The agent takes
    one; it is appended to the solution, and the policy proposes again. Critics score each option, so an agent that
    learns from numbers can act here. It is the process of `MathReasoningEnv` with a finite choice in place of text.

    ## Action Space
    `Discrete(num_options)`: which of the options on offer to take. They come in the order in which they were drawn.
    Where the policy did not find as many different ones, the last actions are invalid; masks say so. An invalid
    action, by `invalid_action`:
    - `"penalty"`: the solution stays as it is, and the reward is `-invalid_penalty`;
    - `"noop"`: the same for a reward of 0;
    - `"terminate"`: the episode terminates with a reward of `-invalid_penalty`;
    - `"raise"`: `step` raises ValueError, and the state does not change.

    Each counts against `max_options`. Anything else than an integer of the space raises ValueError.

    ## Observation Space
    A `Dict` of vectors, k = `num_options`; what belongs to an action that is not on offer is 0:

    | key | shape, range | what |
    |---|---|---|
    | `action_mask` | k, {0, 1} | the actions on offer; all 1 once the episode has ended |
    | `log_prob` | k, [-3, 0] | the option's log-probability under the policy, in tens of nats, cut at -30 nats |
    | `length` | k, [0, 1] | its tokens, of `max_option_tokens` |
    | `prm` | k, [0, 1] | the PRM's score of it |
    | `value` | k, [0, 1] | the value function's estimate of the state after it |
    | `ends` | k, {0, 1} | whether the episode ends with it |
    | `depth` | 1, [0, 1] | steps taken, of `max_options` |
    | `budget_left` | 1, [0, 1] | tokens left in the solution, of `max_tokens` |
    | `embedding` | hidden size, [-1, 1] | tanh(h / rms(h)); h is the policy's last hidden state at the last token |

    An option that closes the text without an answer has 0 for `prm` and `value`, and no critic is asked.
    `gymnasium.wrappers.FlattenObservation` makes one vector of it.

    ## Starting State
    A question drawn uniformly from the problems, or the one of `reset(options={"problem_id": …})`, and a seed
    for the episode's proposals. Both come from the environment's generator, so that `reset(seed=…)` fixes them.
    What is on offer in a state is a function of that seed, the question and the text so far.

    ## Rewards
    - `reward="potential"` (the default): what the option adds to the worth of the solution, γ^τ · worth(s') − worth(s).
      A running solution is worth the PRM's score of its last option, an answered one the ORM's score; the start, and an
      episode that ended without an answer, are worth 0. So the discounted return is γ^T times the ORM's score of the
      solution, or 0: repeated lines are not paid, nor are options cut otherwise.
    - `reward="critics"`: AlphaLLM's, and that of v0: the PRM's score of the option at each step that does not
      terminate; at the step that answers, the ORM's score of the whole solution. A dead end gives 0. The sum grows
      with the number of options.
    - `reward="verifier"`: 1 at the step that answers if the answer is graded correct, else 0.
    - `reward="module:attribute"`: a `RewardFunction` of your own (`alphallm_env.mdp.rewards`).

    ## Episode End
    Terminated: the solution states its final answer, its text is closed without one, or an invalid action was
    taken under `invalid_action="terminate"`. Truncated: `max_tokens` or `max_options` is used up.

    ## Information
    The keys of `MathReasoningEnv`, and `action_mask` (int8), `invalid_action` (whether the step's was one),
    `option` (the text of the option that was taken, empty where none was) and `text` (the question and the solution
    so far). `ending` may also be `invalid_action`. Never the gold answer.

    ## Arguments
    - `num_options`: how many options the policy proposes in each state.
    - `invalid_action`, `invalid_penalty`: see Action Space.
    - `embedding`: whether the state's embedding is observed. The models of a server do not show their hidden states.
    - The others are those of `MathReasoningEnv`. The models are loaded at once, as the space depends on them;
      critics must have a PRM and a value function, and an ORM where they reward.

    ## Version History
    - v1: `reward="potential"` is the default.
    - v0: first version, with `reward="critics"`.
    """

    @keywords_of(ChoiceConfig)
    def __init__(self, config: ChoiceConfig) -> None:
        """Makes an environment by names; the class's docstring explains the keywords under Arguments."""
        self._assemble(config)

    @classmethod
    def from_parts(cls, simulator: Simulator, problems: Sequence[Problem], **keywords: Value) -> Self:
        """Returns an environment over given models and problems; its rules are the simulator's.

        `keywords` may be `reward`, `render_mode`, and those that `MathReasoningEnv` does not have.
        """
        env = cls.__new__(cls)
        env._assemble(ChoiceConfig.for_parts(keywords), simulator, problems)
        return env

    def _assemble(
        self, config: ChoiceConfig, simulator: Simulator | None = None, problems: Sequence[Problem] | None = None
    ) -> None:
        self.num_options = config.num_options
        self.invalid_action: InvalidAction = config.invalid_action
        self.invalid_penalty = config.invalid_penalty
        super().__init__(config, simulator, problems)
        for name in ("prm", "value", *self.reward_function.critics):
            self.simulator.critics.require(name)
        self._embedding_size = self._width() if config.embedding else 0
        self._offers: ResultCache[ProposalRequest, Proposals] = ResultCache()
        self.action_space = spaces.Discrete(self.num_options)
        self.observation_space = feature_space(self.num_options, self._embedding_size)

    def _width(self) -> int:
        try:
            return self.simulator.embedder.embedding_size
        except ModelError as error:
            raise ModelError(f"{error}: pass embedding=False") from error

    @property
    def proposals(self) -> Proposals:
        """The options on offer in the current state, with their scores."""
        return self._current().proposals

    def action_masks(self) -> NDArray[np.bool_]:
        """Returns bool [num_options], True for the actions on offer: what MaskablePPO asks for."""
        return self._mask(self._current()).astype(np.bool_)

    def _mask(self, choice: ChoiceState) -> NDArray[np.int8]:
        return action_mask(len(choice.proposals.options), self.num_options)

    def reset(self, *, seed: int | None = None, options: dict[str, object] | None = None) -> tuple[Features, Info]:
        """Starts an episode. Raises ProblemError for an unknown `problem_id`.

        If a model fails the state and the generator stay as they were.
        """
        super().reset(seed=seed)
        choice = self._with_proposals(self._peek(None, lambda rng: self._initial(rng, options)))
        self._initial(self.np_random, options)  # draws the same
        self._state = choice
        self._show()
        return self._observation(choice), self._choice_info(choice, Reward(), 1.0, option="", invalid=False)

    def step(self, action: ChoiceAction) -> tuple[Features, float, bool, bool, Info]:
        """Takes one of the options on offer. Raises ValueError outside the space, StateError after the end.

        If a model fails the state stays as it was, so that the step can be repeated.
        """
        before = self._current()
        chosen = self._chosen(before, action)
        after = self._after(before, chosen)
        reward = (
            self._refusal(after) if chosen is None else self._rewarded(after.ended_state, _scores_of(before, chosen))
        )
        after = after if chosen is None else self._with_proposals(after)
        option = "" if chosen is None else before.proposals.options[chosen].text
        terminated = after.ending is not None and after.ending.terminates
        truncated = after.ending is not None and after.ending.truncates
        discount = self._discount(before, after)
        info = self._choice_info(after, reward, discount, option=option, invalid=chosen is None)
        self._state = after
        self._show()
        return self._observation(after), reward.total, terminated, truncated, info

    def _chosen(self, choice: ChoiceState, action: ChoiceAction) -> int | None:
        """Returns the index of the option that an action takes, None for an invalid one."""
        self._running_state()
        if not isinstance(action, SupportsIndex) or action not in self.action_space:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"action must be in {self.action_space}, got {action!r}")
        index, num_offered = int(action), len(choice.proposals.options)
        if index < num_offered:
            return index
        if self.invalid_action == "raise":
            raise ValueError(f"action must be one of the {num_offered} on offer, got {index}: see action_masks()")
        return None

    def _initial(self, rng: np.random.Generator, options: dict[str, object] | None) -> ChoiceState:
        """Returns the state in which an episode starts, without proposals."""
        state = dynamics.initial_state(self._drawn_problem(rng, options))
        return ChoiceState(state, int(rng.integers(_SEEDS)), NOTHING)

    def _after(self, choice: ChoiceState, chosen: int | None) -> ChoiceState:
        """Returns the state after an action: without proposals, except after an invalid action, which keeps them."""
        if chosen is None:
            return self._refused(choice)
        state = self.transition(choice.state, choice.proposals.options[chosen]).state
        ending = state.ending
        if ending is None and state.depth + choice.num_invalid >= self.rules.max_options:
            ending = Ending.OUT_OF_OPTIONS
        return ChoiceState(state, choice.seed, NOTHING, choice.num_invalid, ending)

    def _refused(self, choice: ChoiceState) -> ChoiceState:
        ending = Ending.INVALID_ACTION if self.invalid_action == "terminate" else None
        if ending is None and choice.num_steps + 1 >= self.rules.max_options:
            ending = Ending.OUT_OF_OPTIONS
        offers = choice.proposals if ending is None else replace(NOTHING, embedding=choice.proposals.embedding)
        return ChoiceState(choice.state, choice.seed, offers, choice.num_invalid + 1, ending)

    def _with_proposals(self, choice: ChoiceState) -> ChoiceState:
        """Returns the state with the options on offer in it. Blocks while the models work."""
        [proposals] = self.simulator.engine.run(self._offered([_request_at(choice)]))
        return replace(choice, proposals=proposals)

    async def _offered(self, requests: Sequence[ProposalRequest]) -> list[Proposals]:
        """Returns the options on offer, cached: repeated requests are bit-identical."""
        embeds = self._embedding_size > 0
        return await self._offers.get_or_compute(
            requests, lambda missing: propose(self.simulator, missing, self.num_options, embeds=embeds)
        )

    def _refusal(self, after: ChoiceState) -> Reward:
        """Returns the reward of an action that is not on offer; one that ends the episode stops it where it is."""
        stopped = Reward() if after.ending is None else self._stopped(after.state)
        return replace(stopped, invalid=0.0 if self.invalid_action == "noop" else -self.invalid_penalty)

    def queries_of_step(self, action: ChoiceAction, then_reset: bool = False) -> Sequence[ModelQuery]:
        """Returns the model queries of `step(action)`, and of a reset after it."""
        choice = self._current()
        chosen = self._chosen(choice, action)
        after = self._after(choice, chosen)
        queries: list[ModelQuery] = []
        if chosen is not None:
            queries.append(_request_at(after))
            reward = RewardRequest(after.ended_state, _scores_of(choice, chosen))
            queries += [reward] if self._rewards.missing(reward) else []
        elif after.ending is not None:
            queries += [RewardRequest(after.state)] if self._rewards.has_worth(after.state) else []
        if then_reset and after.ending is not None:
            queries += self.queries_of_reset()
        return queries

    def queries_of_reset(
        self, seed: int | None = None, options: dict[str, object] | None = None
    ) -> Sequence[ModelQuery]:
        """Returns the model queries of `reset`: the options on offer at the start, with their scores."""
        return [_request_at(self._peek(seed, lambda rng: self._initial(rng, options)))]

    async def prefetch(self, queries: Sequence[ModelQuery]) -> None:
        """Fills the caches of rewards and of offers, which this environment shares with its copies."""
        await super().prefetch(queries)
        await self._offered([query for query in queries if isinstance(query, ProposalRequest)])

    def clear_cache(self) -> None:
        """Empties the caches of offers, rewards, models and critics: the next episode is as in a fresh process."""
        super().clear_cache()
        self._offers.clear()

    def _discount(self, before: ChoiceState, after: ChoiceState) -> float:
        if after.ending is not None and after.ending.terminates:
            return 0.0
        if after.state is before.state or after.state.option is None:
            return 1.0  # no option was executed: γ discounts options, not actions
        return self.transition(before.state, after.state.option).discount

    def _observation(self, choice: ChoiceState) -> Features:
        return features(
            choice.proposals,
            choice.num_steps,
            choice.state.num_tokens,
            self.rules,
            self.num_options,
            self._embedding_size,
        )

    def _choice_info(self, choice: ChoiceState, reward: Reward, discount: float, *, option: str, invalid: bool) -> Info:
        state = choice.state
        return {
            **self._info(state, reward, choice.ending, discount),
            "action_mask": self._mask(choice),
            "invalid_action": invalid,
            "option": option,
            "text": f"{state.question}\n\n{state.text}" if state.depth else state.question,
        }

    def _state_in(self, env_state: ChoiceState) -> State:
        if not isinstance(env_state, ChoiceState):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise StateError(f"expected a ChoiceState, as clone_state returns it, got {type(env_state).__name__}")
        proposals = env_state.proposals
        if len(proposals.options) > self.num_options or len(proposals.embedding) != self._embedding_size:
            raise StateError(
                f"expected at most {self.num_options} options and an embedding of {self._embedding_size}, got "
                f"{len(proposals.options)} and {len(proposals.embedding)}: a snapshot of an environment made otherwise"
            )
        return env_state.state

    def _rewards_of_options(self, choice: ChoiceState) -> list[float | None]:
        """Returns the reward of each option, None where it is not cached. The last one may have ended the episode."""
        rewards = self._rewards_along(choice.state)
        return rewards if None not in rewards[-1:] else self._rewards_along(choice.ended_state)

    def _text(self) -> str:
        choice = self._current()
        return render_text(choice.state, self._rewards_of_options(choice), choice.proposals, choice.ending)

    def _image(self) -> NDArray[np.uint8]:
        choice = self._current()
        return render_image(choice.state, self._rewards_of_options(choice), choice.proposals, choice.ending)


def _request_at(choice: ChoiceState) -> ProposalRequest:
    return ProposalRequest(choice.state, choice.seed, ended=choice.ending is not None)


def _scores_of(choice: ChoiceState, chosen: int) -> dict[str, float]:
    """Returns the critics' scores of the state after an option on offer, which came with the proposals."""
    return {"prm": choice.proposals.prm[chosen], "value": choice.proposals.value[chosen]}
