"""A small search with every kind of thing that a tree page shows, and one whose every text is hostile."""

from __future__ import annotations

import dataclasses

from hostile_texts import HOSTILE_TEXTS
from scripted_world import PROBLEM, START, add_child, make_simulator, search, step

from agents import Budget, Node, PlanResult, Usage, eta_mcts
from agents.config import MCTSConfig
from agents.tree.selection import Candidates, uct
from alphallm_env.types import Option, Problem, ScoreKind, State, Trajectory

WIDE: dict[str, object] = {
    "merge_rule": "mathematics",
    "merge_tries": 2,
    "known_mass": None,
    "num_rollouts": 1,
    "c_min_root": 4,
}


def small_plan(**settings: object) -> PlanResult:
    """Returns a search of some thirty simulations with a trace."""
    planner = eta_mcts(**{**WIDE, "merge_rule": "none", "expansion_batch": 1, "trace": True, **settings})
    return search(planner, make_simulator(), Budget(simulations=30), seed=5)


def hand_made_plan() -> PlanResult:
    """Returns a tree of four nodes with a variant, a redrawn option and two pruned ones, and without a trace."""
    root = Node(START, seed=0)
    left = add_child(root, "2 * 3 = 6\n", 0.75, 3, log_prob=-1.0)
    add_child(root, "2 + 3 = 5\n", 0.25, 1, log_prob=-1.0)
    below = add_child(left, "6 + 1 = 7\n", 0.5, 2)
    root.visit_count, root.q, root.num_sampled = 4, 0.625, 5  # two kept, one redrawn, two pruned
    left.num_draws, left.orm = 2, 1 / 3
    left.join(step(START, "3 * 2 = 6\n"))
    best = Trajectory(step(below.state, "#### 7\n"), 0.9)
    return PlanResult(START, best, (best,), Usage(policy_tokens=12, simulations=4), root)


def hostile_plan() -> tuple[PlanResult, Problem]:
    """Returns a plan of which question, options, variants, rollouts, answer and gold answer are hostile texts."""
    texts = list(HOSTILE_TEXTS)
    start = State("hostile", "\n".join(texts))
    root = Node(start, seed=1)
    trace = MCTSConfig(trace=True).start_trace(root)
    assert trace is not None
    added: list[Node] = []
    for number, text in enumerate(texts):
        parent = root if number % 3 == 0 else added[-1]
        option = Option(text, 3, -1.0)
        child = parent.add_child(parent.state.child(option, None))
        child.join(parent.state.child(Option(texts[-1 - number], 2, -2.0), None))
        child.finished = (Trajectory(child.state.child(Option(texts[number - 7], 2), None), 0.5, None, ScoreKind.ORM),)
        child.visit_count, child.q, child.value, child.prm, child.orm, child.score = 1, 0.5, 0.2, 0.3, 0.4, 0.5
        root.visit_count += 1
        trace.begin_descent(0)
        if parent is not root:
            candidates = Candidates(root, root.children)
            trace.add_choice(candidates, uct(candidates, 1.0), root.children[-1])
        trace.end_descent(parent, 1)
        trace.end_wave(number, [parent], [child])
        added.append(child)
    best = Trajectory(added[-1].state, 0.5, None, ScoreKind.ORM)
    plan = PlanResult(start, best, (best,), Usage(simulations=len(texts)), root, (), trace)
    return plan, Problem("hostile", start.question, "".join(texts[:20]), "".join(texts))


def gold() -> Problem:
    """Returns the problem of `small_plan`, with a worked solution."""
    return dataclasses.replace(PROBLEM, solution="2 * 3 = 6 and 6 + 1 = 7")


assert START.question == PROBLEM.question
