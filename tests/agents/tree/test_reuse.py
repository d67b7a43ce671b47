"""Planning that starts from the kept part of the last tree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scripted_world import PROBLEM, START, add_child, finish, make_simulator, step

from agents import Budget, EtaMCTS, Node, PlanResult, eta_mcts
from agents.tree.node import walk
from agents.tree.reuse import find_state, kept_subtree
from alphallm_env import MathReasoningEnv
from alphallm_env.mdp.dynamics import Rules
from alphallm_env.runtime.metering import Meter, metering
from alphallm_env.types import State

BUDGET = Budget(simulations=12)


def make_env() -> MathReasoningEnv:
    env = MathReasoningEnv.from_parts(make_simulator(), [PROBLEM])
    env.reset(seed=0)
    return env


def plan(planner: EtaMCTS, env: MathReasoningEnv, tree: Node | None = None, budget: Budget = BUDGET) -> PlanResult:
    return planner.plan(env, budget, np.random.default_rng(0), tree=tree)


def root_of(result: PlanResult) -> Node:
    assert result.root is not None
    return result.root


def child_of(root: Node, text: str) -> Node:
    return next(child for child in root.children if child.state.text == text)


@pytest.mark.parametrize("as_text", [False, True])
def test_after_the_best_option_its_subtree_is_kept(as_text: bool):
    planner = eta_mcts(num_rollouts=1, widens=False)
    env = make_env()
    first = plan(planner, env)
    kept = child_of(root_of(first), first.options[0].text)
    before = [(node.visit_count, node.value_sum, node.square_sum, node.q, node.score) for node in walk(kept)]
    env.step(first.options[0].text if as_text else first.options[0])
    start = env.clone_state()

    again = planner.begin(env, tree=first.root)
    statistics = [(n.visit_count, n.value_sum, n.square_sum, n.q, n.score) for n in walk(again.root)]
    assert statistics == before
    assert [node.depth for node in walk(again.root)] == [node.depth - 1 for node in walk(kept)]
    assert again.root.state is start
    assert all(start in node.state.path() for node in walk(again.root))

    reused, fresh = plan(planner, env, first.root), plan(planner, env)
    assert reused.usage.tokens < fresh.usage.tokens
    assert root_of(reused).visit_count >= kept.visit_count
    assert [(node.visit_count, node.value_sum) for node in walk(kept)] == [pair[:2] for pair in before]  # untouched
    for option in reused.options:
        env.step(option)
    assert env.clone_state() == reused.best.state
    env.close()


def test_the_kept_tree_gets_simulations_below_it():
    planner = eta_mcts(merge_rule="none", known_mass=None, num_rollouts=0)
    env = make_env()
    first = plan(planner, env)
    best = max(root_of(first).children, key=lambda child: child.visit_count)
    env.step(best.state.options[0])
    second = plan(planner, env, first.root, Budget(simulations=5))
    assert second.usage.simulations == 5
    assert root_of(second).visit_count == best.visit_count + 5
    assert root_of(second).seed == best.seed  # so no sample is drawn twice
    assert second.start.depth == 1
    env.close()


def test_without_a_step_the_whole_tree_is_kept():
    planner = eta_mcts(merge_rule="none", known_mass=None, num_rollouts=0)
    env = make_env()
    first = plan(planner, env)
    assert root_of(plan(planner, env, first.root)).visit_count == 24
    env.close()


@pytest.mark.parametrize("text", ["1 + 1 = 2\n", "2 * 3 = 6\n6 + 1 = 7\n"])
def test_a_step_that_no_simulation_took_starts_a_fresh_tree(text: str):
    planner = eta_mcts()
    env = make_env()
    first = plan(planner, env)
    env.step(text)
    found, fresh = plan(planner, env, first.root), plan(planner, env)
    assert (found.best, found.usage.tokens) == (fresh.best, fresh.usage.tokens)
    env.close()


def small_tree() -> Node:
    root = Node(START, seed=1)
    a = add_child(root, "a\n", q=0.5, visits=3)
    add_child(a, "c\n", q=0.7)
    add_child(root, "b\n", q=0.2, visits=0)
    finish(a, "#### 7\n", 0.5)
    root.visit_count = 4
    return root


def test_a_state_is_found_by_its_texts():
    root = small_tree()
    a = root.children[0]
    assert find_state(root, START) is root
    assert find_state(root, step(START, "a\n", num_tokens=9, log_prob=-2.0)) is a
    assert find_state(root, step(step(START, "a\n"), "c\n")) is a.children[0]
    assert find_state(root, step(START, "c\n")) is None
    assert find_state(a, START) is None
    assert find_state(root, replace(START, question="Another?")) is None


def test_a_state_is_found_by_the_text_of_a_merged_member():
    root = small_tree()
    a = root.children[0]
    a.join(step(START, "A\n"))
    state = step(START, "A\n")
    assert find_state(root, state) is a
    kept = kept_subtree(root, state, make_simulator())
    assert kept is not None
    # What was found below a's spelling is moved below the one that was taken.
    assert [node.state.text for node in walk(kept)] == ["A\n", "A\nc\n"]
    assert [trajectory.state.text for trajectory in kept.finished] == ["A\n#### 7\n"]
    assert [member.text for member in kept.members] == ["A\n"]


def test_of_equal_siblings_the_most_visited_is_taken():
    root = small_tree()
    twin = add_child(root, "a\n", visits=5)
    assert find_state(root, step(START, "a\n")) is twin


def dear(text: str, num_tokens: int) -> State:
    return step(START, text, num_tokens=num_tokens)


def test_a_tree_is_not_kept_where_it_would_end_otherwise():
    root, simulator = small_tree(), make_simulator(rules=Rules(max_tokens=10))
    assert kept_subtree(root, dear("a\n", 1), simulator) is not None
    assert kept_subtree(root, dear("a\n", 9), simulator) is None  # one token more is the last
    assert kept_subtree(root, step(START, "b\n"), simulator) is None  # no simulation went there


def test_what_planning_spends_is_counted_by_the_caller_too():
    planner, env = eta_mcts(), make_env()
    first = plan(planner, env)
    env.step(first.options[0])
    with metering(Meter()) as meter:
        second = plan(planner, env, first.root)
    assert meter.usage.tokens == second.usage.tokens
    env.close()
