"""The pages of a run's trees: `trees/PLANNER/ID.html` for its first problems, and `trees/index.html`."""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Sequence
from pathlib import Path

from agents.base import Planner, PlanResult
from agents.mcts import EtaMCTS
from agents.pages.tree_page import show_tree
from alphallm_env.runtime.files import write_whole
from alphallm_env.types import Problem

_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'"


def traced(planner: Planner) -> Planner:
    """Returns the planner with its trace on, where it is ηMCTS; it finds the same. Another one as it is."""
    return EtaMCTS(planner.config.with_settings(trace=True), planner.name) if type(planner) is EtaMCTS else planner


def safe_name(name: str) -> str:
    """Returns a name for a file: letters, digits and `._=-`; with a digest behind it where the name has others.

    >>> safe_name("sum_4"), safe_name("../a b")
    ('sum_4', '_a_b-2c2c791a')
    """
    safe = re.sub(r"[^A-Za-z0-9._=-]+", "_", name).lstrip(".")[:80]
    return safe if safe == name else f"{safe}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


class TreePages:
    """The pages of the trees of a run's first `num` problems, in its folder."""

    def __init__(self, folder: Path, problems: Sequence[Problem], num: int) -> None:
        self.index = folder / "trees" / "index.html"
        self._folder = folder / "trees"
        self._problems = problems[:num]
        self._ids = {problem.id for problem in self._problems}

    def write(self, name: str, problem: Problem, result: PlanResult) -> None:
        """Writes the page of a planner's tree, where it built one and the problem is among the first."""
        if problem.id in self._ids and result.root is not None:
            page = self._page(name, problem)
            page.parent.mkdir(parents=True, exist_ok=True)
            show_tree(result, page, problem, title=name)

    def write_index(self, names: Sequence[str]) -> int:
        """Writes the page that links to those of these planners, and returns how many there are."""
        links = [
            (name, problem, self._page(name, problem))
            for name in names
            for problem in self._problems
            if self._page(name, problem).exists()
        ]
        items = "".join(
            f'<li><a href="{page.parent.name}/{page.name}">{html.escape(f"{name}: {problem.question}")}</a></li>\n'
            for name, problem, page in links
        )
        self._folder.mkdir(parents=True, exist_ok=True)
        head = f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        body = f"<body><h1>Trees</h1><ul>\n{items}</ul></body>"
        page = f'<!doctype html>\n<html lang="en"><head>{head}<title>Trees</title></head>{body}</html>\n'
        write_whole(self.index, page.encode("utf-8", "replace"))
        return len(links)

    def _page(self, name: str, problem: Problem) -> Path:
        return self._folder / safe_name(name) / f"{safe_name(problem.id)}.html"
