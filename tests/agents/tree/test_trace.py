"""What a search records of its simulations, and that recording changes nothing in it."""

from __future__ import annotations

import math

import pytest
from scripted_world import START, make_simulator, search

from agents import Budget, EtaMCTS, Node, eta_mcts, make_planner
from agents.tree.node import walk
from agents.tree.saving import STATISTICS
from agents.tree.selection import Candidates
from agents.tree.trace import Trace, TracedChoice
from alphallm_env.errors import ServerError
from alphallm_env.types import State

WIDE: dict[str, object] = {"merge_rule": "none", "known_mass": None, "c_min_root": 6, "c_min": 3, "num_rollouts": 1}
SEARCHES: dict[str, dict[str, object]] = {
    "one leaf": WIDE,
    "leaves in flight": {**WIDE, "leaves_in_flight": 3},
    "merging": {"num_rollouts": 1},
    "puct, a batch at a time": {**WIDE, "selection": "puct", "expansion_batch": 3},
    "gumbel": {**WIDE, "root_selection": "gumbel"},
    "transpositions": {**WIDE, "transpositions": True, "growth": 0.5, "backup": "max"},
    "discounted": {**WIDE, "gamma": 0.9},
}
BUDGET = Budget(simulations=40)


def everything(root: Node) -> list[list[object]]:
    names = ("members", "finished", "depth", "index", "seed", *STATISTICS)
    return [[getattr(node, name) for name in names] for node in walk(root)]


def traced(settings: dict[str, object], seed: int = 5) -> tuple[Node, Trace]:
    result = search(eta_mcts(**settings, trace=True), make_simulator(), BUDGET, seed)
    assert result.root is not None
    assert result.trace is not None
    return result.root, result.trace


@pytest.mark.parametrize("name", SEARCHES)
def test_a_trace_changes_nothing_in_a_search(name: str):
    plain = search(eta_mcts(**SEARCHES[name]), make_simulator(), BUDGET, seed=5)
    with_trace = search(eta_mcts(**SEARCHES[name], trace=True), make_simulator(), BUDGET, seed=5)
    assert plain.root is not None
    assert with_trace.root is not None
    assert everything(with_trace.root) == everything(plain.root)
    assert with_trace.best == plain.best
    assert with_trace.usage.tokens == plain.usage.tokens
    assert (plain.trace, with_trace.trace is None) == (None, False)


@pytest.mark.parametrize("name", SEARCHES)
def test_every_node_is_born_in_one_simulation_and_ends_with_its_own_statistics(name: str):
    root, trace = traced(SEARCHES[name])
    births = trace.births()
    assert set(births) == set(walk(root)) - {root}
    assert len(set(births.values())) == len(births)
    for node in walk(root):
        last = trace.history[node][-1]
        assert (last.visit_count, last.q) == (node.visit_count, node.q)
        times = [kept.simulation for kept in trace.history[node]]
        assert times == sorted(set(times))
    for before, wave in zip(trace.waves, trace.waves[1:], strict=False):
        assert wave.first == before.last + 1
    assert trace.num_simulations == trace.waves[-1].last == root.visit_count or name != "one leaf"


@pytest.mark.parametrize("name", SEARCHES)
def test_each_way_down_begins_at_the_root_and_ends_where_children_are_drawn(name: str):
    root, trace = traced(SEARCHES[name])
    for wave in trace.waves:
        assert {descent.node for descent in wave.descents} >= {child.parent for child in wave.children}
        for descent in wave.descents:
            here = root
            for choice in descent.choices:
                assert choice.parent is here
                assert choice.num_children >= len(choice.nodes)
                here = choice.nodes[choice.chosen]
                here = here.same_as or here
            assert descent.node is here
            assert descent.num_wanted >= 1


def choices_of(trace: Trace) -> list[TracedChoice]:
    return [choice for wave in trace.waves for descent in wave.descents for choice in descent.choices]


def test_the_choice_is_the_candidate_with_the_highest_score_by_the_formula():
    root, trace = traced({**WIDE, "c": 0.7, "alpha": 0.0, "expansion_batch": 1})
    assert (trace.rule, trace.root_rule, trace.c) == ("uct", "none", 0.7)
    at_root = [(wave.first - 1, d.choices[0]) for wave in trace.waves for d in wave.descents if d.choices]
    assert len(at_root) == 34  # 40 simulations, of which six drew the root's children
    for visits_before, choice in at_root:
        assert (choice.parent, choice.parent_visits) == (root, visits_before)
        assert (choice.width, choice.num_children) == (6, 6)
        assert choice.scores is not None
        assert choice.chosen == choice.scores.index(max(choice.scores))
        for score, q, visits in zip(choice.scores, choice.q, choice.visits, strict=True):
            assert score == pytest.approx(q + 0.7 * math.sqrt(2 * math.log(visits_before) / visits))


def test_priors_are_shares_among_all_siblings():
    _, trace = traced({**WIDE, "selection": "puct"})
    for choice in choices_of(trace):
        assert choice.priors is not None
        assert 0.0 < sum(choice.priors) <= 1.0 + 1e-9
        if len(choice.nodes) == choice.num_children:
            assert sum(choice.priors) == pytest.approx(1.0)


def test_a_root_selection_has_no_scores():
    root, trace = traced(SEARCHES["gumbel"])
    assert trace.root_rule == "gumbel"
    assert all((choice.scores is None) == (choice.parent is root) for choice in choices_of(trace))


def test_statistics_at_a_simulation_are_those_that_the_search_had_then():
    simulator = make_simulator()
    with simulator.engine:
        running = eta_mcts(**WIDE, expansion_batch=1, trace=True).begin(simulator, START, seed=3)
        seen = []
        while running.simulate(1):
            seen.append((running.usage.simulations, {node: (node.visit_count, node.q) for node in walk(running.root)}))
        trace = running.answer().trace
    assert trace is not None
    for simulation, statistics in seen:
        for node, found in statistics.items():
            kept = [change for change in trace.history[node] if change.simulation <= simulation][-1]
            assert (kept.visit_count, kept.q) == found


def test_a_resumed_search_says_what_it_did_not_record():
    planner = eta_mcts(**WIDE, trace=True)
    whole = search(planner, make_simulator(), BUDGET, seed=5)
    simulator = make_simulator()
    with simulator.engine:
        first = planner.begin(simulator, START, budget=BUDGET, seed=5)
        first.simulate(13)
        num_before, saved = first.usage.simulations, first.to_bytes()
    simulator = make_simulator()
    with simulator.engine:
        resumed = planner.load(saved, simulator)
        there = set(walk(resumed.root))
        resumed.simulate()
        result = resumed.answer()
    assert result.root is not None
    assert result.trace is not None
    assert whole.trace is not None
    assert result.trace.start == num_before >= 13
    assert result.trace.waves[0].first == num_before + 1
    assert result.trace.num_simulations == whole.trace.num_simulations
    assert set(result.trace.births()) == set(walk(result.root)) - there
    assert {result.trace.history[node][0].simulation for node in there} == {num_before}


def test_a_search_saved_without_a_trace_is_resumed_with_one():
    simulator = make_simulator()
    with simulator.engine:
        plain = eta_mcts(**WIDE).begin(simulator, START, budget=BUDGET, seed=5)
        plain.simulate(7)
        resumed = eta_mcts(**WIDE, trace=True).load(plain.to_bytes(), simulator)
        trace = resumed.run().trace
    assert trace is not None
    assert trace.start >= 7


def test_an_interrupted_wave_is_recorded_once():
    class Failing:
        """A critic that fails on its fifth call, once."""

        name, is_reproducible, calls = "value", True, 0

        async def evaluate(self, states: list[State]) -> list[float]:
            self.calls += 1
            if self.calls == 5:
                raise ServerError("gone")
            return [0.5 for _ in states]

    simulator = make_simulator()
    object.__setattr__(simulator.critics, "value", Failing())
    planner = EtaMCTS(eta_mcts(**WIDE, expansion_batch=1, trace=True).config)
    with simulator.engine:
        running = planner.begin(simulator, START, budget=BUDGET, seed=5)
        with pytest.raises(ServerError):
            running.run()
        result = running.run()
    assert result.trace is not None
    assert result.root is not None
    assert set(result.trace.births()) == set(walk(result.root)) - {result.root}
    assert all(len(wave.descents) == 1 for wave in result.trace.waves)


def test_it_is_switched_on_behind_a_planners_name_and_is_no_part_of_a_record():
    planner = make_planner("eta_mcts,trace=true")
    assert isinstance(planner, EtaMCTS)
    assert planner.config.trace
    assert "trace" not in planner.config.record()
    assert planner.config.record() == planner.config.with_settings(trace=False).record()


def test_a_rule_that_draws_is_asked_once_a_choice():
    asked = []

    def counted(candidates: Candidates, c: float) -> list[float]:
        asked.append(candidates.parent)
        return [q + c for q in candidates.q]

    _, trace = traced({**WIDE, "selection": counted})
    assert len(choices_of(trace)) == len(asked)
