"""What the page of a tree shows: worked by hand on a small tree, and the same as the tree on a search."""

from __future__ import annotations

import json

import pytest
from scripted_page import gold, hand_made_plan, hostile_plan, small_plan
from scripted_world import PROBLEM, START, add_child, make_simulator, search

from agents import Budget, Node, PlanResult, Usage, eta_mcts, make_planner
from agents.pages import tree_data as module
from agents.pages.tree_data import chosen_path, tree_data
from agents.tree.node import walk
from alphallm_env.types import Trajectory


def test_columns_by_hand():
    data = tree_data(hand_made_plan(), PROBLEM, "mine")
    nodes = data["nodes"]
    assert isinstance(nodes, dict)
    assert nodes["text"] == ["", "2 * 3 = 6\n", "6 + 1 = 7\n", "2 + 3 = 5\n"]
    assert nodes["parent"] == [None, 0, 1, 0]
    assert nodes["visits"] == [4, 3, 2, 1]
    assert nodes["q"] == [0.625, 0.75, 0.5, 0.25]
    assert nodes["orm"] == [None, 0.3333, None, None]
    assert nodes["tokens"] == [None, 1, 1, 1]
    assert (nodes["draws"], nodes["sampled"]) == ([1, 2, 1, 1], [5, 0, 0, 0])
    assert "prm" not in nodes  # no node has any
    assert "prior" not in nodes  # a variant has no log-probability
    assert data["variants"] == {"1": ["3 * 2 = 6\n"]}
    assert data["chosen"] == [0, 1, 2]
    assert data["best"] == [["2 * 3 = 6\n", 1], ["6 + 1 = 7\n", 1], ["#### 7\n", 1]]
    assert data["gold"] == {"answer": "7", "solution": None, "verdict": "correct"}
    assert (data["answer"], data["title"], data["trace"]) == ("7", "mine", None)


def test_priors_are_shares_where_all_are_known():
    root = Node(START, seed=0)
    for text in ("a\n", "b\n"):
        add_child(root, text, log_prob=-2.0)
    best = Trajectory(root.children[0].state, 0.5)
    nodes = tree_data(PlanResult(START, best, (best,), Usage(), root), None, "")["nodes"]
    assert isinstance(nodes, dict)
    assert nodes["prior"] == [None, 0.5, 0.5]


def test_the_way_ends_where_a_rollout_takes_over():
    plan = hand_made_plan()
    assert plan.root is not None
    assert chosen_path(plan.root, plan.best.state)[-1].state.option == plan.best.options[1]


def test_a_plan_without_a_tree_is_refused():
    plan = search(make_planner("majority"), make_simulator(), Budget(tokens=100))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected a plan with a tree"):
        tree_data(plan, None, "")


def test_the_trace_has_each_choice_as_it_was():
    plan = small_plan()
    assert plan.root is not None
    assert plan.trace is not None
    data = tree_data(plan, gold(), "")
    trace, numbers = data["trace"], {node: number for number, node in enumerate(walk(plan.root))}
    assert isinstance(trace, dict)
    assert (trace["start"], trace["end"]) == (0, plan.trace.num_simulations)
    births = plan.trace.births()
    assert trace["births"] == [births.get(node) for node in numbers]
    assert isinstance(trace["waves"], list)
    for row, wave in zip(trace["waves"], plan.trace.waves, strict=True):
        first, last, descents = row  # type: ignore[misc]
        assert (first, last) == (wave.first, wave.last)
        for (node, width, wanted, choices), descent in zip(descents, wave.descents, strict=True):  # type: ignore[misc, arg-type]
            assert (node, width, wanted) == (numbers[descent.node], descent.width, descent.num_wanted)
            for found, choice in zip(choices, descent.choices, strict=True):
                parent, visits, _, _, num, taken, size, *rest = found
                assert (parent, visits, num) == (numbers[choice.parent], choice.parent_visits, len(choice.nodes))
                assert taken == choice.nodes[choice.chosen].index
                assert rest[2::size] == list(choice.visits)
                assert rest[1::size] == [round(q, 4) for q in choice.q]


def test_a_page_of_very_many_candidates_keeps_the_best_and_the_chosen(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_MOST_CANDIDATES", 0)
    monkeypatch.setattr(module, "_BEST_KEPT", 2)
    plan = small_plan(selection="uct")
    trace = tree_data(plan, None, "")["trace"]
    assert isinstance(trace, dict)
    assert trace["best_kept"] == 2
    choices = [choice for wave in trace["waves"] for descent in wave[2] for choice in descent[3]]  # type: ignore[index, union-attr]
    assert any(choice[4] > 2 for choice in choices)  # type: ignore[index, operator]
    for _, _, _, _, _, taken, size, *rest in choices:  # type: ignore[misc]
        places = rest[::size]
        assert len(places) <= 2
        assert taken in places


def test_too_many_rollouts_lose_their_texts(monkeypatch: pytest.MonkeyPatch):
    plan = small_plan()
    with_texts = tree_data(plan, None, "")["rollouts"]
    monkeypatch.setattr(module, "_MOST_CHARACTERS", 10)
    without = tree_data(plan, None, "")["rollouts"]
    assert isinstance(with_texts, dict)
    assert isinstance(without, dict)
    assert with_texts.keys() == without.keys()
    assert all(text == "" for rows in without.values() for text, _ in rows)  # type: ignore[misc, union-attr]


@pytest.mark.parametrize(
    "settings", [{"merge_rule": "mathematics"}, {"leaves_in_flight": 3}, {"root_selection": "gumbel"}, {"trace": False}]
)
def test_data_of_any_search_is_json(settings: dict[str, object]):
    json.dumps(tree_data(small_plan(**settings), gold(), ""), allow_nan=False)


def test_data_of_hostile_texts_is_json():
    plan, problem = hostile_plan()
    json.dumps(tree_data(plan, problem, problem.question), allow_nan=False)


def test_a_resumed_search_shows_its_tree_too():
    planner = eta_mcts(trace=True, merge_rule="none", known_mass=None)
    simulator = make_simulator()
    with simulator.engine:
        first = planner.begin(simulator, START, budget=Budget(simulations=20), seed=1)
        first.simulate(9)
        plan = planner.load(first.to_bytes(), simulator).run()
    data = tree_data(plan, None, "")
    trace = data["trace"]
    assert isinstance(trace, dict)
    assert isinstance(trace["births"], list)
    assert isinstance(trace["start"], int)
    assert trace["start"] >= 9
    assert trace["births"].count(None) >= 9  # those of before, and the root
