"""What the page of a tree costs in a browser: bytes, seconds to the first paint, milliseconds of a scrub step.

    python -m experiments.bench.browser.tree_page

The search is a real one over a world that costs nothing (`bench.bookkeeping`), with texts of usual length and a trace.
A step moves the scrubber to a simulation drawn at random; it lasts until the page is laid out again (`step`), and until
the frame after it (`frame`, which waits for the display). With `folded` the page shows what it shows when it is opened,
with `all` every node.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import tyro

from agents.base import Budget, PlanResult
from agents.mcts import EtaMCTS
from agents.pages.tree_page import show_tree
from agents.tree.node import num_nodes
from alphallm_env.lm.policy import Policy
from alphallm_env.lm.prompts import TinyTemplate
from alphallm_env.mdp import dynamics
from alphallm_env.mdp.dynamics import Rules
from alphallm_env.runtime.metering import Role
from alphallm_env.runtime.seeds import derive_seed
from alphallm_env.testing.scripted import ScriptedLM
from alphallm_env.types import Option, Problem, State, StopReason
from experiments.bench.bookkeeping import CONFIG, DEPTH, FreeSimulator
from experiments.bench.browser.driver import Browser, browser_missing

_QUESTION = "A baker makes 48 rolls every morning and sells them in bags. How much does she earn in a week?"
_STEP = """
const done = arguments[arguments.length - 1], slider = document.getElementById("simulation"), steps = [], frames = [];
const numbers = Array.from({length: 60}, (_, i) => 1 + Math.floor((i * 7919 % 997) / 997 * slider.max));
const next = () => {
  if (!numbers.length) return done([steps, frames]);
  const start = performance.now();
  slider.value = numbers.pop();
  slider.dispatchEvent(new Event("input"));
  document.getElementById("space").getBoundingClientRect();
  steps.push(performance.now() - start);
  requestAnimationFrame(() => setTimeout(() => { frames.push(performance.now() - start); setTimeout(next, 5); }));
};
next();
"""
_PAINTED = """
const done = arguments[arguments.length - 1];
const look = () => {
  const [found] = performance.getEntriesByName("painted");
  if (found) done(found.startTime); else setTimeout(look, 10);
};
look();
"""
_TO_THE_MIDDLE = """
const slider = document.getElementById("simulation");
slider.value = slider.max / 2; slider.dispatchEvent(new Event("input"));
"""
_SHOW_ALL = """
const least = document.getElementById("least"); least.value = 0; least.dispatchEvent(new Event("input"));
"""


@dataclass(frozen=True)
class TreePageConfig:
    """Settings of the command line."""

    nodes: int = 10_000
    screenshots: Path | None = None  # a folder for pictures of the page


class WordyWorld(FreeSimulator):
    """The world that costs nothing, with options of a usual length."""

    async def propose(
        self, state: State, num_options: int, seed: int, *, first_index: int = 0, to_the_end: bool = False,
        temperature: float | None = None, role: Role = Role.POLICY,
    ) -> list[Option]:  # fmt: skip
        """Returns the next options that were not drawn yet."""
        plain = await super().propose(
            state, num_options, seed, first_index=first_index, to_the_end=to_the_end, temperature=temperature, role=role
        )
        if to_the_end or state.depth >= DEPTH - 1:
            return plain
        return [_wordy(state, first_index + number) for number in range(len(plain))]


def _wordy(state: State, number: int) -> Option:
    bags, price = 3 + (state.num_tokens * 7 + number * 5) % 40, 2 + number
    text = f"She sells {bags} bags for ${price} each, so she has {bags} * {price} = <<{bags}*{price}={bags * price}>>"
    return Option(f"{text}{bags * price} dollars after that.\n", 2 + number, -1.6 - number, StopReason.RULE)


def large_plan(num: int) -> PlanResult:
    """Returns a search whose tree has `num` nodes and a few more, with its trace."""
    simulator = WordyWorld(Policy(ScriptedLM({"": [("x", 1.0)]}), TinyTemplate()), rules=Rules(max_tokens=1_000))
    planner = EtaMCTS(CONFIG.with_settings(trace=True, beta_prm=1.0, selection="puct", max_simulations=num))
    state = dynamics.initial_state(Problem("bench/page", _QUESTION))
    return asyncio.run(planner.metered_search(simulator, state, Budget(simulations=num), derive_seed(0)))


@dataclass(frozen=True)
class PageCost:
    """What a page cost: seconds to its first paint, milliseconds of each step, and to the frame behind it."""

    num_bytes: int
    first_paint: float
    steps: Sequence[float]
    frames: Sequence[float]


def measure(page: Path, browser: Browser, *, show_all: bool) -> PageCost:
    """Returns what a page costs in a browser."""
    browser.open(page.as_uri())
    painted = float(browser.run_async(_PAINTED)) / 1_000
    if show_all:
        browser.run(_SHOW_ALL)
    steps, frames = cast("list[list[float]]", browser.run_async(_STEP))
    return PageCost(page.stat().st_size, painted, steps, frames)


def main(config: TreePageConfig) -> None:
    """Writes the page, opens it and prints a line for each way to show it."""
    if missing := browser_missing():
        print(f"skipped: {missing}")
        return
    plan = large_plan(config.nodes)
    assert plan.root is not None
    with tempfile.TemporaryDirectory() as folder:
        page = show_tree(plan, Path(folder) / "tree.html", title="bench")
        for name in ("folded", "all"):
            with Browser() as browser:
                cost = measure(page, browser, show_all=name == "all")
                if config.screenshots:
                    browser.run(_TO_THE_MIDDLE)
                    browser.screenshot(config.screenshots / f"tree-{name}.png")
            said = ", ".join(
                f"{what} median {statistics.median(found):.0f} 90 % {statistics.quantiles(found, n=10)[-1]:.0f} "
                f"max {max(found):.0f} ms"
                for what, found in (("step", cost.steps), ("frame", cost.frames))
            )
            size = f"{cost.num_bytes / 1e6:.2f} MB"
            print(f"{num_nodes(plan.root)} nodes, {name}: {size}, first paint {cost.first_paint:.2f} s, {said}")


if __name__ == "__main__":
    main(tyro.cli(TreePageConfig))
