"""The search whose loop the caller owns: cut anywhere, saved and resumed, it builds the same tree."""

from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest
from scripted_world import PROBLEM, START, make_simulator, search

from agents import Budget, EtaMCTS, Node, TreeSearch, eta_mcts, render_tree
from agents.tree.node import walk
from agents.tree.saving import STATISTICS
from agents.tree.selection import Candidates
from alphallm_env import MathReasoningEnv
from alphallm_env.errors import StateError
from alphallm_env.types import ProgramRun, ScoreKind, State, Transcript


def noisy(candidates: Candidates, c: float) -> np.ndarray:
    """Draws from the choice's own generator: what it draws after a resumption must be the same."""
    return np.array(candidates.q) + candidates.rng.random(len(candidates))


# Wide and random enough that searches last, and that a wrong number anywhere shows.
WIDE: dict[str, object] = {"merge_rule": "none", "known_mass": None, "c_min_root": 6, "c_min": 3, "num_rollouts": 1}
PLANNERS = {
    "one leaf": eta_mcts(**WIDE),
    "leaves in flight": eta_mcts(**WIDE, leaves_in_flight=3),
    "merging": eta_mcts(num_rollouts=1),
    "gumbel": eta_mcts(**WIDE, root_selection="gumbel"),
    "a random rule": eta_mcts(**WIDE, selection=noisy),
}
BUDGET = Budget(simulations=40)


FIELDS = ("members", "finished", "depth", "index", "seed", *STATISTICS)


def everything(root: Node) -> list[list[object]]:
    return [[getattr(node, name) for name in FIELDS] for node in walk(root)]


def test_the_loop_is_the_callers():
    simulator = make_simulator()
    with simulator.engine:
        tree_search = eta_mcts(**WIDE, expansion_batch=1).begin(simulator, START, seed=3)
        assert (tree_search.usage.simulations, tree_search.is_over) == (0, False)
        assert [tree_search.simulate(n) for n in (1, 4, 2)] == [1, 4, 2]
        result = tree_search.answer()
    assert tree_search.usage.simulations == result.usage.simulations == tree_search.root.visit_count == 7
    assert result.root is tree_search.root
    assert result.start == START
    assert result.best in result.finished
    assert result.best.score_kind is ScoreKind.ORM


def test_it_starts_from_the_state_of_an_environment():
    env = MathReasoningEnv.from_parts(make_simulator(), [PROBLEM])
    env.reset(seed=0)
    env.step("2 * 3 = 6\n")
    tree_search = eta_mcts().begin(env, budget=Budget(simulations=4))
    tree_search.simulate()
    assert tree_search.root.state == env.clone_state()
    assert tree_search.answer().options[-1].text.startswith("####")
    env.close()


def test_a_simulator_needs_a_state():
    with pytest.raises(ValueError, match="expected a state"):
        eta_mcts().begin(make_simulator())


@pytest.mark.parametrize("name", PLANNERS)
@pytest.mark.parametrize("cuts", [(1,) * 40, (7, 7, 50), (13,)])
def test_a_tree_does_not_depend_on_how_the_loop_is_cut(name: str, cuts: tuple[int, ...]):
    whole = search(PLANNERS[name], make_simulator(), BUDGET, seed=5)
    simulator = make_simulator()
    with simulator.engine:
        tree_search = PLANNERS[name].begin(simulator, START, budget=BUDGET, seed=5)
        for num_simulations in cuts:
            tree_search.simulate(num_simulations)
        tree_search.simulate()
        result = tree_search.answer()
    assert whole.root is not None
    assert everything(tree_search.root) == everything(whole.root)
    assert (result.best, result.finished, result.usage.tokens) == (whole.best, whole.finished, whole.usage.tokens)


@pytest.mark.parametrize("name", PLANNERS)
@pytest.mark.parametrize("first", [0, 1, 9, 25])
def test_a_saved_search_resumes_as_if_it_had_never_stopped(name: str, first: int):
    planner = PLANNERS[name]
    whole = search(planner, make_simulator(), BUDGET, seed=5)
    one, other = make_simulator(), make_simulator()  # another simulator, as in another process
    with one.engine:
        tree_search = planner.begin(one, START, budget=BUDGET, seed=5)
        tree_search.simulate(first)
        data = tree_search.to_bytes()
    with other.engine:
        resumed = planner.load(data, other)
        assert resumed.usage == tree_search.usage
        assert everything(resumed.root) == everything(tree_search.root)
        assert resumed.to_bytes() == data
        result = resumed.run()
    assert whole.root is not None
    assert everything(resumed.root) == everything(whole.root)
    assert (result.best, result.finished, result.usage.tokens) == (whole.best, whole.finished, whole.usage.tokens)


def test_the_budget_may_be_raised_on_the_way():
    simulator = make_simulator()
    with simulator.engine:
        tree_search = PLANNERS["one leaf"].begin(simulator, START, budget=Budget(simulations=5))
        tree_search.simulate()
        assert (tree_search.usage.simulations, tree_search.is_over) == (5, True)
        assert tree_search.simulate(3) == 0
        tree_search.budget = Budget(simulations=9)
        assert not tree_search.is_over
        assert tree_search.run().usage.simulations == 9


def test_several_searches_share_the_engine():
    simulator = make_simulator()
    searches = [PLANNERS["one leaf"].begin(simulator, START, seed=seed) for seed in range(4)]

    async def both(tree_search: TreeSearch) -> int:
        await tree_search.simulate_async(6)
        return (await tree_search.answer_async()).usage.simulations

    async def all_of_them() -> list[int]:
        return list(await asyncio.gather(*map(both, searches)))

    with simulator.engine as engine:
        counts = engine.run(all_of_them())
        assert counts == [tree_search.usage.simulations for tree_search in searches]
        assert all(count >= 6 for count in counts)
        assert engine.statistics.items > engine.statistics.batches


def test_an_answer_on_the_way_changes_no_statistics():
    simulator = make_simulator()
    planner = eta_mcts(**WIDE | {"num_rollouts": 0})
    with simulator.engine:
        curious, patient = (planner.begin(simulator, START, seed=5) for _ in "ab")
        for _ in range(6):
            curious.simulate(2)
            assert curious.answer().best.state.ending is not None
        patient.simulate(curious.usage.simulations)
    assert render_tree(curious.root) == render_tree(patient.root)


def test_a_result_tells_the_statistics_of_the_roots_options():
    result = search(PLANNERS["merging"], make_simulator(), BUDGET, seed=5)
    assert result.root is not None
    assert [o.visit_count for o in result.root_options] == [child.visit_count for child in result.root.children]
    assert [o.option for o in result.root_options] == [child.state.option for child in result.root.children]
    assert [o.value for o in result.root_options] == [child.mean for child in result.root.children]
    assert sum(option.prior or 0.0 for option in result.root_options) == pytest.approx(1.0)
    # The script's probabilities, 0.6 and 0.4, per token of five: 0.6^(1/5) = 0.902881, 0.4^(1/5) = 0.832553.
    by_text = {o.option.text: o.prior for o in result.root_options}
    assert by_text == pytest.approx({"2 * 3 = 6\n": 0.520263, "2 + 3 = 5\n": 0.479737}, abs=1e-5)


def test_what_critics_wrote_is_saved():
    simulator = make_simulator()
    with simulator.engine:
        tree_search = PLANNERS["one leaf"].begin(simulator, START)
        tree_search.simulate(8)
        state = tree_search.answer().best.state
        transcript = Transcript("checked \ud800", (ProgramRun("print(7)", "ok", "7"),), 0.9)
        tree_search._meter.keep(state, transcript)
        resumed = PLANNERS["one leaf"].load(tree_search.to_bytes(), simulator)
        found = resumed.answer()
    written = [t.transcript for t in found.finished if t.state.text == state.text]
    assert written
    assert set(written) == {transcript}


def saved(planner: EtaMCTS) -> bytes:
    simulator = make_simulator()
    with simulator.engine:
        tree_search = planner.begin(simulator, START)
        tree_search.simulate(3)
        return tree_search.to_bytes()


def test_a_search_is_loaded_by_the_settings_that_began_it():
    with pytest.raises(ValueError, match="expected a search with the settings"):
        eta_mcts(c=2.0).load(saved(eta_mcts(c=1.0)), make_simulator())


def test_damaged_bytes_are_an_error():
    data = saved(eta_mcts())
    record = json.loads(data)
    wrong = [
        b"",
        b"\x80\x04.",
        data[:-9],
        State("a", "b").to_bytes(),
        json.dumps(record | {"version": 0}).encode(),
        json.dumps(record | {"nodes": [*record["nodes"][:1], [99, [1], []]]}).encode(),
    ]
    for bad in wrong:
        with pytest.raises(StateError, match="expected the bytes of a search"):
            eta_mcts().load(bad, make_simulator())
