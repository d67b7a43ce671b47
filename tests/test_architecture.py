"""The picture of the house shows today's boxes and arrows, and `docs/architecture.md` names every folder."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
SIZES = re.compile(r"[\d,]+ modules? · [\d,]+ lines")  # they change with every edit; `make picture` renews them


@pytest.fixture(scope="module")
def drawing() -> ModuleType:
    spec = importlib.util.spec_from_file_location("draw_architecture", ROOT / "docs" / "site" / "draw_architecture.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # dataclasses look it up there
    spec.loader.exec_module(module)
    return module


def test_the_picture_shows_todays_boxes_and_arrows(drawing):
    drawn = drawing.draw(drawing.read_architecture())
    kept = (ROOT / "docs" / "architecture.svg").read_text(encoding="utf-8")
    assert SIZES.sub("", drawn) == SIZES.sub("", kept), "run `make picture`"


def test_no_import_points_up_and_none_goes_round(drawing):
    found = drawing.read_architecture()
    assert not found.upward
    assert found.num_cycles == 0


def test_an_arrow_that_others_imply_is_left_out(drawing):
    assert drawing.necessary({("a", "b"), ("b", "c"), ("a", "c")}, "abc") == {("a", "b"), ("b", "c")}


def test_cycles_are_found_once_each(drawing):
    graph = {"a": {"b"}, "b": {"a", "c"}, "c": {"d"}, "d": {"d"}, "e": {"a"}}
    assert drawing.cycles(graph) == [{"a", "b"}, {"d"}]


def test_crossings_between_two_rows(drawing):
    assert drawing.crossings(["ab", "xy"], [("a", "y"), ("b", "x")]) == 1
    assert drawing.crossings(["ab", "xy"], [("a", "x"), ("b", "y")]) == 0


def test_the_page_names_every_folder():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    folders = {
        p.parent for package in ("alphallm_env", "agents", "experiments") for p in (ROOT / package).rglob("*.py")
    }
    named = set(re.findall(r"^\| `([\w/]+)/` \|", page, re.MULTILINE))
    assert named == {str(folder.relative_to(ROOT)) for folder in folders}
