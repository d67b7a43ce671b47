import copy
from pathlib import Path

import pytest

from agents.best_of_n import BestOfN
from agents.field.beam import StepBeam
from agents.greedy import Greedy
from agents.mcts import EtaMCTS
from agents.presets import PRESETS
from agents.registry import PLANNERS, PlannerMaker, make_planner
from agents.tree.selection import puct, uct

MODULE = """
from agents import Greedy, Planner, eta_mcts, preset_family
from agents.registry import PlannerMaker


class Mine(Greedy):
    name = "mine"


class Unnamed(Planner):
    def plan(self, env, budget, rng):
        raise NotImplementedError


def not_a_planner():
    return 3


def configured():
    return Unnamed()


instance = Mine()
depends = PlannerMaker(lambda problems: eta_mcts(f"{preset_family(problems)}_large"))
"""


@pytest.mark.parametrize("name", PLANNERS)
def test_our_planners_go_by_their_names(name: str):
    assert make_planner(name).name == name


def test_the_names_mean_what_they_say():
    majority, rerank = make_planner("majority"), make_planner("orm_rerank")
    assert isinstance(majority, BestOfN)
    assert isinstance(rerank, BestOfN)
    assert (majority.pick, rerank.pick) == ("majority", "orm")


def test_trees_of_fixed_width_differ_by_their_rule_of_selection():
    for name, selection, has_root_rule in (("uct", uct, False), ("puct", puct, False), ("gumbel", puct, True)):
        planner = make_planner(name, "countdown")
        assert isinstance(planner, EtaMCTS)
        config = planner.config
        assert (config.descent.selection, config.descent.root_selection is not None) == (selection, has_root_rule)
        assert (config.width.alpha, config.sampling.merge_rule) == (0.0, None)
        assert config.width.c_min_root == PRESETS["countdown_small"].width.c_min_root


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
    assert make_planner("planners_of_mine:configured").name == "configured"
    assert make_planner("planners_of_mine:instance") is make_planner("planners_of_mine:instance")
    assert make_planner("planners_of_mine:depends", "math").name == "eta_mcts:math_large"
    with pytest.raises(ValueError, match=r"planner must be one of greedy, .*must be or make a Planner, got int"):
        make_planner("planners_of_mine:not_a_planner")
    with pytest.raises(ValueError, match=r"planner must be one of greedy, .*has no attribute 'Nothing'"):
        make_planner("planners_of_mine:Nothing")


def test_a_planner_can_be_registered(monkeypatch: pytest.MonkeyPatch):
    registry = copy.deepcopy(PLANNERS)
    monkeypatch.setattr("agents.registry.PLANNERS", registry)
    registry.register("mine", PlannerMaker(lambda _: Greedy()))
    assert isinstance(make_planner("mine"), Greedy)


@pytest.mark.parametrize(
    ("name", "problems", "preset"),
    [
        ("eta_mcts", "gsm_symbolic", "tiny_small"),
        ("eta_mcts", "gsm8k", "gsm8k_small"),
        ("eta_mcts_small", "math", "math_small"),
        ("eta_mcts_large", "data/gsm8k.jsonl", "gsm8k_large"),
        ("eta_mcts_large", "mine.jsonl", "tiny_large"),
    ],
)
def test_the_presets_are_those_of_the_problems(name: str, problems: str, preset: str):
    planner = make_planner(name, problems)
    assert isinstance(planner, EtaMCTS)
    assert planner.config == PRESETS[preset]
    assert planner.name == name  # seeds derive from it


def test_settings_stand_behind_the_name():
    tree = make_planner("eta_mcts_plus,checks=false, c=0.25,merge_rule=none,selection=puct", "countdown")
    assert isinstance(tree, EtaMCTS)
    own = PRESETS["countdown_small"].with_settings(checks=True, growth=0.5, transpositions=True, c_min_root=4)
    assert tree.config == own.with_settings(checks=False, c=0.25, merge_rule=None, selection=puct)
    assert tree.name == "eta_mcts_plus,checks=false, c=0.25,merge_rule=none,selection=puct"
    preset = make_planner("eta_mcts:gsm8k_large,num_rollouts=2")
    assert isinstance(preset, EtaMCTS)
    assert preset.config == PRESETS["gsm8k_large"].with_settings(num_rollouts=2)
    samples = make_planner("orm_rerank,redraws=1,stop_at=0.5")
    assert isinstance(samples, BestOfN)
    assert (samples.pick, samples.redraws, samples.stop_at) == ("orm", 1, 0.5)
    beam = make_planner("step_beam,critic=value")
    assert isinstance(beam, StepBeam)
    assert beam.critic == "value"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("eta_mcts,width=3", "settings must be among .*got width"),
        ("eta_mcts,checks=perhaps", "checks must be one of no names, but a number, got 'perhaps'"),
        ("greedy,width=3", "expected settings of the planner greedy, got width=3"),
        ("step_beam,breadth=3", "expected settings of the planner step_beam, got breadth=3.*breadth"),
    ],
)
def test_a_setting_that_a_planner_lacks_is_an_error(name: str, said: str):
    with pytest.raises(ValueError, match=said):
        make_planner(name)


def test_a_planner_of_a_module_takes_settings_where_it_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "planners_with_settings.py").write_text(
        "from agents import Greedy\n\n\nclass Mine(Greedy):\n"
        "    def __init__(self, size=1):\n        self.size = size\n\n\ninstance = Mine()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    planner = make_planner("planners_with_settings:Mine,size=4")
    assert planner.size == 4  # type: ignore[attr-defined]
    assert planner.name == "planners_with_settings:Mine,size=4"
    with pytest.raises(ValueError, match="a planner that is made already takes no settings, got size"):
        make_planner("planners_with_settings:instance,size=4")


@pytest.mark.parametrize("name", ["best", "eta_mcts:huge", ":Class", "module:"])
def test_an_unknown_planner_is_an_error(name: str):
    with pytest.raises(ValueError, match="must be one of"):
        make_planner(name)
