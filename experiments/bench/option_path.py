"""Counts what one option passes through, from `plan` down to the model's forward pass and back.

    python -m experiments.bench.option_path

Prints, for each planner, the modules of ours that its first plan enters, critics included, and the deepest stack of
our frames on the way of an option: those of the calling thread down to the engine, of the search's coroutines down
to the engine, and of the engine's loop down to a forward pass of the decoder. Comprehensions and lambdas count as no
frames.
"""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import cast

import gymnasium as gym
import numpy as np

import agents
from agents import AsyncPlanner, Budget
from alphallm_env.envs.text import MathReasoningEnv  # and registers the environments

_OURS = ("agents.", "alphallm_env.")
_VIA = {"caller": "plan", "search": "propose", "model": "Decoder"}  # what a stack of each segment passes through
_FORWARD = frozenset({"linear", "matmul", "mm", "addmm", "bmm", "baddbmm", "scaled_dot_product_attention"})


class PathRecorder:
    """A profile function for all threads: modules entered, and the deepest stack of each segment of the way."""

    def __init__(self) -> None:
        self.modules: set[str] = set()
        self.deepest: dict[str, list[str]] = {"caller": [], "search": [], "model": []}
        self._caller = threading.get_ident()

    def __call__(self, frame: FrameType, event: str, arg: object) -> None:
        """Records a call of a Python function, or of a function of torch that multiplies."""
        if event == "call" and _is_ours(frame):
            self.modules.add(_module(frame))
            if threading.get_ident() == self._caller:
                self._record("caller", frame, is_end=frame.f_code.co_qualname == "Engine.run")
            else:
                self._record("search", frame, is_end=bool(frame.f_code.co_flags & inspect.CO_COROUTINE))
        elif event == "c_call" and getattr(arg, "__name__", "") in _FORWARD:
            self._record("model", frame, is_end=threading.get_ident() != self._caller)

    def _record(self, segment: str, frame: FrameType, *, is_end: bool) -> None:
        if is_end:
            stack = list(_stack(frame))[::-1]
            is_option = any(_VIA[segment] in name for name in stack)
            if is_option and len(stack) > len(self.deepest[segment]):
                self.deepest[segment] = stack

    @property
    def num_frames(self) -> int:
        """The frames of all segments, one below the other."""
        return sum(map(len, self.deepest.values()))


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _is_ours(frame: FrameType) -> bool:
    return _module(frame).startswith(_OURS)


def _stack(frame: FrameType | None) -> Iterator[str]:
    """Yields our frames from the innermost out, as module.function."""
    while frame is not None:
        if _is_ours(frame) and not frame.f_code.co_name.startswith("<"):
            yield f"{_module(frame)}.{frame.f_code.co_qualname}"
        frame = frame.f_back


def recorded(planner: AsyncPlanner, env: gym.Env[str, str], budget: Budget) -> PathRecorder:
    """Returns what one plan of `planner` passes through."""
    simulator = cast(MathReasoningEnv, env.unwrapped).simulator
    simulator.clear_cache()  # else an earlier plan has prefilled the prompt
    recorder = PathRecorder()

    async def record(profile: PathRecorder | None) -> None:
        sys.setprofile(profile)

    simulator.engine.run(record(recorder))
    sys.setprofile(recorder)
    try:
        planner.plan(env, budget, np.random.default_rng(0))
    finally:
        sys.setprofile(None)
        simulator.engine.run(record(None))
    return recorder


def main() -> None:
    """Plans once with each planner on the tiny models, and prints its way."""
    env = cast("gym.Env[str, str]", gym.make("AlphaLLM/GSMSymbolic-v1"))
    env.reset(seed=0)
    for planner in (agents.Greedy(), agents.eta_mcts()):
        found = recorded(planner, env, Budget(simulations=2))
        print(f"{planner.name}: {len(found.modules)} modules, {found.num_frames} frames")
        for segment, stack in found.deepest.items():
            print(f"  {segment}")
            for name in stack:
                print(f"    {name}")


if __name__ == "__main__":
    main()
