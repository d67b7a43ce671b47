"""What a planner is, what it may spend, and what it returns."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import gymnasium as gym
import numpy as np

from agents.pages.summary import plan_summary
from alphallm_env.grading import extract_answer
from alphallm_env.runtime.metering import Meter, Usage, metering
from alphallm_env.simulator import Simulator
from alphallm_env.types import Option, State, Trajectory

if TYPE_CHECKING:
    from agents.tree.node import Node
    from agents.tree.trace import Trace
    from alphallm_env.envs.text import MathReasoningEnv


@dataclass(frozen=True)
class Budget:
    """What one search may spend. A search ends at the first limit reached; its last batch may overrun it.

    `tokens` limits every token generated or scored (`Usage.tokens`), `computed` and `flops` what models compute for
    that (`Usage.computed_tokens`, `Usage.flops`), `seconds` the wall clock, on which results then depend, and
    `simulations` a planner's own iterations. None is no limit.
    """

    tokens: int | None = None
    simulations: int | None = None
    computed: int | None = None
    flops: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("tokens", "simulations", "computed", "flops"):
            limit = getattr(self, name)
            if limit is not None and limit < 1:
                raise ValueError(f"{name} must be >= 1 or None, got {limit}")
        if self.seconds is not None and not self.seconds > 0:
            raise ValueError(f"seconds must be > 0 or None, got {self.seconds}")

    def allows(self, usage: Usage) -> bool:
        """Returns whether there is something left to spend. Raises ValueError for FLOPs of a model of unknown size."""
        if self.flops is not None and usage.unsized_tokens:
            raise ValueError(
                f"a budget of FLOPs needs the size of every model, got {usage.unsized_tokens} tokens of models without "
                "one: a model tells its `size`, a server's is given as the setting weights=NUMBER"
            )
        return not (
            (self.tokens is not None and usage.tokens >= self.tokens)
            or (self.simulations is not None and usage.simulations >= self.simulations)
            or (self.computed is not None and usage.computed_tokens >= self.computed)
            or (self.flops is not None and usage.flops >= self.flops)
            or (self.seconds is not None and usage.seconds >= self.seconds)
        )

    def affordable(self, usage: Usage, num: int) -> float:
        """Returns how many more things of a kind may be paid for, `num` of which cost what was spent so far.

        Infinity where only simulations are limited, never below 0.
        """
        more = (max(0, limit - spent) * num // (spent or 1) for limit, spent in self._costs(usage))
        return min(more, default=math.inf)

    def _costs(self, usage: Usage) -> list[tuple[float, float]]:
        """Returns the limits of what models cost, each with what was spent."""
        return [
            (limit, spent)
            for limit, spent in (
                (self.tokens, usage.tokens),
                (self.computed, usage.computed_tokens),
                (self.flops, usage.flops),
                (self.seconds, usage.seconds),
            )
            if limit is not None
        ]


UNLIMITED = Budget()


def check_stop_at(stop_at: float | None) -> None:
    """Raises ValueError for a score at which a search is to end that is none."""
    if stop_at is not None and not 0.0 < stop_at <= 1.0:
        raise ValueError(f"stop_at must be in (0, 1] or None, got {stop_at}")


@dataclass(frozen=True)
class RootOption:
    """An option that a search considered at its first step, with its statistics: a target for training.

    `value` is what the backup rule makes of its returns, `prior` its share of the policy's probability per token
    among the options considered, None where nobody measured log-probabilities.
    """

    option: Option
    visit_count: int
    value: float
    prior: float | None = None


@dataclass(frozen=True)
class PlanResult:
    """What a search found: the chosen episode, everything finished on the way, and the cost.

    `start` is the state where planning began. A planner that builds a tree gives its `root`, the statistics of the
    options below it, and a `trace` of the search where it keeps one.
    """

    start: State
    best: Trajectory
    finished: tuple[Trajectory, ...]
    usage: Usage
    root: Node | None = None
    root_options: tuple[RootOption, ...] = ()
    trace: Trace | None = field(default=None, compare=False, repr=False)

    @property
    def options(self) -> tuple[Option, ...]:
        """The options to execute from the state where planning began."""
        return self.best.options[self.start.depth :]

    @property
    def answer(self) -> str | None:
        """The final answer of the chosen episode, None where it states none."""
        return extract_answer(self.best.state.text)

    def _repr_html_(self) -> str:
        """Returns a summary for notebooks."""
        nodes = None if self.root is None else self.root.size
        return plan_summary(self.answer, self.best, self.options, self.usage, nodes)


def with_transcripts(result: PlanResult, meter: Meter) -> PlanResult:
    """Returns the result with the transcripts that `meter` has of its trajectories."""
    finished = tuple(map(meter.with_transcript, result.finished))
    return replace(result, best=meter.with_transcript(result.best), finished=finished)


class Planner(ABC):
    """Chooses options by planning ahead. Planning never moves the environment."""

    name: str = "planner"

    @abstractmethod
    def plan(self, env: gym.Env[str, str], budget: Budget, rng: np.random.Generator) -> PlanResult:
        """Returns an episode that starts from the environment's current state."""


class AsyncPlanner(Planner):
    """A planner written as a coroutine, so that many searches share the model's batches."""

    @abstractmethod
    async def search(self, simulator: Simulator, state: State, budget: Budget, seed: int, meter: Meter) -> PlanResult:
        """Returns an episode from `state`. What the search spends is counted on `meter`, the current one."""

    async def metered_search(self, simulator: Simulator, state: State, budget: Budget, seed: int) -> PlanResult:
        """Runs `search` under a meter of its own."""
        with metering(Meter()) as meter, meter.timed():
            return with_transcripts(await self.search(simulator, state, budget, seed, meter), meter)

    def plan(self, env: gym.Env[str, str], budget: Budget, rng: np.random.Generator) -> PlanResult:
        """Returns an episode that starts from the environment's current state. Blocks."""
        unwrapped: MathReasoningEnv = env.unwrapped  # type: ignore[assignment]
        simulator = unwrapped.simulator
        seed = int(rng.integers(2**62))
        return simulator.engine.run(self.metered_search(simulator, unwrapped.clone_state(), budget, seed))
