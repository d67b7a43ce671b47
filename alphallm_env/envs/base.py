"""What every environment has in common: problems, rules, models on first use, snapshots, pictures."""

from __future__ import annotations

import copy
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Generic, Literal, Self, TypeVar, overload

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding
from numpy.typing import NDArray

from alphallm_env.envs.proposals import Stand
from alphallm_env.errors import ProblemError, StateError
from alphallm_env.mdp import dynamics
from alphallm_env.mdp.dynamics import Rules
from alphallm_env.mdp.options import option_rule as option_rule_named
from alphallm_env.mdp.rewards import CORRECT, REWARD_SOURCES, Reward, RewardSource, critics_rewards
from alphallm_env.problems import load_problems
from alphallm_env.runtime.result_cache import ResultCache
from alphallm_env.simulator import Simulator
from alphallm_env.types import Ending, Option, Problem, State, Transition

Observation = TypeVar("Observation")
Action = TypeVar("Action")
Place = TypeVar("Place")  # where an episode stands: immutable, and therefore its own snapshot
Found = TypeVar("Found")

Question = State | Stand  # what critics give for going to a state, or what a policy offers where an episode stands
InfoValue = bool | int | float | str | NDArray[np.int8]
Info = dict[str, InfoValue]
RENDER_MODES = ("ansi", "human", "rgb_array")


@dataclass(frozen=True, slots=True)
class EnvSnapshot(Generic[Place]):
    """A snapshot together with the environment's random number generator, as JSON."""

    state: Place
    rng_state: str


@dataclass(frozen=True, slots=True)
class EnvSettings:
    """What an environment is made of but its models. `policy` and `critics` are names for `load_simulator`."""

    problems: Sequence[Problem]
    rules: Rules
    reward: RewardSource = "critics"
    render_mode: str | None = "ansi"
    policy: str = "tiny"
    critics: str = "tiny"

    def __post_init__(self) -> None:
        if self.reward not in REWARD_SOURCES:
            raise ValueError(f"reward must be one of {', '.join(REWARD_SOURCES)}, got {self.reward!r}")
        if self.render_mode not in (None, *RENDER_MODES):
            raise ValueError(f"render_mode must be one of {(None, *RENDER_MODES)}, got {self.render_mode!r}")


def named_settings(
    problems: str,
    split: str,
    limit: int | None,
    *,
    policy: str,
    critics: str,
    reward: RewardSource,
    option_rule: str,
    max_options: int,
    max_tokens: int,
    max_option_tokens: int,
    gamma: float,
    discount_per_token: bool,
    render_mode: str | None,
) -> EnvSettings:
    """Returns settings from what a spec holds: names and numbers. Raises ProblemError where `problems` is empty."""
    if not problems:
        raise ProblemError(
            'this environment needs problems=…: the path of a .jsonl file, or "gsm8k", "math" or another '
            "data set of the Hugging Face hub, which downloads"
        )
    rule = option_rule_named(option_rule)
    rules = Rules(rule, max_options, max_tokens, max_option_tokens, gamma, discount_per_token)
    return EnvSettings(load_problems(problems, split, limit), rules, reward, render_mode, policy, critics)


class BaseReasoningEnv(gym.Env[Observation, Action], ABC, Generic[Observation, Action, Place]):
    """Solve one of many problems, option after option. Subclasses say what is observed and what an action is."""

    metadata: ClassVar[dict[str, object]] = {"render_modes": list(RENDER_MODES), "render_fps": 1}  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(self, settings: EnvSettings, simulator: Simulator | None = None) -> None:
        self.rules = settings.rules
        self.render_mode = settings.render_mode
        self._model_names = (settings.policy, settings.critics)
        self._simulator = simulator
        self._loads_by_name = simulator is None
        self._reward: RewardSource = settings.reward
        self._problems = _by_id(settings.problems, needs_answer=settings.reward == "verifier")
        self._problem_ids = tuple(self._problems)
        self._rewards: ResultCache[State, Reward] = ResultCache()  # of the last option of each state
        self._place: Place | None = None

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

    def transition(self, state: State, option: Option) -> Transition:
        """Returns what executing `option` in `state` does, without going there: certain, free, no model is asked.

        Raises StateError if the episode has ended already.
        """
        return dynamics.transition(state, option, self.rules)

    @overload
    def clone_state(self, include_rng: Literal[False] = False) -> Place: ...
    @overload
    def clone_state(self, include_rng: Literal[True]) -> EnvSnapshot[Place]: ...
    def clone_state(self, include_rng: bool = False) -> Place | EnvSnapshot[Place]:
        """Returns where the episode stands, which is its own snapshot, at no cost whatever its depth."""
        place = self._current()
        if not include_rng:
            return place
        return EnvSnapshot(place, json.dumps(self.np_random.bit_generator.state, sort_keys=True))

    def restore_state(self, state: Place | EnvSnapshot[Place]) -> None:
        """Goes to a snapshot of any of the environment's problems. Raises StateError if it is of none."""
        if isinstance(state, EnvSnapshot):
            place = self._checked(state.state)
            self.np_random.bit_generator.state = json.loads(state.rng_state)
        else:
            place = self._checked(state)
        self._place = place

    def _checked(self, place: Place) -> Place:
        """Returns a snapshot as it is. Raises StateError if it cannot be gone to."""
        state = self._state_of(place)
        problem = self._problems.get(state.problem_id)
        if problem is None:
            raise StateError(
                f"expected a state of one of {len(self._problems)} problems, got one of {state.problem_id!r}"
            )
        if problem.question != state.question:
            raise StateError(f"expected the question of problem {problem.id!r}, got another: {state.question[:60]!r}")
        return place

    @abstractmethod
    def _state_of(self, place: Place) -> State:
        """Returns the state in a snapshot. Raises StateError for anything that is none."""

    def render(self) -> str | NDArray[np.uint8] | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Returns text or pixels, or prints, as `render_mode` says."""
        self._current()
        if self.render_mode == "rgb_array":
            return self._image()
        if self.render_mode == "ansi":
            return self._text()
        if self.render_mode == "human":
            print(self._text(), flush=True)
        else:
            gym.logger.warn('render was called, but render_mode is None: pass gym.make(…, render_mode="ansi")')
        return None

    @abstractmethod
    def _text(self) -> str:
        """Returns the episode so far as text that is safe to print."""

    @abstractmethod
    def _image(self) -> NDArray[np.uint8]:
        """Returns the episode so far as uint8 [height, width, 3]."""

    def _show(self) -> None:
        if self.render_mode == "human":
            self.render()

    def _rewards_along(self, state: State) -> list[float | None]:
        """Returns the reward of each option of a state, None for those that were not rewarded here or long ago."""
        known = [self._rewards.get(earlier) for earlier in state.path() if earlier.option is not None]
        return [None if reward is None else reward.total for reward in reversed(known)]

    # What a vector environment asks for many environments at once, before each of them steps or resets.

    @abstractmethod
    def upcoming_step(self, action: Action, then_reset: bool = False) -> Sequence[Question]:
        """Returns what `step(action)` would ask the models, and with `then_reset` a reset after an episode's end too.

        Nothing moves. Raises what `step` would raise.
        """

    @abstractmethod
    def upcoming_reset(self, seed: int | None = None, options: dict[str, object] | None = None) -> Sequence[Question]:
        """Returns what `reset` would ask the models. Nothing moves. Raises what `reset` would raise."""

    @abstractmethod
    async def answer(self, questions: Sequence[Question]) -> None:
        """Asks the models all questions at once; this environment and its copies know the answers then.

        The questions may be those of copies. To be awaited on the simulator's engine.
        """

    def _peeked(self, seed: int | None, draw: Callable[[np.random.Generator], Found]) -> Found:
        """Returns what `draw` will give at the next reset."""
        return draw(copy.deepcopy(self.np_random) if seed is None else seeding.np_random(seed)[0])

    def _drawn_problem(self, rng: np.random.Generator, options: dict[str, object] | None) -> Problem:
        """Returns the problem that an episode starts with. Raises ProblemError for an unknown `problem_id`."""
        unknown = set(options or ()) - {"problem_id"}
        if unknown:
            raise ValueError(f"options of reset may hold 'problem_id', got {sorted(map(str, unknown))}")
        problem_id = (options or {}).get("problem_id")
        if problem_id is None:
            problem_id = self._problem_ids[int(rng.integers(len(self._problem_ids)))]
        if problem_id not in self._problems:
            raise ProblemError(f"expected the id of one of {len(self._problems)} problems, got {problem_id!r}")
        return self._problems[str(problem_id)]

    async def _judged(self, states: Sequence[State]) -> list[Reward]:
        """Returns the critics' rewards for going to the states, the same to the last bit whenever they are asked."""
        return await self._rewards.get_or_compute(states, partial(critics_rewards, self.simulator))

    def _verified(self, state: State, verdict: str) -> Reward:
        """Returns the verifier's reward for going to `state`."""
        return self._rewards.put(state, Reward(verifier=float(verdict == CORRECT)))

    def _info(self, state: State, reward: Reward, ending: Ending | None, verdict: str, discount: float) -> Info:
        return {
            "problem_id": state.problem_id,
            "depth": state.depth,
            "num_tokens": state.num_tokens,
            "discount": discount,
            "reward_prm": reward.prm,
            "reward_orm": reward.orm,
            "ending": ending.value if ending else "",
            "verdict": verdict,
            "is_success": verdict == CORRECT,
        }

    def clear_cache(self) -> None:
        """Drops what models told before, and what they remember: the next episode is as in a fresh process.

        Models are shared with other environments, and remember what those asked: they are loaded for this if need be.
        """
        self._rewards.clear()
        self.simulator.clear_cache()

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        # Problems and places are immutable; models, and what they told, are shared.
        vars(copied).update(vars(self))
        copied._np_random = copy.deepcopy(self._np_random, memo)
        copied.action_space = copy.deepcopy(self.action_space, memo)
        copied.observation_space = copy.deepcopy(self.observation_space, memo)
        return copied

    def __getstate__(self) -> dict[str, object]:
        if not self._loads_by_name:
            raise TypeError("an environment around given models cannot be pickled: name policy and critics instead")
        return {**vars(self), "_simulator": None}  # loaded again on first use

    def _current(self) -> Place:
        if self._place is None:
            raise ResetNeeded("expected an episode that reset or restore_state began, got none")
        return self._place


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
