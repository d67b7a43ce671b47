"""Subtree reuse: once the environment has stepped, planning may start from what the last tree holds below it."""

from __future__ import annotations

from dataclasses import replace
from itertools import takewhile

from agents.tree.node import Node, walk
from agents.tree.saving import STATISTICS
from alphallm_env.errors import StateError
from alphallm_env.simulator import Simulator
from alphallm_env.types import State


def find_state(root: Node, state: State) -> Node | None:
    """Returns the node at or below `root` that was reached by the texts of the state's options, None where none was.

    Token counts and log-probabilities are not compared: an environment that was stepped with plain text counts them
    anew. Of siblings with equal texts it is the one visited most.
    """
    texts = [option.text for option in state.options]
    start = [option.text for option in root.state.options]
    if state.question != root.state.question or texts[: len(start)] != start:
        return None
    node = root
    for text in texts[len(start) :]:
        found = [child for child in node.children if any(m.option and m.option.text == text for m in child.members)]
        if not found:
            return None
        node = max(found, key=lambda child: child.visit_count)
        node = node.same_as or node
    return node


def kept_subtree(root: Node, state: State, simulator: Simulator) -> Node | None:
    """Returns a copy of the tree from the node of `state` downwards, with that node as root at depth 0.

    Statistics, critics' scores and finished trajectories are kept, and the states are moved below `state`. None, so
    that planning starts a fresh tree, where the tree does not hold the state, has no simulation through it, or where
    an episode below it would end otherwise than it did, as more tokens were spent.
    """
    node = find_state(root, state)
    if node is None or node.visit_count == 0 or node.is_terminal:
        return None
    try:
        return _moved_tree(node, _Mover(node, state, simulator))
    except StateError:
        return None


class _Mover:
    """Replays the options of states below a node from another state."""

    def __init__(self, node: Node, state: State, simulator: Simulator) -> None:
        self._simulator = simulator
        self._moved = {id(member): state for member in node.members}

    def moved(self, state: State) -> State:
        """Returns the state reached by the same options. Raises StateError if an episode ends otherwise on the way."""
        new = list(takewhile(lambda above: id(above) not in self._moved, state.path()))
        for above in reversed(new):
            assert above.parent is not None
            assert above.option is not None
            found = self._simulator.transition(self._moved[id(above.parent)], above.option).state
            if found.ending is not above.ending:
                raise StateError(f"expected an episode that is {above.ending}, got {found.ending}")
            self._moved[id(above)] = found
        return self._moved[id(state)]


def _moved_tree(node: Node, mover: _Mover) -> Node:
    copies: dict[Node | None, Node] = {}
    for old in walk(node):
        parent = None if old is node else copies[old.parent]
        index = 0 if parent is None else old.index
        new = copies[old] = Node(mover.moved(old.state), parent, seed=old.seed, index=index)
        for name in STATISTICS:
            setattr(new, name, getattr(old, name))
        new.virtual_loss = new.num_pending = new.num_repeats = 0
        new.finished = tuple(replace(trajectory, state=mover.moved(trajectory.state)) for trajectory in old.finished)
        if parent is not None:
            new.members += [mover.moved(member) for member in old.members[1:]]
            parent.children.append(new)
    for old, new in copies.items():
        if old is not None and old.same_as in copies:  # else it is a node of its own from here on
            new.same_as = copies[old.same_as]
            new.same_as.aliases += (new,)
    return copies[node]
