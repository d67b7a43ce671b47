"""What the page of a tree shows, as JSON: columns with an entry per node, in the order of `walk`.

Numbers have four decimals. Where a node is meant, its number in that order stands for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite

from agents.base import PlanResult
from agents.tree.node import Node, walk
from agents.tree.selection import Candidates, has_priors
from agents.tree.trace import Trace, TracedChoice, TracedDescent
from alphallm_env.mdp.rewards import verdict_of
from alphallm_env.problems.verifiers import is_legal
from alphallm_env.runtime.files import Json
from alphallm_env.types import Problem, State

_MOST_CANDIDATES = 300_000  # in all choices of a page; past them each choice keeps its best
_BEST_KEPT = 6
_MOST_CHARACTERS = 2_000_000  # of rollouts; past them their texts are left out

Numbers = Mapping[Node, int]


def tree_data(plan: PlanResult, problem: Problem | None, title: str) -> dict[str, Json]:
    """Returns the data of a page. Raises ValueError for a plan without a tree."""
    if plan.root is None:
        raise ValueError("expected a plan with a tree, got one of a planner that builds none")
    nodes = list(walk(plan.root))
    numbers = {node: number for number, node in enumerate(nodes)}
    usage = plan.usage
    return {
        "title": title,
        "question": plan.root.state.question,
        "before": plan.root.state.text,
        "answer": plan.answer,
        "score": _rounded(plan.best.score),
        "score_kind": plan.best.score_kind.value,
        "best": [[option.text, option.num_tokens] for option in plan.options],
        "usage": {
            "tokens": usage.tokens, "computed": usage.computed_tokens, "simulations": usage.simulations,
            "seconds": round(usage.seconds, 2),
        },
        "gold": _gold(plan, problem),
        "nodes": _columns(nodes, numbers),
        "variants": {str(numbers[node]): texts for node in nodes if (texts := _variants(node))},
        "rollouts": _rollouts(nodes),
        "chosen": [numbers[node] for node in chosen_path(plan.root, plan.best.state)],
        "trace": None if plan.trace is None else _trace(plan.trace, numbers),
    }  # fmt: skip


def chosen_path(root: Node, state: State) -> list[Node]:
    """Returns the nodes on the way to `state`, the root first, as far as that lies in the tree."""
    node, path = root, [root]
    for step in reversed([step for step in state.path() if step.depth > root.state.depth]):
        found = next((child for child in node.children if step in child.members), None)
        if found is None:  # from here on the text is a rollout's
            break
        node = found
        path.append(node)
    return path


def _rounded(number: float | None) -> float | None:
    return round(number, 4) if number is not None and isfinite(number) else None


def _gold(plan: PlanResult, problem: Problem | None) -> Json:
    if problem is None:
        return None
    verdict = verdict_of(plan.best.state.text, problem) if problem.is_gradable else "unknown"
    return {"answer": problem.answer, "solution": problem.solution, "verdict": verdict}


def _columns(nodes: Sequence[Node], numbers: Numbers) -> dict[str, Json]:
    options = [node.state.option if node.parent is not None else None for node in nodes]
    critics: dict[str, list[float | None]] = {
        "value": [_rounded(node.value) for node in nodes],
        "prm": [_rounded(node.prm) for node in nodes],
        "orm": [_rounded(node.orm) for node in nodes],
        "score": [_rounded(node.score) for node in nodes],
        "prior": _priors(nodes),
    }
    columns: dict[str, list[float | None]] = {
        "parent": [None if node.parent is None else numbers.get(node.parent) for node in nodes],
        "visits": [node.visit_count for node in nodes],
        "q": [_rounded(node.q) for node in nodes],
        "tokens": [option and option.num_tokens for option in options],
        "draws": [node.num_draws for node in nodes],
        "sampled": [node.num_sampled for node in nodes],
        "same": [None if node.same_as is None else numbers.get(node.same_as) for node in nodes],
        "check": [None if (sound := _is_legal(node)) is None else int(sound) for node in nodes],
        **{name: found for name, found in critics.items() if any(score is not None for score in found)},
    }
    endings = [node.state.ending.value if node.state.ending else None for node in nodes]
    return {"text": [option.text if option else "" for option in options], "ending": endings, **columns}  # type: ignore[dict-item]


def _is_legal(node: Node) -> bool | None:
    """Returns what the problem's verifier says of a node's step, None for the root and without a verifier."""
    return None if node.parent is None else is_legal(node.state)


def _priors(nodes: Sequence[Node]) -> list[float | None]:
    """Returns each node's share of the policy's probability per token among its siblings."""
    priors: dict[Node, float] = {}
    for node in nodes:
        if node.children and has_priors(node):
            priors |= zip(node.children, Candidates(node, node.children).prior, strict=True)
    return [_rounded(priors.get(node)) for node in nodes]


def _variants(node: Node) -> list[Json]:
    """Returns the different texts that were merged into a node, without the first."""
    texts: dict[Json, None] = dict.fromkeys(member.option.text for member in node.members if member.option)
    return list(texts)[1:]


def _rollouts(nodes: Sequence[Node]) -> dict[str, Json]:
    """Returns what rollouts from each running node wrote, with scores; no texts where they are too many for a page."""
    found = {str(number): _endings_of(node) for number, node in enumerate(nodes) if node.finished and node.parent}
    found = {number: rows for number, rows in found.items() if rows}
    if sum(len(text) for rows in found.values() for text, _ in rows) > _MOST_CHARACTERS:
        found = {number: [("", score) for _, score in rows] for number, rows in found.items()}
    return {number: [[text, score] for text, score in rows] for number, rows in found.items()}


def _endings_of(node: Node) -> list[tuple[str, float | None]]:
    if node.is_terminal:
        return []
    start = len(node.state.text)
    return [(ended.state.text[start:], _rounded(ended.score)) for ended in node.finished]


def _trace(trace: Trace, numbers: Numbers) -> Json:
    num_candidates = sum(
        len(choice.nodes) for wave in trace.waves for descent in wave.descents for choice in descent.choices
    )
    most = _BEST_KEPT if num_candidates > _MOST_CANDIDATES else None
    births, final = trace.births(), {node: (node.visit_count, node.q) for node in numbers}
    history: dict[str, Json] = {}
    for node, kept in trace.history.items():
        if node not in numbers or (len(kept) == 1 and (kept[0].visit_count, kept[0].q) == final[node]):
            continue  # the page takes the node's own statistics
        history[str(numbers[node])] = [number for s in kept for number in (s.simulation, s.visit_count, _rounded(s.q))]
    return {
        "start": trace.start,
        "end": trace.num_simulations,
        "rule": trace.rule,
        "root_rule": trace.root_rule,
        "c": trace.c,
        "best_kept": most,
        "births": [births.get(node) for node in numbers],
        "history": history,
        "waves": [
            [wave.first, wave.last, [_descent(descent, numbers, most) for descent in wave.descents]]
            for wave in trace.waves
        ],
    }


def _descent(descent: TracedDescent, numbers: Numbers, most: int | None) -> Json:
    choices: list[Json] = [_choice(choice, numbers, most) for choice in descent.choices]
    return [numbers[descent.node], descent.width, descent.num_wanted, choices]


def _choice(choice: TracedChoice, numbers: Numbers, most: int | None) -> Json:
    """Returns a choice as [parent, its visits, width, children, candidates, chosen, size, numbers of each candidate].

    A candidate's `size` numbers are its place among its siblings, q, visits, score, and its prior where known.
    """
    places = range(len(choice.nodes))
    if most is not None and len(choice.nodes) > most:
        ranked = sorted(places, key=lambda place: -(choice.scores or choice.q)[place])[:most]
        places = sorted({*ranked, choice.chosen})
    row: list[Json] = [
        numbers[choice.parent], choice.parent_visits, choice.width, choice.num_children, len(choice.nodes),
        choice.nodes[choice.chosen].index, 4 if choice.priors is None else 5,
    ]  # fmt: skip
    for place in places:
        score = None if choice.scores is None else _rounded(choice.scores[place])
        row += [choice.nodes[place].index, _rounded(choice.q[place]), choice.visits[place], score]
        if choice.priors is not None:
            row.append(_rounded(choice.priors[place]))
    return row
