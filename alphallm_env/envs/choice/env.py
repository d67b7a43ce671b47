"""OptionChoiceEnv: the policy proposes a few options, an agent picks one, and sees numbers only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Self, SupportsIndex

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from alphallm_env.envs.base import BaseReasoningEnv, EnvSettings, Info, Question, named_settings
from alphallm_env.envs.choice.features import Features, feature_space, features
from alphallm_env.envs.choice.masks import InvalidAction, action_mask, checked_invalid_action
from alphallm_env.envs.choice.state import ChoiceState
from alphallm_env.envs.proposals import NOTHING, Proposals, Stand, propose
from alphallm_env.envs.rendering import render_image, render_text
from alphallm_env.errors import ModelError, StateError
from alphallm_env.mdp import dynamics
from alphallm_env.mdp.rewards import UNANSWERED, Reward, RewardSource, verdict_on
from alphallm_env.runtime.result_cache import ResultCache
from alphallm_env.simulator import Simulator
from alphallm_env.types import Ending, Problem, State

_SEEDS = 2**62

ChoiceAction = int | np.int64


class OptionChoiceEnv(BaseReasoningEnv[Features, np.int64, ChoiceState]):
    """Solve a mathematical word problem by choosing, again and again, one of a few options of a policy.

    ## Description
    In every state the policy, a language model, proposes up to `num_options` ways to go on, no two of them the
    same. The agent takes one; it is appended to the solution, and the policy proposes anew. Critics say what each
    option is worth; a value-based planner, or any agent that learns from numbers, finds what it needs here.
    It is the process of `MathReasoningEnv` with a finite choice in place of text.

    ## Action Space
    `Discrete(num_options)`: which of the options on offer to take. They come in the order in which they were drawn.
    Where the policy did not find as many different ones, the last actions are invalid; masks say so. An invalid
    action, by `invalid_action`:
    - `"penalty"`: the solution stays as it is, and the reward is `-invalid_penalty`;
    - `"noop"`: the same for a reward of 0;
    - `"terminate"`: the episode terminates with a reward of `-invalid_penalty`;
    - `"raise"`: `step` raises ValueError, and nothing has happened.

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
    - `reward="critics"`: the PRM's score of the option at each step that does not terminate; at the step that
      answers, the ORM's score of the whole solution. A dead end gives 0.
    - `reward="verifier"`: 1 at the step that answers if the answer is graded correct, else 0.

    ## Episode End
    Terminated: the solution states its final answer, its text is closed without one, or an invalid action was
    taken under `invalid_action="terminate"`. Truncated: `max_tokens` or `max_options` is used up.

    ## Information
    The keys of `MathReasoningEnv`, and `action_mask` (int8), `invalid_action` (whether the step's was one),
    `option` (the text of the option that was taken, empty where none was) and `text` (the question and the solution
    so far). `ending` may also be `invalid_action`. Never the gold answer.

    ## Arguments
    - `num_options`: how many options the policy shall propose.
    - `invalid_action`, `invalid_penalty`: see Action Space.
    - `embedding`: whether the state's embedding is observed. The models of a server do not show their hidden states.
    - The others are those of `MathReasoningEnv`. The models are loaded at once, as the space depends on them;
      critics must have a PRM and a value function, and an ORM where they reward.

    ## Version History
    - v0: first version.
    """

    def __init__(
        self,
        problems: str = "gsm_symbolic",
        split: str = "test",
        limit: int | None = None,
        *,
        num_options: int = 4,
        invalid_action: str = "penalty",
        invalid_penalty: float = 0.1,
        embedding: bool = True,
        policy: str = "tiny",
        critics: str = "tiny",
        reward: RewardSource = "critics",
        option_rule: str = "sentence",
        max_options: int = 32,
        max_tokens: int = 512,
        max_option_tokens: int = 128,
        gamma: float = 1.0,
        discount_per_token: bool = False,
        render_mode: str | None = "ansi",
    ) -> None:
        settings = named_settings(
            problems, split, limit,
            policy=policy, critics=critics, reward=reward,
            option_rule=option_rule, max_options=max_options, max_tokens=max_tokens,
            max_option_tokens=max_option_tokens, gamma=gamma, discount_per_token=discount_per_token,
            render_mode=render_mode,
        )  # fmt: skip
        self._assemble(settings, None, num_options, invalid_action, invalid_penalty, embedding)

    @classmethod
    def from_parts(
        cls,
        simulator: Simulator,
        problems: Sequence[Problem],
        *,
        num_options: int = 4,
        invalid_action: str = "penalty",
        invalid_penalty: float = 0.1,
        embedding: bool = True,
        reward: RewardSource = "critics",
        render_mode: str | None = "ansi",
    ) -> Self:
        """Returns an environment over given models and problems; its rules are the simulator's."""
        settings = EnvSettings(problems, simulator.rules, reward, render_mode)
        env = cls.__new__(cls)
        env._assemble(settings, simulator, num_options, invalid_action, invalid_penalty, embedding)
        return env

    def _assemble(
        self,
        settings: EnvSettings,
        simulator: Simulator | None,
        num_options: int,
        invalid_action: str,
        invalid_penalty: float,
        embedding: bool,
    ) -> None:
        if num_options < 1:
            raise ValueError(f"num_options must be >= 1, got {num_options}")
        if not invalid_penalty >= 0.0:
            raise ValueError(f"invalid_penalty must be >= 0, got {invalid_penalty}")
        self.num_options = num_options
        self.invalid_action: InvalidAction = checked_invalid_action(invalid_action)
        self.invalid_penalty = invalid_penalty
        super().__init__(settings, simulator)
        for name in ("prm", "value", *(("orm",) if settings.reward == "critics" else ())):
            self.simulator.critics.require(name)
        self._embedding_size = self._width() if embedding else 0
        self._offers: ResultCache[Stand, Proposals] = ResultCache()
        self.action_space = spaces.Discrete(num_options)
        self.observation_space = feature_space(num_options, self._embedding_size)

    def _width(self) -> int:
        try:
            return self.simulator.embedder.embedding_size
        except ModelError as error:
            raise ModelError(f"{error}: pass embedding=False") from error

    @property
    def proposals(self) -> Proposals:
        """What is on offer now: options, with their scores."""
        return self._current().proposals

    def action_masks(self) -> NDArray[np.bool_]:
        """Returns bool [num_options], True for the actions on offer: what MaskablePPO asks for."""
        return self._mask(self._current()).astype(np.bool_)

    def _mask(self, place: ChoiceState) -> NDArray[np.int8]:
        return action_mask(len(place.proposals.options), self.num_options)

    def reset(self, *, seed: int | None = None, options: dict[str, object] | None = None) -> tuple[Features, Info]:
        """Starts an episode. Raises ProblemError for an unknown `problem_id`.

        If a model fails the episode and the generator stay where they were.
        """
        super().reset(seed=seed)
        place = self._furnished(self._peeked(None, lambda rng: self._begun(rng, options)))
        self._begun(self.np_random, options)  # the same draws
        self._place = place
        self._show()
        return self._observation(place), self._told(place, Reward(), "", 1.0, option="", invalid=False)

    def step(self, action: ChoiceAction) -> tuple[Features, float, bool, bool, Info]:
        """Takes one of the options on offer. Raises ValueError outside the space, StateError after the end.

        If a model fails the episode stays where it was, so that the step can be taken again.
        """
        before = self._current()
        chosen = self._chosen(before, action)
        after = self._moved(before, chosen)
        verdict = self._verdict(after)
        reward = self._reward_for(before, after, chosen, verdict)
        after = after if chosen is None else self._furnished(after)
        self._place = after
        self._show()
        option = "" if chosen is None else before.proposals.options[chosen].text
        terminated = after.ending is not None and after.ending.terminates
        truncated = after.ending is not None and after.ending.truncates
        info = self._told(after, reward, verdict, self._discount(before, after), option=option, invalid=chosen is None)
        return self._observation(after), reward.total, terminated, truncated, info

    def _chosen(self, place: ChoiceState, action: ChoiceAction) -> int | None:
        """Returns the index of the option that an action takes, None for an invalid one."""
        if place.ending is not None:
            raise StateError(f"expected a running episode, got one that has ended: {place.ending.value}")
        if not isinstance(action, SupportsIndex) or action not in self.action_space:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"action must be in {self.action_space}, got {action!r}")
        index, num_offered = int(action), len(place.proposals.options)
        if index < num_offered:
            return index
        if self.invalid_action == "raise":
            raise ValueError(f"action must be one of the {num_offered} on offer, got {index}: see action_masks()")
        return None

    def _begun(self, rng: np.random.Generator, options: dict[str, object] | None) -> ChoiceState:
        """Returns the place where an episode starts, without what is on offer there."""
        state = dynamics.initial_state(self._drawn_problem(rng, options))
        return ChoiceState(state, int(rng.integers(_SEEDS)), NOTHING)

    def _moved(self, place: ChoiceState, chosen: int | None) -> ChoiceState:
        """Returns where an action leads, without what is on offer there unless nothing was done."""
        if chosen is None:
            return self._refused(place)
        state = self.transition(place.state, place.proposals.options[chosen]).state
        ending = state.ending
        if ending is None and state.depth + place.num_invalid >= self.rules.max_options:
            ending = Ending.OUT_OF_OPTIONS
        return ChoiceState(state, place.seed, NOTHING, place.num_invalid, ending)

    def _refused(self, place: ChoiceState) -> ChoiceState:
        ending = Ending.INVALID_ACTION if self.invalid_action == "terminate" else None
        if ending is None and place.num_steps + 1 >= self.rules.max_options:
            ending = Ending.OUT_OF_OPTIONS
        offers = place.proposals if ending is None else replace(NOTHING, embedding=place.proposals.embedding)
        return ChoiceState(place.state, place.seed, offers, place.num_invalid + 1, ending)

    def _furnished(self, place: ChoiceState) -> ChoiceState:
        """Returns a place together with what the policy offers there. Blocks while the models work."""
        [proposals] = self.simulator.engine.run(self._offered([_stand(place)]))
        return replace(place, proposals=proposals)

    async def _offered(self, stands: Sequence[Stand]) -> list[Proposals]:
        """Returns what the policy offers, the same to the last bit whenever it is asked."""
        embeds = self._embedding_size > 0
        return await self._offers.get_or_compute(
            stands, lambda missing: propose(self.simulator, missing, self.num_options, embeds=embeds)
        )

    def _reward_for(self, before: ChoiceState, after: ChoiceState, chosen: int | None, verdict: str) -> Reward:
        if chosen is None:
            return Reward(invalid=0.0 if self.invalid_action == "noop" else -self.invalid_penalty)
        if self._reward == "verifier":
            return self._verified(after.state, verdict)
        if after.state.ending is not Ending.ANSWERED:
            return self._rewards.put(after.state, Reward(prm=before.proposals.prm[chosen]))
        [reward] = self.simulator.engine.run(self._judged([after.state]))
        return reward

    def upcoming_step(self, action: ChoiceAction, then_reset: bool = False) -> Sequence[Question]:
        """Returns what `step(action)` would ask the models, and what a reset after it would."""
        place = self._current()
        chosen = self._chosen(place, action)
        after = self._moved(place, chosen)
        asked: list[Question] = [] if chosen is None else [_stand(after)]
        if chosen is not None and self._reward == "critics" and after.state.ending is Ending.ANSWERED:
            asked.append(after.state)
        if then_reset and after.ending is not None:
            asked += self.upcoming_reset()
        return asked

    def upcoming_reset(self, seed: int | None = None, options: dict[str, object] | None = None) -> Sequence[Question]:
        """Returns what `reset` would ask the models."""
        return [_stand(self._peeked(seed, lambda rng: self._begun(rng, options)))]

    async def answer(self, questions: Sequence[Question]) -> None:
        """Asks the models all questions at once; this environment and its copies know the answers then."""
        await self._judged([question for question in questions if isinstance(question, State)])
        await self._offered([question for question in questions if isinstance(question, Stand)])

    def clear_cache(self) -> None:
        """Drops what models told before, and what they remember: the next episode is as in a fresh process."""
        super().clear_cache()
        self._offers.clear()

    def _verdict(self, place: ChoiceState) -> str:
        if place.state.ending is None and place.ending is not None:
            return UNANSWERED
        return verdict_on(place.state, self._problems[place.state.problem_id])

    def _discount(self, before: ChoiceState, after: ChoiceState) -> float:
        if after.ending is not None and after.ending.terminates:
            return 0.0
        if after.state is before.state or after.state.option is None:
            return 1.0  # nothing was done in it: γ is an option's, not an action's
        return self.transition(before.state, after.state.option).discount

    def _observation(self, place: ChoiceState) -> Features:
        return features(
            place.proposals, place.num_steps, place.state.num_tokens, self.rules, self.num_options, self._embedding_size
        )

    def _told(
        self, place: ChoiceState, reward: Reward, verdict: str, discount: float, *, option: str, invalid: bool
    ) -> Info:
        state = place.state
        return {
            **self._info(state, reward, place.ending, verdict, discount),
            "action_mask": self._mask(place),
            "invalid_action": invalid,
            "option": option,
            "text": f"{state.question}\n\n{state.text}" if state.depth else state.question,
        }

    def _state_of(self, place: ChoiceState) -> State:
        if not isinstance(place, ChoiceState):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise StateError(f"expected a ChoiceState, as clone_state returns it, got {type(place).__name__}")
        proposals = place.proposals
        if len(proposals.options) > self.num_options or len(proposals.embedding) != self._embedding_size:
            raise StateError(
                f"expected at most {self.num_options} options and an embedding of {self._embedding_size}, got "
                f"{len(proposals.options)} and {len(proposals.embedding)}: a snapshot of an environment made otherwise"
            )
        return place.state

    def _text(self) -> str:
        place = self._current()
        return render_text(place.state, self._rewards_along(place.state), place.proposals, place.ending)

    def _image(self) -> NDArray[np.uint8]:
        place = self._current()
        return render_image(place.state, self._rewards_along(place.state), place.proposals, place.ending)


def _stand(place: ChoiceState) -> Stand:
    return Stand(place.state, place.seed, ended=place.ending is not None)
