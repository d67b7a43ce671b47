"""A plan in a notebook: a few lines of HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from alphallm_env.runtime.metering import Usage
from alphallm_env.types import Option, Trajectory


def plan_summary(
    answer: str | None, best: Trajectory, options: Sequence[Option], usage: Usage, num_nodes: int | None
) -> str:
    """Returns the answer of a plan, its score, the options to execute and what it cost, as escaped HTML.

    `num_nodes` is the size of its tree, None where it has none.
    """
    found = "no answer" if answer is None else f"answer <b>{escape(answer)}</b>"
    kind = escape(best.score_kind.value.replace("_", " "))
    steps = "".join(f'<li style="white-space: pre-wrap; text-align: left">{_step(option)}</li>' for option in options)
    cost = (
        f"{usage.tokens:,} tokens ({usage.computed_tokens:,} computed), {usage.simulations:,} simulations, "
        f"{usage.seconds:.1f} s"
    )
    tree = "" if num_nodes is None else f"; a tree of {num_nodes:,} nodes: <code>agents.show_tree(plan, path)</code>"
    return f"<div><p>{found}, score {best.score:.2f} ({kind})</p><ol>{steps}</ol><p>{cost}{tree}</p></div>"


def _step(option: Option) -> str:
    return escape(option.text.strip("\n"))
