"""What a search over one problem found and cost, as a line of a run's journal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

from agents.base import PlanResult
from agents.tree.node import Node, depth, num_nodes, walk, width
from alphallm_env.grading import Verdict
from alphallm_env.mdp.rewards import verdict_of
from alphallm_env.runtime.files import Journal, Json
from alphallm_env.runtime.metering import Usage
from alphallm_env.training.base import Decision, SearchedOption
from alphallm_env.types import Problem, ScoreKind, State, Trajectory, Transcript

MAX_REJECTED = 16  # trajectories beside the best one that a record keeps


@dataclass(frozen=True)
class SearchRecord:
    """One problem, searched: its answer, how it was graded, what it cost, what was found on the way.

    `verdict` is the environment's (`mdp.rewards.verdict_of`), `unknown` for a problem without an answer.
    `score` is the chosen trajectory's, in [0, 1]; `best` is
    the best-scored finished trajectory, what training takes. `rejected` are other finished trajectories, best first,
    without transcripts: at most `MAX_REJECTED`, spread evenly from the best to the worst where there were more.
    Of the tree's nodes below the root, `num_expanded` have children, and `num_choices` two or more, where selection had
    a choice.
    `decisions` are the tree's nodes on the way to `best`, from the root to where a rollout took over, with all
    options that were tried at each.
    """

    problem: Problem
    answer: str | None
    verdict: str
    score: float
    best: Trajectory
    usage: Usage
    num_nodes: int = 0
    depth: int = 0
    width: int = 0
    num_expanded: int = 0
    num_choices: int = 0
    rejected: tuple[Trajectory, ...] = ()
    decisions: tuple[Decision, ...] = ()

    @property
    def kept(self) -> tuple[Trajectory, ...]:
        """The finished trajectories that the record has, the best first."""
        return (self.best, *self.rejected)

    @property
    def is_correct(self) -> bool:
        """Whether the answer was graded correct."""
        return self.verdict == Verdict.CORRECT.value

    def to_json(self) -> Json:
        """Returns the record as JSON, which `from_json` reads back."""
        return {
            "problem": asdict(self.problem),
            "answer": self.answer,
            "verdict": self.verdict,
            "score": self.score,
            "best": _trajectory_json(self.best),
            "usage": asdict(self.usage),
            "num_nodes": self.num_nodes,
            "depth": self.depth,
            "width": self.width,
            "num_expanded": self.num_expanded,
            "num_choices": self.num_choices,
            "rejected": [_trajectory_json(trajectory) for trajectory in self.rejected],
            "decisions": [
                [decision.prefix, decision.chosen, [[o.text, o.visit_count, o.value] for o in decision.options]]
                for decision in self.decisions
            ],
        }

    @staticmethod
    def from_json(record: Json) -> SearchRecord:
        """Returns the record that `to_json` wrote."""
        fields = dict(cast("dict[str, Any]", record))
        problem = Problem(**fields.pop("problem"))
        return SearchRecord(
            problem=problem,
            best=_trajectory(fields.pop("best"), problem),
            usage=Usage.from_json(fields.pop("usage")),
            rejected=tuple(_trajectory(item, problem) for item in fields.pop("rejected")),
            decisions=tuple(
                Decision(prefix, tuple(SearchedOption(*option) for option in options), chosen)
                for prefix, chosen, options in fields.pop("decisions")
            ),
            **fields,
        )


def searches_at(path: Path) -> Journal[SearchRecord]:
    """Returns the journal of searches in a JSONL file."""
    return Journal(path, SearchRecord.to_json, SearchRecord.from_json)


def _trajectory_json(trajectory: Trajectory) -> Json:
    """Returns a trajectory without its problem, which the record has once for all."""
    state = json.loads(trajectory.state.to_bytes().decode("utf-8", "surrogatepass"))
    transcript = None if trajectory.transcript is None else cast(Json, asdict(trajectory.transcript))
    return {
        "steps": state["steps"], "score": trajectory.score, "score_kind": trajectory.score_kind.value,
        "transcript": transcript,
    }  # fmt: skip


def _trajectory(record: dict[str, Any], problem: Problem) -> Trajectory:
    state = {
        "problem_id": problem.id, "question": problem.question, "steps": record["steps"], "verifier": problem.verifier,
    }  # fmt: skip
    data = json.dumps(state, ensure_ascii=False).encode("utf-8", "surrogatepass")
    transcript = record["transcript"] and Transcript.from_json(record["transcript"])
    return Trajectory(State.from_bytes(data), record["score"], transcript, ScoreKind(record["score_kind"]))


def record_of(problem: Problem, result: PlanResult) -> SearchRecord:
    """Returns the record of a planner's result; what judges it is asked here, after planning."""
    verdict = verdict_of(result.best.state.text, problem) if problem.is_gradable else "unknown"
    best = max(result.finished, key=lambda trajectory: trajectory.score, default=result.best)
    root = result.root
    below = [len(node.children) for node in walk(root) if node is not root and node.children] if root else []
    return SearchRecord(
        problem=problem,
        answer=result.answer,
        verdict=verdict,
        score=result.best.score,
        best=best,
        usage=result.usage,
        num_nodes=num_nodes(root) if root else 0,
        depth=depth(root) if root else 0,
        width=width(root) if root else 0,
        num_expanded=len(below),
        num_choices=sum(num > 1 for num in below),
        rejected=rejected_beside(best, result.finished),
        decisions=decisions_on_the_way(root, best.state) if root else (),
    )


def rejected_beside(
    best: Trajectory, finished: Sequence[Trajectory], most: int = MAX_REJECTED
) -> tuple[Trajectory, ...]:
    """Returns finished trajectories of other texts than the best one's, each text once, the highest scored first.

    Where there are more than `most`, they are spread evenly over the ranking, its two ends included.
    """
    by_text: dict[str, Trajectory] = {}
    for trajectory in sorted(finished, key=lambda trajectory: -trajectory.score):
        by_text.setdefault(trajectory.state.text, replace(trajectory, transcript=None))
    by_text.pop(best.state.text, None)
    ranked = list(by_text.values())
    if len(ranked) <= most:
        return tuple(ranked)
    return tuple(ranked[round(place * (len(ranked) - 1) / (most - 1))] for place in range(most))


def decisions_on_the_way(root: Node, state: State) -> tuple[Decision, ...]:
    """Returns what the search tried at each node on the way to `state`, as far as that lies in the tree."""
    way = [step for step in state.path() if step.depth > root.state.depth]
    decisions: list[Decision] = []
    node = root
    for step in reversed(way):
        chosen = next((index for index, child in enumerate(node.children) if step in child.members), None)
        if chosen is None:  # from here on the text is a rollout's
            break
        texts = [child.state.option.text if child.state.option else "" for child in node.children]
        texts[chosen] = step.option.text if step.option else ""  # what was written, not what it was merged into
        options = tuple(
            SearchedOption(text, child.visit_count, child.mean)
            for text, child in zip(texts, node.children, strict=True)
        )
        decisions.append(Decision(step.parent.text if step.parent else "", options, chosen))
        node = node.children[chosen]
    return tuple(decisions)
