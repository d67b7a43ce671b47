from pathlib import Path

import pytest

from agents.best_of_n import BestOfN
from agents.mcts import EtaMCTS
from agents.presets import PRESETS
from agents.registry import PLANNERS, make_planner

MODULE = """
from agents.greedy import Greedy
from agents.base import Planner


class Mine(Greedy):
    name = "mine"


class Unnamed(Planner):
    def plan(self, env, budget, rng):
        raise NotImplementedError


def not_a_planner():
    return 3
"""


@pytest.mark.parametrize("name", PLANNERS)
def test_our_planners_go_by_their_names(name: str):
    assert make_planner(name).name == name


def test_the_names_mean_what_they_say():
    majority, rerank = make_planner("majority"), make_planner("orm_rerank")
    assert isinstance(majority, BestOfN)
    assert isinstance(rerank, BestOfN)
    assert (majority.pick, rerank.pick) == ("majority", "orm")


def test_a_preset_can_be_named():
    planner = make_planner("eta_mcts:gsm8k_large")
    assert isinstance(planner, EtaMCTS)
    assert planner.config == PRESETS["gsm8k_large"]


def test_a_class_is_imported_from_the_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "planners_of_mine.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert make_planner("planners_of_mine:Mine").name == "mine"
    assert make_planner("planners_of_mine:Unnamed").name == "Unnamed"
    with pytest.raises(ValueError, match="must make a Planner, got int"):
        make_planner("planners_of_mine:not_a_planner")
    with pytest.raises(ValueError, match="has no 'Nothing'"):
        make_planner("planners_of_mine:Nothing")


@pytest.mark.parametrize("name", ["best", "eta_mcts:huge", ":Class", "module:"])
def test_an_unknown_planner_is_an_error(name: str):
    with pytest.raises(ValueError, match="must be one of"):
        make_planner(name)
