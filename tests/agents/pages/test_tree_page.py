"""The page as a file: nothing in it is HTML but its own, and nothing may run or be requested but its script."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hostile_texts import HOSTILE_TEXTS
from scripted_page import gold, hostile_plan, small_plan

from agents import show_tree
from agents.pages.tree_data import tree_data
from agents.pages.tree_page import embedded, tree_page


class Elements(HTMLParser):
    """Collects the elements of a page, their attributes, and the texts of scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self._tag = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._tag = tag
        if tag in ("script", "style"):
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self._tag in ("script", "style"):
            self.scripts[-1] += data

    def handle_endtag(self, tag: str) -> None:
        self._tag = ""


@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=range(len(HOSTILE_TEXTS)))
def test_embedded_text_has_nothing_that_html_reads_and_comes_back(text: str):
    found = embedded({"text": text, text: [text]})
    assert not set("<>&\u2028\u2029") & set(found)
    assert found.isascii()
    assert json.loads(found) == {"text": text, text: [text]}


def test_a_hostile_tree_adds_no_element_to_the_page():
    plan, problem = hostile_plan()
    hostile = Elements(tree_page(tree_data(plan, problem, problem.question)))
    plain = Elements(tree_page(tree_data(small_plan(), gold(), "mine")))
    assert hostile.tags == plain.tags
    assert [hostile.scripts[0], hostile.scripts[2]] == [plain.scripts[0], plain.scripts[2]]


def test_the_policy_allows_the_pages_own_script_and_style_and_no_request():
    page = tree_page(tree_data(small_plan(), gold(), "mine"))
    found = Elements(page)
    policy = next(a["content"] for _, a in found.tags if a.get("http-equiv") == "Content-Security-Policy") or ""
    style, _, script = found.scripts
    sources = [
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in (script, style)
    ]
    assert policy == (
        f"default-src 'none'; script-src {sources[0]}; style-src {sources[1]}; base-uri 'none'; form-action 'none'"
    )
    assert not [a for _, a in found.tags if {"src", "srcset", "style", "onclick", "onload"} & a.keys()]
    assert not re.search(r"https?://", page)


def test_the_script_sets_text_and_never_html():
    script = Elements(tree_page(tree_data(small_plan(), gold(), ""))).scripts[2]
    assert "textContent" in script
    for unsafe in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "Function(", "fetch("):
        assert unsafe not in script


def test_show_tree_writes_one_file_and_returns_its_path(tmp_path: Path):
    path = show_tree(small_plan(), str(tmp_path / "tree.html"), gold(), title="mine")
    assert path == tmp_path / "tree.html"
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
