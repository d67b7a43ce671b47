"""What every environment has in common: problems, rules, models loaded on first use, snapshots, rendering."""

from __future__ import annotations

import copy
import html
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, Literal, Protocol, Self, TypeVar, overload

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding
from numpy.typing import NDArray

from alphallm_env.envs.config import RENDER_MODES, EnvConfig
from alphallm_env.envs.proposals import ProposalRequest
from alphallm_env.envs.rewarding import OptionRewards, RewardRequest
from alphallm_env.errors import ProblemError, StateError
from alphallm_env.mdp import dynamics
from alphallm_env.mdp.rewards import CORRECT, Reward, RewardFunction, verdict_of
from alphallm_env.simulator import Simulator
from alphallm_env.types import Ending, Option, Problem, State, Transition


class HasEnding(Protocol):
    """The state of an episode. It is immutable, so that it is its own snapshot."""

    @property
    def ending(self) -> Ending | None:
        """How the episode ended, None while it runs."""
        ...


Observation = TypeVar("Observation")
Action = TypeVar("Action")
EnvState = TypeVar("EnvState", bound=HasEnding)
Drawn = TypeVar("Drawn")

ModelQuery = RewardRequest | ProposalRequest  # what a step or a reset asks of critics, or of the policy too
InfoValue = bool | int | float | str | NDArray[np.int8]
Info = dict[str, InfoValue]


@dataclass(frozen=True, slots=True)
class EnvSnapshot(Generic[EnvState]):
    """A snapshot together with the environment's random number generator, as JSON."""

    state: EnvState
    rng_state: str


class BaseReasoningEnv(gym.Env[Observation, Action], ABC, Generic[Observation, Action, EnvState]):
    """Solve one of many problems, option by option. Subclasses define observations and actions."""

    metadata: ClassVar[dict[str, object]] = {"render_modes": list(RENDER_MODES), "render_fps": 1}  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(
        self, config: EnvConfig, simulator: Simulator | None = None, problems: Sequence[Problem] | None = None
    ) -> None:
        """Takes given models, with their rules, and problems; what is not given is loaded by the config's names."""
        self.config = config
        self.rules = config.rules() if simulator is None else simulator.rules
        self.render_mode = config.render_mode
        self.reward_function = config.reward_function()
        self._simulator = simulator
        self._loads_by_name = simulator is None
        problems = config.load_problems() if problems is None else problems
        self._problems = _by_id(problems, self.reward_function.needs_answers, config.reward)
        self._problem_ids = tuple(self._problems)
        self._rewards = OptionRewards(self.reward_function, self._problems, self.rules)
        self._state: EnvState | None = None

    @property
    def simulator(self) -> Simulator:
        """The models and rules that planners search with. Loads the models on first use."""
        if self._simulator is None:
            from alphallm_env.loading import load_simulator

            config = self.config
            self._simulator = load_simulator(
                policy=config.policy,
                critics=config.critics,
                rules=self.rules,
                device=config.device,
                dtype=config.dtype,
                rollout_policy=config.rollout_policy,
                backend=config.backend,
                backend_settings=config.backend_settings,
            )
        return self._simulator

    @property
    def problem_ids(self) -> tuple[str, ...]:
        """The ids that `reset(options={"problem_id": …})` accepts."""
        return self._problem_ids

    def transition(self, state: State, option: Option) -> Transition:
        """Returns what executing `option` in `state` does, without moving the environment: deterministic, no model.

        Raises StateError if the episode has ended already.
        """
        return dynamics.transition(state, option, self.rules)

    def propose(
        self, num_options: int, seed: int, *, temperature: float | None = None, to_the_end: bool = False
    ) -> list[Option]:
        """Returns options that the policy samples at the current state, without moving the environment.

        Option i is a function of the state, `seed` and i, so equal calls give equal options. They are sampled in one
        batch, together with what other threads ask, and counted on the current meter. `temperature` is the policy's
        where it is None, 0 is greedy. With `to_the_end` an option is the rest of the solution. Raises StateError
        after the end.
        """
        if num_options < 1:
            raise ValueError(f"num_options must be >= 1, got {num_options}")
        state = self._running_state()
        simulator = self.simulator
        return simulator.engine.run(
            simulator.propose(state, num_options, seed, temperature=temperature, to_the_end=to_the_end)
        )

    @overload
    def clone_state(self, include_rng: Literal[False] = False) -> EnvState: ...
    @overload
    def clone_state(self, include_rng: Literal[True]) -> EnvSnapshot[EnvState]: ...
    def clone_state(self, include_rng: bool = False) -> EnvState | EnvSnapshot[EnvState]:
        """Returns the episode's state, which is its own snapshot: O(1), whatever its depth."""
        state = self._current()
        if not include_rng:
            return state
        return EnvSnapshot(state, json.dumps(self.np_random.bit_generator.state, sort_keys=True))

    def restore_state(self, state: EnvState | EnvSnapshot[EnvState]) -> None:
        """Sets the episode to a snapshot, of any of the problems. Raises StateError for one of another problem."""
        if isinstance(state, EnvSnapshot):
            restored = self._checked(state.state)
            self.np_random.bit_generator.state = json.loads(state.rng_state)
        else:
            restored = self._checked(state)
        self._state = restored

    def _checked(self, env_state: EnvState) -> EnvState:
        """Returns a snapshot as it is. Raises StateError if it cannot be restored here."""
        state = self._state_in(env_state)
        problem = self._problems.get(state.problem_id)
        if problem is None:
            raise StateError(
                f"expected a state of one of {len(self._problems)} problems, got one of {state.problem_id!r}"
            )
        if problem.question != state.question:
            raise StateError(f"expected the question of problem {problem.id!r}, got another: {state.question[:60]!r}")
        return env_state

    @abstractmethod
    def _state_in(self, env_state: EnvState) -> State:
        """Returns the question and options in a snapshot. Raises StateError for anything that is none."""

    def _running_state(self) -> State:
        """Returns the question and options of the current state. Raises StateError if the episode has ended."""
        env_state = self._current()
        if env_state.ending is not None:
            raise StateError(f"expected a running episode, got one that has ended: {env_state.ending.value}")
        return self._state_in(env_state)

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

    def _repr_html_(self) -> str:
        """Returns the episode so far for notebooks; before the first reset, the environment's name."""
        return f"<pre>{html.escape(repr(self) if self._state is None else self._text())}</pre>"

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
        """Returns the reward of each option of a state, None where it is not in this environment's cache."""
        cached = [self._rewards.cached(earlier) for earlier in state.path() if earlier.option is not None]
        return [None if reward is None else reward.total for reward in reversed(cached)]

    # A vector environment calls these to batch the model queries of many environments before each steps or resets.

    @abstractmethod
    def queries_of_step(self, action: Action, then_reset: bool = False) -> Sequence[ModelQuery]:
        """Returns the model queries of `step(action)`, and with `then_reset` those of a reset after an episode's end.

        The state does not change. Raises what `step` would raise.
        """

    @abstractmethod
    def queries_of_reset(
        self, seed: int | None = None, options: dict[str, object] | None = None
    ) -> Sequence[ModelQuery]:
        """Returns the model queries of `reset`. The state does not change. Raises what `reset` would raise."""

    async def prefetch(self, queries: Sequence[ModelQuery]) -> None:
        """Fills the caches that this environment shares with its copies: `queries` may be those of copies.

        Await it on the simulator's engine.
        """
        await self._rewards.ask(self.simulator, [query for query in queries if isinstance(query, RewardRequest)])

    def _peek(self, seed: int | None, draw: Callable[[np.random.Generator], Drawn]) -> Drawn:
        """Returns what `draw` will return at the next reset, without advancing the generator."""
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

    def _rewarded(self, state: State, scores: Mapping[str, float]) -> Reward:
        """Returns the reward of the last option of `state`. Asks only the critics whose score is not in `scores`."""
        request = RewardRequest(state, scores)
        if not self._rewards.missing(request):
            return self._rewards.compute(request)
        [reward] = self.simulator.engine.run(self._rewards.ask(self.simulator, [request]))
        return reward

    def _stopped(self, state: State) -> Reward:
        """Returns the reward of an episode that stops at a running state; asks critics where that has a worth."""
        if not self._rewards.has_worth(state):
            return Reward()
        return self.simulator.engine.run(self._rewards.ask_to_stop(self.simulator, state))

    def outcome(self, state: State, ending: Ending | None) -> Info:
        """Returns `ending`, `verdict` and `is_success` of an episode that ends in a state as `ending` says."""
        verdict = "" if ending is None else verdict_of(state.text, self._problems[state.problem_id])
        return {"ending": ending.value if ending else "", "verdict": verdict, "is_success": verdict == CORRECT}

    def _info(self, state: State, reward: Reward, ending: Ending | None, discount: float) -> Info:
        return {
            "problem_id": state.problem_id,
            "depth": state.depth,
            "num_tokens": state.num_tokens,
            "discount": discount,
            "reward_prm": reward.prm,
            "reward_orm": reward.orm,
            **self.outcome(state, ending),
        }

    def clear_cache(self) -> None:
        """Empties the caches of rewards, models and critics: the next episode is as in a fresh process.

        Models, and their caches, are shared with other environments. Models that are not loaded yet are loaded.
        """
        self._rewards.clear()
        self.simulator.clear_cache()

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        # Problems and states are immutable; models and caches are shared.
        vars(copied).update(vars(self))
        copied._np_random = copy.deepcopy(self._np_random, memo)
        copied.action_space = copy.deepcopy(self.action_space, memo)
        copied.observation_space = copy.deepcopy(self.observation_space, memo)
        return copied

    def __getstate__(self) -> dict[str, object]:
        if not self._loads_by_name:
            raise TypeError("an environment around given models cannot be pickled: name policy and critics instead")
        return {**vars(self), "_simulator": None}  # loaded again on first use

    def _current(self) -> EnvState:
        if self._state is None:
            raise ResetNeeded("expected an episode that reset or restore_state began, got none")
        return self._state


def _by_id(problems: Sequence[Problem], needs_answers: bool, reward: str | RewardFunction) -> dict[str, Problem]:
    """Returns the problems by id. Raises ProblemError if there are none, or two of one id, or no answer."""
    by_id = {problem.id: problem for problem in problems}
    if not problems or len(by_id) < len(problems):
        raise ProblemError(f"expected problems with different ids, got {len(problems)} with {len(by_id)} ids")
    for problem in problems:
        if not problem.question:
            raise ProblemError(f"expected a question in problem {problem.id!r}, got an empty one")
        if needs_answers and not problem.is_gradable:
            raise ProblemError(f"reward={reward!r} needs gold answers, and problem {problem.id!r} has none")
    return by_id
