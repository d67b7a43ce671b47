"""Searches as bytes: UTF-8 JSON, never pickle; what is read back equals what was written to the last bit."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import takewhile
from typing import Any, cast

from agents.base import Budget
from agents.tree.node import Node, walk
from alphallm_env.errors import StateError
from alphallm_env.runtime.files import Json
from alphallm_env.runtime.metering import Usage
from alphallm_env.types import (
    Ending,
    Option,
    ScoreKind,
    State,
    StopReason,
    Trajectory,
    Transcript,
)

_VERSION = 3
# What a node's row holds after its parent, the node that it is the same as, its states and its finished trajectories.
STATISTICS = (
    "value", "prm", "orm", "score", "visit_count", "value_sum", "square_sum", "max_value", "q",
    "virtual_loss", "num_draws", "num_evaluated", "num_pending", "num_sampled", "num_repeats", "rest_until",
    "is_saturated", "is_exhausted",
)  # fmt: skip


@dataclass(frozen=True)
class SavedSearch:
    """All that a search needs to resume.

    `wave` has, for each node of an interrupted wave, its number in `walk(root)`, the children it is to get, and those
    it had before; None between waves.
    """

    settings: Json
    seed: int
    budget: Budget
    usage: Usage
    read: dict[str, list[list[int | str]]]  # `Meter.save_memory`: what the models have read
    outcome_scores: dict[str, float]  # the ORM's, by text
    extra_width: int
    wave: list[tuple[int, int, int]] | None
    root_selection: Json
    root: Node

    def to_bytes(self, transcribed: Callable[[Trajectory], Trajectory]) -> bytes:
        """Returns the search as bytes. `transcribed` adds to a trajectory what critics wrote about it."""
        states = StateTable()
        record = {
            "version": _VERSION,
            "settings": self.settings,
            "seed": self.seed,
            "budget": asdict(self.budget),
            "usage": asdict(self.usage),
            "read": self.read,
            "outcome_scores": self.outcome_scores,
            "extra_width": self.extra_width,
            "wave": self.wave,
            "root_selection": self.root_selection,
            "root_seed": self.root.seed,
            "nodes": _node_rows(self.root, states, transcribed),
            "states": states.rows,
        }
        # Not ASCII: two surrogates side by side would be read back as one character.
        return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")

    @staticmethod
    def from_bytes(data: bytes) -> SavedSearch:
        """Returns the search that `to_bytes` wrote. Raises StateError if the bytes are not one."""
        try:
            record = cast("dict[str, Any]", json.loads(data.decode("utf-8", "surrogatepass")))
            if record["version"] != _VERSION:
                raise ValueError(f"expected version {_VERSION}, got {record['version']!r}")
            return SavedSearch(
                settings=record["settings"],
                seed=int(record["seed"]),
                budget=Budget(**record["budget"]),
                usage=Usage.from_json(record["usage"]),
                read=record["read"],
                outcome_scores=record["outcome_scores"],
                extra_width=int(record["extra_width"]),
                wave=record["wave"] and [(node, wanted, before) for node, wanted, before in record["wave"]],
                root_selection=record["root_selection"],
                root=_tree(record["nodes"], _states(record["states"]), int(record["root_seed"])),
            )
        except (ValueError, KeyError, TypeError, IndexError, OverflowError, struct.error) as error:
            raise StateError(f"expected the bytes of a search, got {data[:40]!r}: {error}") from error


class StateTable:
    """The states of a tree as rows, each written once, parents before children: the first one is the initial state."""

    def __init__(self) -> None:
        self.rows: list[Json] = []
        self._numbers: dict[int, int] = {}  # by identity: equal states of two nodes have a row each

    def number(self, state: State) -> int:
        """Returns the row of a state; the state and those before it are added where they are new."""
        new = list(takewhile(lambda above: id(above) not in self._numbers, state.path()))
        for above in reversed(new):
            self._numbers[id(above)] = len(self.rows)
            self.rows.append(self._row(above))
        return self._numbers[id(state)]

    def _row(self, state: State) -> list[Json]:
        option, ending = state.option, state.ending.value if state.ending else None
        if state.parent is None or option is None:
            return [state.problem_id, state.question, state.verifier]
        parent = self._numbers[id(state.parent)]
        return [parent, option.text, option.num_tokens, option.log_prob, option.stop_reason.value, ending]


def _states(rows: Sequence[Sequence[Any]]) -> list[State]:
    states: list[State] = []
    for row in rows:
        if len(row) == 3:
            states.append(State(str(row[0]), str(row[1]), verifier=str(row[2])))
            continue
        parent, text, num_tokens, log_prob, stop_reason, ending = row
        option = Option(str(text), int(num_tokens), log_prob, StopReason(stop_reason))
        states.append(states[parent].child(option, Ending(ending) if ending else None))
    return states


def _node_rows(root: Node, states: StateTable, transcribed: Callable[[Trajectory], Trajectory]) -> list[Json]:
    nodes = list(walk(root))
    numbers: dict[Node | None, int] = {node: number for number, node in enumerate(nodes)}
    rows: list[Json] = []
    for node in nodes:
        members: list[Json] = [states.number(member) for member in node.members]
        finished = [_trajectory_row(transcribed(trajectory), states) for trajectory in node.finished]
        statistics: list[Json] = [getattr(node, name) for name in STATISTICS]
        parent = numbers[node.parent] if node is not root else None
        same_as = None if node.same_as is None else numbers[node.same_as]
        rows.append([parent, same_as, members, cast(Json, finished), *statistics])
    return rows


def _tree(rows: Sequence[Sequence[Any]], states: Sequence[State], root_seed: int) -> Node:
    nodes: list[Node] = []
    for parent, _, members, finished, *statistics in rows:
        if parent is None:
            node = Node(states[members[0]], seed=root_seed)
        else:
            node = nodes[parent].add_child(states[members[0]])
        node.members += [states[number] for number in members[1:]]
        node.finished = tuple(_trajectory(row, states) for row in finished)
        for name, value in zip(STATISTICS, statistics, strict=True):
            setattr(node, name, value)
        nodes.append(node)
    for node, row in zip(nodes, rows, strict=True):
        other = None if row[1] is None else nodes[row[1]]
        if other is not None:
            node.same_as = other
            if node.score is not None:  # else its wave was interrupted before it was linked
                other.aliases += (node,)
    return nodes[0]


def _trajectory_row(trajectory: Trajectory, states: StateTable) -> list[Json]:
    transcript = None if trajectory.transcript is None else cast(Json, asdict(trajectory.transcript))
    return [states.number(trajectory.state), trajectory.score, trajectory.score_kind.value, transcript]


def _trajectory(row: Sequence[Any], states: Sequence[State]) -> Trajectory:
    state, score, kind, transcript = row
    return Trajectory(states[state], score, transcript and Transcript.from_json(transcript), ScoreKind(kind))
