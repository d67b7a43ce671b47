"""The pages of a run's trees: whose they are, what they are called, what links to them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hostile_texts import HOSTILE_TEXTS
from scripted_page import hostile_plan, small_plan
from scripted_world import PROBLEM

from agents import BestOfN, EtaMCTS, Usage, eta_mcts
from agents.base import PlanResult
from alphallm_env.types import Problem
from experiments.runs.trees import TreePages, safe_name, traced


@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=range(len(HOSTILE_TEXTS)))
def test_any_name_becomes_one_of_a_file_in_the_folder(text: str):
    found = safe_name(f"../{text}")
    assert re.fullmatch(r"[\w.=-]{1,89}", found, re.ASCII)
    assert not found.startswith(".")


def test_names_that_differ_stay_apart():
    assert safe_name("eta_mcts") == "eta_mcts"
    assert len({safe_name(name) for name in ("a/b", "a:b", "a_b", "a b", "..a_b", "x" * 100, "x" * 101)}) == 7


def test_only_a_tree_search_gets_a_trace():
    planner = traced(eta_mcts(c=0.5, name="mine"))
    assert isinstance(planner, EtaMCTS)
    assert (planner.config.trace, planner.config.descent.c, planner.name) == (True, 0.5, "mine")
    other = BestOfN("majority")
    assert traced(other) is other


def test_pages_are_written_for_the_first_problems_with_a_tree(tmp_path: Path):
    others = [Problem(f"other/{number}", "Why?") for number in range(3)]
    pages, plan = TreePages(tmp_path, [PROBLEM, *others], 2), small_plan()
    pages.write("uct", PROBLEM, plan)
    pages.write("uct", others[2], plan)
    pages.write("greedy", PROBLEM, PlanResult(plan.start, plan.best, plan.finished, Usage()))
    assert pages.write_index(["greedy", "uct"]) == 1
    assert {path.name for path in tmp_path.rglob("*.html")} == {"index.html", "sum.html"}
    assert 'href="uct/sum.html"' in pages.index.read_text()


def test_the_index_escapes_questions(tmp_path: Path):
    plan, problem = hostile_plan()
    pages = TreePages(tmp_path, [problem], 1)
    pages.write("<b>", problem, plan)
    assert pages.write_index(["<b>"]) == 1
    assert set(re.findall(r"<(\w+)", pages.index.read_text())) == {
        "html", "head", "meta", "title", "body", "h1", "ul", "li", "a",
    }  # fmt: skip
