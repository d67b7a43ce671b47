"""MathReasoningEnv: observations are text, actions the text of an option; stateful, over the pure `dynamics`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from alphallm_env.envs.base import BaseReasoningEnv, Info, ModelQuery
from alphallm_env.envs.config import EnvConfig, Value, keywords_of
from alphallm_env.envs.rendering import render_image, render_text
from alphallm_env.envs.rewarding import RewardRequest
from alphallm_env.envs.spaces import OptionText, UnicodeText
from alphallm_env.errors import StateError
from alphallm_env.mdp import dynamics
from alphallm_env.mdp.rewards import Reward
from alphallm_env.simulator import Simulator
from alphallm_env.types import Option, Problem, State, Transition

CHARACTERS_PER_TOKEN = 128  # no token of the usual vocabularies is longer


class MathReasoningEnv(BaseReasoningEnv[str, str, State]):
    """Solve a mathematical word problem, one option at a time.

    ## Description
    A policy, usually a language model, writes a solution to a question as a sequence of options: pieces of
    text that a termination function β ends, such as one line. The environment appends each option to the
    solution, which is deterministic. Critics, or a verifier with the gold answer, reward it.

    A planner samples options at the current state with `propose(num_options, seed)`, saves and restores the state
    with `clone_state` and `restore_state`, and asks policy and critics through `simulator`.

    ## Action Space
    `OptionText`: the text of one option, any Unicode, several lines included, at most 128 characters for
    each token of `max_tokens`. It is appended as it is: a line ends with its newline. A realised `Option`
    is accepted as well and brings its own token count; the tokens of plain text are counted by the
    policy's tokenizer, or as words where the reward asks no critic, so that an episode needs no model.
    An action outside the space raises ValueError.

    ## Observation Space
    `UnicodeText`: the question, and after the first option a blank line and the solution so far.

    ## Starting State
    A question drawn uniformly from the problems, or the one of `reset(options={"problem_id": …})`.

    ## Rewards
    - `reward="potential"` (the default): what the option adds to the worth of the solution, γ^τ · worth(s') − worth(s).
      A running solution is worth the PRM's score of its last option, an answered one the ORM's score; the start, and an
      episode that ended without an answer, are worth 0. So the discounted return is γ^T times the ORM's score of the
      solution, or 0: repeated lines are not paid, nor are options cut otherwise.
    - `reward="critics"`: AlphaLLM's, and that of v0: the PRM's score of the option at each step that does not
      terminate; at the step that answers, the ORM's score of the whole solution. A dead end gives 0. The sum grows
      with the number of options.
    - `reward="verifier"`: 1 at the step that answers if the answer is graded correct, else 0. An answer
      that the grader cannot decide on also gives 0, and `info["verdict"]` says so.
    - `reward="module:attribute"`: a `RewardFunction` of your own (`alphallm_env.mdp.rewards`).

    An episode that a budget cut before it stated an answer gets neither the ORM's nor the verifier's reward.
    A wrapper that ends an episode, such as TimeLimit, leaves it what its last state was worth, from which an agent
    bootstraps.

    ## Episode End
    Terminated: a finished line of the solution states its final answer (`#### x` or `\\boxed{x}`), its text is
    closed, or it states an answer of any kind where `max_tokens` or `max_options` is used up. Truncated: one of them
    is used up and the text answers nothing. Thinking parts and headings answer nothing.

    ## Information
    The same keys after `reset` and every `step`: `problem_id`, `depth` (options taken), `num_tokens`,
    `discount` (what multiplies the value of the new state: γ, or γ^τ for τ tokens, 0 once terminated),
    `reward_prm`, `reward_orm` (the critics' scores, where the reward asks them), and, empty or False until the episode
    has ended, `ending`, `verdict` (correct, incorrect, ungradable, unanswered or no_gold) and `is_success`. Never the
    gold answer.

    ## Arguments
    - `problems`, `split`, `limit`: what `alphallm_env.problems.load_problems` takes.
    - `policy`, `critics`, `rollout_policy`, `backend`, `backend_settings`, `device`, `dtype`: what
      `alphallm_env.loading.load_simulator` takes. Nothing is loaded before the first use of `simulator`, and
      environments that name the same models share them.
    - `reward`: `"potential"`, `"critics"`, `"verifier"`, `"module:attribute"`, or a `RewardFunction` itself.
    - `option_rule`: the termination rule β of options: `"token"`, `"sentence"`, `"option"`, `"regex:PATTERN"` or
      `"module:attribute"` (`alphallm_env.mdp.options`).
    - `max_options`, `max_tokens`, `max_option_tokens`, `gamma`, `discount_per_token`: the other `Rules` of the episode.
    - `render_mode`: `"ansi"` (the default: `render` returns text), `"human"` (prints after each step) or
      `"rgb_array"`; all show the reward of every option.

    ## References
    Tian et al. 2024, Toward Self-Improvement of LLMs via Imagination, Searching, and Criticizing
    (arXiv 2404.12253). Sutton, Precup & Singh 1999, Between MDPs and semi-MDPs.

    ## Version History
    - v1: `reward="potential"` is the default.
    - v0: first version, with `reward="critics"`.
    """

    @keywords_of(EnvConfig)
    def __init__(self, config: EnvConfig) -> None:
        """Makes an environment by names; the class's docstring explains the keywords under Arguments."""
        self._assemble(config)

    @classmethod
    def from_parts(cls, simulator: Simulator, problems: Sequence[Problem], **keywords: Value) -> Self:
        """Returns an environment over given models and problems; its rules are the simulator's.

        `keywords` may be `reward` and `render_mode`.
        """
        env = cls.__new__(cls)
        env._assemble(EnvConfig.for_parts(keywords), simulator, problems)
        for name in env.reward_function.critics:
            simulator.critics.require(name)
        return env

    def _assemble(
        self, config: EnvConfig, simulator: Simulator | None = None, problems: Sequence[Problem] | None = None
    ) -> None:
        super().__init__(config, simulator, problems)
        # Fixed here, so that loading the models later never changes what an action costs.
        self._counts_words = simulator is None and not self.reward_function.critics
        longest_solution = CHARACTERS_PER_TOKEN * self.rules.max_tokens
        longest_question = max(len(problem.question) for problem in self._problems.values())
        self.action_space = OptionText(longest_solution)
        self.observation_space = UnicodeText(longest_question + 2 + longest_solution, min_length=1)

    def reset(self, *, seed: int | None = None, options: dict[str, object] | None = None) -> tuple[str, Info]:
        """Starts an episode. Raises ProblemError for an unknown `problem_id`."""
        super().reset(seed=seed)
        state = dynamics.initial_state(self._drawn_problem(self.np_random, options))
        self._state = state
        self._show()
        return self._observation(state), self._info(state, Reward(), None, discount=1.0)

    def step(self, action: str | Option) -> tuple[str, float, bool, bool, Info]:
        """Appends one option. Raises ValueError for an action outside the space, StateError after the end.

        If a critic fails the state stays as it was, so that the step can be repeated.
        """
        transition = self._after(action)
        state = transition.state
        reward = self._rewarded(state, {})
        info = self._info(state, reward, state.ending, transition.discount)
        self._state = state
        self._show()
        return self._observation(state), reward.total, transition.terminated, transition.truncated, info

    def _after(self, action: str | Option) -> Transition:
        """Returns the transition of an action; the state does not change. Raises what `step` raises."""
        transition = self.transition(self._current(), self._as_option(action))
        if self._observation(transition.state) not in self.observation_space:
            limit = CHARACTERS_PER_TOKEN * self.rules.max_tokens
            raise ValueError(f"a solution must have <= {limit} characters, got {len(transition.state.text)}")
        return transition

    def _as_option(self, action: str | Option) -> Option:
        if action not in self.action_space:
            shown = action.text if isinstance(action, Option) else action
            length = f" of {len(shown)} characters" if isinstance(shown, str) else ""  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"action must be in {self.action_space}, got {str(shown)[:60]!r}{length}")
        if isinstance(action, Option):
            return action
        count = len(action.split()) if self._counts_words else self.simulator.policy.lm.count_tokens(action)
        return Option(action, num_tokens=max(count, 1 if action else 0))

    def queries_of_step(self, action: str | Option, then_reset: bool = False) -> Sequence[ModelQuery]:  # noqa: ARG002
        """Returns the critics' queries of `step(action)`: none for the verifier. A reset has none."""
        request = RewardRequest(self._after(action).state)
        return [request] if self._rewards.missing(request) else []

    def queries_of_reset(
        self,
        seed: int | None = None,  # noqa: ARG002
        options: dict[str, object] | None = None,  # noqa: ARG002
    ) -> Sequence[ModelQuery]:
        """Returns nothing: a reset needs no model."""
        return []

    def _state_in(self, env_state: State) -> State:
        if not isinstance(env_state, State):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise StateError(f"expected a State, as clone_state returns it, got {type(env_state).__name__}")
        return env_state

    def _text(self) -> str:
        state = self._current()
        return render_text(state, self._rewards_along(state))

    def _image(self) -> NDArray[np.uint8]:
        state = self._current()
        return render_image(state, self._rewards_along(state))

    @staticmethod
    def _observation(state: State) -> str:
        return f"{state.question}\n\n{state.text}" if state.depth else state.question
