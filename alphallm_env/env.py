"""MathReasoningEnv: a stateful shell over the pure decision process of `dynamics`."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self, overload

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from numpy.typing import NDArray

from alphallm_env import dynamics
from alphallm_env.dynamics import Rules
from alphallm_env.errors import ProblemError, StateError
from alphallm_env.options import option_rule as option_rule_named
from alphallm_env.problems import load_problems
from alphallm_env.rendering import render_image, render_text
from alphallm_env.rewards import (
    CORRECT,
    REWARD_SOURCES,
    Reward,
    RewardSource,
    critics_reward,
    verdict_on,
)
from alphallm_env.simulator import Simulator
from alphallm_env.spaces import OptionText, UnicodeText
from alphallm_env.types import Option, Problem, State

CHARACTERS_PER_TOKEN = 128  # no token of the usual vocabularies is longer
InfoValue = bool | int | float | str


@dataclass(frozen=True, slots=True)
class EnvSnapshot:
    """A state together with the environment's random number generator, as JSON."""

    state: State
    rng_state: str


class MathReasoningEnv(gym.Env[str, str]):
    """Solve a mathematical word problem, one option at a time.

    ## Description
    A policy, usually a language model, writes a solution to a question as a sequence of options: pieces of
    text that a termination function β ends, such as one line. The environment appends each option to the
    solution; nothing about this is random. Critics, or a verifier that knows the gold answer, reward it.

    ## Action Space
    `OptionText`: the text of one option, any Unicode, several lines included, at most 128 characters for
    each token of `max_tokens`. It is appended as it is: a line ends with its newline. A realised `Option`
    is accepted as well and brings its own token count; the tokens of plain text are counted by the
    policy's tokenizer, or as words where `reward="verifier"` makes the environment independent of models.
    An action outside the space raises ValueError.

    ## Observation Space
    `UnicodeText`: the question, and after the first option a blank line and the solution so far.

    ## Starting State
    A question drawn uniformly from the problems, or the one of `reset(options={"problem_id": …})`.

    ## Rewards
    - `reward="critics"`: the PRM's score of the option at each step that does not terminate; at the step
      that answers, the ORM's score of the whole solution. A dead end gives 0.
    - `reward="verifier"`: 1 at the step that answers if the answer is graded correct, else 0. An answer
      that the grader cannot decide on also gives 0, and `info["verdict"]` says so.

    An episode that a budget cut gets neither the ORM's nor the verifier's reward.

    ## Episode End
    Terminated: the solution states its final answer (`#### x` or `\\boxed{x}`, in a finished line or at the
    end of the text), or its text is closed without one. Truncated: `max_tokens` or `max_options` is used up.

    ## Information
    The same keys after `reset` and every `step`: `problem_id`, `depth` (options taken), `num_tokens`,
    `discount` (what multiplies the value of the new state: γ, or γ^τ for τ tokens, 0 once terminated),
    `reward_prm`, `reward_orm`, and, empty or False until the episode has ended, `ending`, `verdict`
    (correct, incorrect, ungradable, unanswered or no_gold) and `is_success`. Never the gold answer.

    ## Arguments
    - `problems`, `split`, `limit`: what `alphallm_env.problems.load_problems` takes.
    - `policy`, `critics`: what `alphallm_env.loading.load_simulator` takes. Nothing is loaded before the
      first use of `simulator`, and environments that name the same models share them.
    - `reward`: `"critics"` or `"verifier"`.
    - `option_rule` (`"token"`, `"sentence"` or `"option"`), `max_options`, `max_tokens`,
      `max_option_tokens`, `gamma`, `discount_per_token`: the `Rules` of the episode.
    - `render_mode`: `"ansi"` (the default: `render` returns text), `"human"` (prints after each step) or
      `"rgb_array"`.

    ## References
    Tian et al. 2024, Toward Self-Improvement of LLMs via Imagination, Searching, and Criticizing
    (arXiv 2404.12253). Sutton, Precup & Singh 1999, Between MDPs and semi-MDPs.

    ## Version History
    - v0: first version.
    """

    metadata = {"render_modes": ["ansi", "human", "rgb_array"], "render_fps": 1}  # noqa: RUF012

    def __init__(
        self,
        problems: str = "gsm_symbolic",
        split: str = "test",
        limit: int | None = None,
        *,
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
        if not problems:
            raise ProblemError(
                'this environment needs problems=…: the path of a .jsonl file, or "gsm8k", "math" or another '
                "data set of the Hugging Face hub, which downloads"
            )
        self._model_names = (policy, critics)
        rules = Rules(
            option_rule_named(option_rule),
            max_options,
            max_tokens,
            max_option_tokens,
            gamma,
            discount_per_token,
        )
        self._assemble(load_problems(problems, split, limit), rules, None, reward, render_mode)

    @classmethod
    def from_parts(
        cls,
        simulator: Simulator,
        problems: Sequence[Problem],
        *,
        reward: RewardSource = "critics",
        render_mode: str | None = "ansi",
    ) -> Self:
        """Returns an environment over given models and problems; its rules are the simulator's."""
        env = cls.__new__(cls)
        if reward == "critics":
            simulator.critics.require("prm")
            simulator.critics.require("orm")
        env._assemble(problems, simulator.rules, simulator, reward, render_mode)
        return env

    def _assemble(
        self,
        problems: Sequence[Problem],
        rules: Rules,
        simulator: Simulator | None,
        reward: RewardSource,
        render_mode: str | None,
    ) -> None:
        if reward not in REWARD_SOURCES:
            raise ValueError(f"reward must be one of {', '.join(REWARD_SOURCES)}, got {reward!r}")
        modes = (None, "ansi", "human", "rgb_array")
        if render_mode not in modes:
            raise ValueError(f"render_mode must be one of {modes}, got {render_mode!r}")
        self.rules = rules
        self.render_mode = render_mode
        self._simulator = simulator
        self._reward: RewardSource = reward
        # Fixed here, so that loading the models later never changes what an action costs.
        self._counts_words = simulator is None and reward == "verifier"
        self._problems = _by_id(problems, needs_answer=reward == "verifier")
        self._problem_ids = tuple(self._problems)
        self._state: State | None = None
        longest_solution = CHARACTERS_PER_TOKEN * rules.max_tokens
        longest_question = max(len(problem.question) for problem in problems)
        self.action_space = OptionText(longest_solution)
        self.observation_space = UnicodeText(longest_question + 2 + longest_solution, min_length=1)

    @property
    def simulator(self) -> Simulator:
        """The models and rules that planners search with. Loads the models on first use."""
        if self._simulator is None:
            from alphallm_env.loading import load_simulator

            policy, critics = self._model_names
            self._simulator = load_simulator(
                policy=policy, critics=critics, rules=self.rules, device="auto", dtype="auto"
            )
        return self._simulator

    @property
    def problem_ids(self) -> tuple[str, ...]:
        """The ids that `reset(options={"problem_id": …})` accepts."""
        return self._problem_ids

    def reset(
        self, *, seed: int | None = None, options: dict[str, object] | None = None
    ) -> tuple[str, dict[str, InfoValue]]:
        """Starts an episode. Raises ProblemError for an unknown `problem_id`."""
        super().reset(seed=seed)
        unknown = set(options or ()) - {"problem_id"}
        if unknown:
            raise ValueError(f"options of reset may hold 'problem_id', got {sorted(map(str, unknown))}")
        problem_id = (options or {}).get("problem_id")
        if problem_id is None:
            problem_id = self._problem_ids[int(self.np_random.integers(len(self._problem_ids)))]
        if problem_id not in self._problems:
            raise ProblemError(f"expected the id of one of {len(self._problems)} problems, got {problem_id!r}")
        self._state = dynamics.initial_state(self._problems[str(problem_id)])
        self._show()
        return self._observation(self._state), self._info(self._state, Reward(), "", discount=1.0)

    def step(self, action: str | Option) -> tuple[str, float, bool, bool, dict[str, InfoValue]]:
        """Appends one option. Raises ValueError for an action outside the space, StateError after the end.

        If a critic fails the state stays where it was, so that the step can be taken again.
        """
        before = self._current()
        transition = dynamics.transition(before, self._as_option(action), self.rules)
        state = transition.state
        observation = self._observation(state)
        if observation not in self.observation_space:
            limit = CHARACTERS_PER_TOKEN * self.rules.max_tokens
            raise ValueError(f"a solution must have <= {limit} characters, got {len(state.text)}")
        verdict = verdict_on(state, self._problems[state.problem_id])
        reward = self._reward_for(state, verdict)
        self._state = state
        self._show()
        info = self._info(state, reward, verdict, transition.discount)
        return observation, reward.total, transition.terminated, transition.truncated, info

    @overload
    def clone_state(self, include_rng: Literal[False] = False) -> State: ...
    @overload
    def clone_state(self, include_rng: Literal[True]) -> EnvSnapshot: ...
    def clone_state(self, include_rng: bool = False) -> State | EnvSnapshot:
        """Returns the current state, which is its own snapshot, at no cost whatever its depth."""
        state = self._current()
        if not include_rng:
            return state
        return EnvSnapshot(state, json.dumps(self.np_random.bit_generator.state, sort_keys=True))

    def restore_state(self, state: State | EnvSnapshot) -> None:
        """Goes to a state of any of the environment's problems. Raises StateError if it is of none."""
        target = state.state if isinstance(state, EnvSnapshot) else state
        problem = self._problems.get(target.problem_id)
        if problem is None:
            raise StateError(
                f"expected a state of one of {len(self._problems)} problems, got one of {target.problem_id!r}"
            )
        if problem.question != target.question:
            raise StateError(f"expected the question of problem {problem.id!r}, got another: {target.question[:60]!r}")
        if isinstance(state, EnvSnapshot):
            self.np_random.bit_generator.state = json.loads(state.rng_state)
        self._state = target

    def render(self) -> str | NDArray[np.uint8] | None:
        """Returns text or pixels, or prints, as `render_mode` says."""
        state = self._current()
        if self.render_mode == "rgb_array":
            return render_image(state)
        if self.render_mode == "ansi":
            return render_text(state)
        if self.render_mode == "human":
            print(render_text(state), flush=True)
        else:
            gym.logger.warn('render was called, but render_mode is None: pass gym.make(…, render_mode="ansi")')
        return None

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        copied.__dict__.update(self.__dict__)  # problems and states are immutable, models are shared
        copied._np_random = copy.deepcopy(self._np_random, memo)
        copied.action_space = copy.deepcopy(self.action_space, memo)
        copied.observation_space = copy.deepcopy(self.observation_space, memo)
        return copied

    def _current(self) -> State:
        if self._state is None:
            raise ResetNeeded("expected an episode that reset or restore_state began, got none")
        return self._state

    def _as_option(self, action: str | Option) -> Option:
        if action not in self.action_space:
            shown = action.text if isinstance(action, Option) else action
            length = f" of {len(shown)} characters" if isinstance(shown, str) else ""  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"action must be in {self.action_space}, got {str(shown)[:60]!r}{length}")
        if isinstance(action, Option):
            return action
        count = len(action.split()) if self._counts_words else self.simulator.policy.lm.count_tokens(action)
        return Option(action, num_tokens=max(count, 1 if action else 0))

    def _reward_for(self, state: State, verdict: str) -> Reward:
        if self._reward == "critics":
            return critics_reward(self.simulator, state)
        return Reward(verifier=float(verdict == CORRECT))

    @staticmethod
    def _observation(state: State) -> str:
        return f"{state.question}\n\n{state.text}" if state.depth else state.question

    @staticmethod
    def _info(state: State, reward: Reward, verdict: str, discount: float) -> dict[str, InfoValue]:
        return {
            "problem_id": state.problem_id,
            "depth": state.depth,
            "num_tokens": state.num_tokens,
            "discount": discount,
            "reward_prm": reward.prm,
            "reward_orm": reward.orm,
            "ending": state.ending.value if state.ending else "",
            "verdict": verdict,
            "is_success": verdict == CORRECT,
        }

    def _show(self) -> None:
        if self.render_mode == "human":
            self.render()


def _by_id(problems: Sequence[Problem], needs_answer: bool) -> dict[str, Problem]:
    """Returns the problems by id. Raises ProblemError if there are none, or two of one id, or no answer."""
    by_id = {problem.id: problem for problem in problems}
    if not problems or len(by_id) < len(problems):
        raise ProblemError(f"expected problems with different ids, got {len(problems)} with {len(by_id)} ids")
    for problem in problems:
        if not problem.question:
            raise ProblemError(f"expected a question in problem {problem.id!r}, got an empty one")
        if needs_answer and problem.answer is None:
            raise ProblemError(f'reward="verifier" needs gold answers, and problem {problem.id!r} has none')
    return by_id
