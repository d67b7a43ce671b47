"""The search tree: nodes with their statistics, ways to walk it, and its picture as text."""

from __future__ import annotations

import math
from collections.abc import Iterator

from alphallm_env.runtime.seeds import derive_seed
from alphallm_env.types import ScoreKind, State, Trajectory


class Node:
    """A group of states that mean the same, with the statistics that they share.

    `members` holds the states: the first opened the node, the others were merged into it. Critics' scores
    are None until the node is evaluated, and stay None where a critic is switched off.
    """

    __slots__ = (
        "_seed",
        "aliases",
        "children",
        "depth",
        "finished",
        "index",
        "is_exhausted",
        "is_saturated",
        "is_terminal",
        "max_value",
        "members",
        "num_draws",
        "num_evaluated",
        "num_pending",
        "num_repeats",
        "num_sampled",
        "orm",
        "parent",
        "prm",
        "q",
        "rest_until",
        "same_as",
        "score",
        "square_sum",
        "value",
        "value_sum",
        "virtual_loss",
        "visit_count",
    )

    def __init__(self, state: State, parent: Node | None = None, *, seed: int | None = None, index: int = 0) -> None:
        self.members: list[State] = [state]
        self.parent = parent
        self.is_terminal = state.ending is not None  # whether the episode has ended here
        self.children: list[Node] = []
        self.index = index  # place among its siblings
        self.depth: int = 0 if parent is None else parent.depth + 1  # options below the root
        self._seed = seed
        self.value: float | None = None  # v(s)
        self.prm: float | None = None
        self.orm: float | None = None  # of the text if it has ended, else the discounted mean over its rollouts
        self.score: float | None = None  # s(s), what is backed up
        self.finished: tuple[Trajectory, ...] = ()  # ended texts: its own or those of its rollouts
        self.visit_count = 0  # returns backed up to this node
        self.value_sum = 0.0  # of these returns
        self.square_sum = 0.0  # of their squares
        self.max_value = 0.0
        self.q = 0.0  # what the backup rule makes of the returns, 0 before the first
        self.virtual_loss = 0  # simulations in flight below this node
        self.num_pending = 0  # children in flight
        self.num_draws = 1  # options drawn at the parent that mean this node
        self.num_evaluated = 1  # of the members, those whose texts count in the scores; the first does
        self.num_sampled = 0  # options drawn here, rejected and merged ones included
        self.num_repeats = 0  # options in a row that brought nothing new, while children are drawn
        self.rest_until = 0  # visits before more options are drawn here, after draws that brought nothing new
        self.is_saturated = False  # there is evidence that the policy has nothing new to offer here
        self.is_exhausted = False  # no simulation below this node can find anything new
        self.same_as: Node | None = None  # the node at the same position that is expanded in place of this one
        self.aliases: tuple[Node, ...] = ()  # the nodes that are the same as this one

    @property
    def seed(self) -> int:
        """The seed of everything sampled here, made from the path: nodes of equal states still draw differently."""
        if self._seed is None:
            self._seed = 0 if self.parent is None else derive_seed(self.parent.seed, "child", self.index)
        return self._seed

    @property
    def state(self) -> State:
        """The state that opened the node."""
        return self.members[0]

    @property
    def mean(self) -> float:
        """The mean of the returns backed up to this node; 0 before the first."""
        return self.value_sum / self.visit_count if self.visit_count else 0.0

    @property
    def variance(self) -> float:
        """The variance of the returns backed up to this node, mean of squares − square of the mean; 0 before two."""
        if self.visit_count < 2:
            return 0.0
        return max(0.0, self.square_sum / self.visit_count - self.mean**2)

    @property
    def prior(self) -> float:
        """The probability per token of the option that led here, summed over the group's different texts.

        exp(log_prob / num_tokens) for each. Raises ValueError if nobody measured the log-probability.
        """
        options = {member.option.text: member.option for member in self.members if member.option is not None}
        total = 0.0
        for option in options.values():
            if option.log_prob is None:
                raise ValueError(f"a prior needs an option with a log-probability, got {option}")
            total += math.exp(option.log_prob / max(1, option.num_tokens))
        return total

    def add_child(self, state: State) -> Node:
        """Returns the new child that `state` opens."""
        index = len(self.children)
        child = Node(state, self, index=index)
        self.children.append(child)
        return child

    def join(self, state: State) -> None:
        """Adds a state that means the same."""
        self.members.append(state)

    @property
    def is_resting(self) -> bool:
        """Whether no option is drawn here for now, or ever."""
        return self.is_saturated or self.visit_count < self.rest_until

    @property
    def score_kind(self) -> ScoreKind:
        """What judged an ended text of this node: the ORM, or the other critics where the ORM is switched off."""
        return ScoreKind.CRITICS if self.orm is None else ScoreKind.ORM

    @property
    def size(self) -> int:
        """The number of nodes at and below this one."""
        return num_nodes(self)

    def path(self) -> Iterator[Node]:
        """Yields this node, its parent, and so on up to the root."""
        node: Node | None = self
        while node is not None:
            yield node
            node = node.parent

    def __repr__(self) -> str:
        return f"Node({_statistics(self)}, text={_excerpt(self)!r})"


def walk(root: Node) -> Iterator[Node]:
    """Yields the root and everything below it, parents before children, siblings in order."""
    stack = [root]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(node.children))


def num_nodes(root: Node) -> int:
    """Returns the number of nodes, the root included."""
    return sum(1 for _ in walk(root))


def depth(root: Node) -> int:
    """Returns the number of options on the longest path below `root`."""
    return max(node.depth for node in walk(root)) - root.depth


def widths(root: Node) -> list[int]:
    """Returns the number of nodes at each depth, the root's first."""
    counts = [0] * (depth(root) + 1)
    for node in walk(root):
        counts[node.depth - root.depth] += 1
    return counts


def width(root: Node) -> int:
    """Returns the number of nodes at the depth that has most of them."""
    return max(widths(root))


def finished_trajectories(root: Node) -> list[Trajectory]:
    """Returns every ended text that the search saw, in the order of `walk`."""
    return [trajectory for node in walk(root) for trajectory in node.finished]


def render_tree(root: Node, max_nodes: int = 200) -> str:
    """Returns the tree as text, one node per line, children below their parent.

    Nodes past the first `max_nodes` are counted in the last line.
    """
    lines: list[str] = []
    num_hidden = 0
    for node in walk(root):
        if len(lines) < max_nodes:
            lines.append(f"{_branch(node, root)}{_statistics(node)}  {_excerpt(node)}".rstrip())
        else:
            num_hidden += 1
    return "\n".join(lines + ([f"… {num_hidden} more nodes"] if num_hidden else []))


def _branch(node: Node, root: Node) -> str:
    """Returns the lines that connect a node to its parent in the picture."""
    parts: list[str] = []
    for ancestor in node.path():
        if ancestor is root or ancestor.parent is None:
            break
        is_last = ancestor is ancestor.parent.children[-1]
        if ancestor is node:
            parts.append("└─ " if is_last else "├─ ")
        else:
            parts.append("   " if is_last else "│  ")
    return "".join(reversed(parts))


def _statistics(node: Node) -> str:
    known = {"v": node.value, "prm": node.prm, "orm": node.orm, "s": node.score}
    scores = [f"{name}={score:.2f}" for name, score in known.items() if score is not None]
    merged = [f"merged={len(node.members)}"] if len(node.members) > 1 else []
    ending = [node.state.ending.value] if node.state.ending else []
    other = ["transposed"] if node.same_as is not None else []
    return " ".join([f"n={node.visit_count}", f"q={node.mean:.2f}", *scores, *merged, *ending, *other])


def _excerpt(node: Node, length: int = 80) -> str:
    text = node.state.option.text if node.parent is not None and node.state.option else node.state.question
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1] + "…"
