import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_world import START, add_child, make_simulator

from agents.tree.expansion import (
    Sampling,
    Width,
    allowed_children,
    grow,
    importance,
    probability_seen,
    unseen_mass,
)
from agents.tree.merging import MergeMode, SameMathematics
from agents.tree.node import Node
from alphallm_env.runtime.metering import Meter, metering
from alphallm_env.testing.scripted import Continuations

EGGS: dict[str, Continuations] = {
    "": [("3 * 4 = 12 eggs\n", 0.4), ("That is 4 x 3 = 12\n", 0.4), ("3 + 4 = 7\n", 0.2)],
}


def test_importance_is_the_largest_change_of_value():
    assert importance(0.5, [0.6, 0.2, 0.55]) == pytest.approx(0.3)
    assert importance(0.5, []) == 0.0


@pytest.mark.parametrize(
    ("spread", "expected"),
    [(0.0, 2), (0.05, 2), (0.2, 3), (0.5, 6), (0.95, 10), (1.0, 10)],  # ⌊10 · I⌋ + 1 within 2 and 10
)
def test_allowed_children_by_hand(spread: float, expected: int):
    assert allowed_children(spread, alpha=1.0, min_children=2, max_children=10) == expected


def test_alpha_scales_the_importance_and_zero_fixes_the_width():
    assert allowed_children(0.2, alpha=2.0, min_children=2, max_children=10) == 5
    assert allowed_children(1.0, alpha=0.0, min_children=2, max_children=10) == 2


def test_a_node_is_measured_again_as_its_children_arrive():
    root = Node(START)
    root.value = 0.5
    width = Width(alpha=1.0, c_min_root=1, c_max_root=8, c_min=1, c_max=8)
    assert width.allowed(root) == 1
    add_child(root, "a\n").value = 0.75  # I = 0.25: ⌊2⌋ + 1
    assert width.allowed(root) == 3
    assert width.wants_child(root)
    root.num_pending = 2  # both missing ones are in flight
    assert not width.wants_child(root)
    add_child(root, "b\n").value = 0.0  # I = 0.5: ⌊4⌋ + 1
    assert width.allowed(root) == 5


def test_an_ended_child_counts_with_its_score():
    root = Node(START)
    root.value = 0.5
    add_child(root, "#### 1\n", score=1.0)  # I = 0.5
    width = Width(c_min_root=1, c_max_root=8)
    assert width.allowed(root) == 5


def test_a_node_widens_with_its_visits_up_to_its_limit():
    width = Width(alpha=0.0, c_min_root=8, c_max_root=20, growth=0.5)
    root = Node(START, seed=1)
    allowed: list[int] = []
    for root.visit_count in (0, 8, 16, 32, 128):
        allowed.append(width.allowed(root))
    assert allowed == [8, 8, 11, 16, 20]  # 8 · √2 = 11.3, 8 · 2, 8 · 4 beyond the limit
    assert Width(alpha=0.0, c_min_root=8, c_max_root=20).allowed(root) == 8
    with pytest.raises(ValueError, match=r"growth must be in \[0, 1\], got 1.5"):
        Width(growth=1.5)


def test_the_root_and_the_nodes_below_have_their_own_limits():
    root = Node(START)
    child = add_child(root, "a\n")
    width = Width(c_min_root=4, c_max_root=8, c_min=2, c_max=3)
    assert (width.limits(root), width.limits(child)) == ((4, 8), (2, 3))


@pytest.mark.parametrize("limits", [(0, 4), (5, 4)])
def test_limits_must_make_sense(limits: tuple[int, int]):
    with pytest.raises(ValueError, match="c_min"):
        Width(c_min=limits[0], c_max=limits[1])


def grown(num_children: int, sampling: Sampling) -> tuple[Node, Meter]:
    simulator = make_simulator(EGGS)
    root = Node(START, seed=3)
    with simulator.engine, metering(Meter()) as meter:
        simulator.engine.run(grow(simulator, root, num_children, sampling))
    return root, meter


def test_without_a_merge_rule_every_sample_is_a_child():
    root, meter = grown(6, Sampling())
    assert len(root.children) == root.num_sampled == 6
    assert meter.usage.rejected_tokens == 0


def test_merge_groups_what_means_the_same():
    root, meter = grown(3, Sampling(merge_rule=SameMathematics(), merge_tries=40))
    texts = [sorted({member.text for member in child.members}) for child in root.children]
    assert sorted(texts) == [["3 * 4 = 12 eggs\n", "That is 4 x 3 = 12\n"], ["3 + 4 = 7\n"]]
    assert root.is_resting
    assert not root.is_saturated  # some 40 draws without a third meaning are no evidence that there is none
    merged = [member.option for child in root.children for member in child.members[1:]]
    assert meter.usage.rejected_tokens == sum(option.num_tokens for option in merged if option) > 0
    assert root.num_sampled == sum(len(child.members) for child in root.children)


def test_reject_throws_away_what_means_the_same():
    root, meter = grown(3, Sampling(merge_rule=SameMathematics(), merge_mode=MergeMode.REJECT, merge_tries=40))
    assert [len(child.members) for child in root.children] == [1, 1]
    assert root.num_sampled > 2
    assert meter.usage.rejected_tokens > 0


def test_sampling_stops_after_so_many_tries():
    root, _ = grown(3, Sampling(merge_rule=lambda first, second: True, merge_tries=5))
    assert len(root.children) == 1
    assert root.num_sampled == 3 + 2 + 2  # each draw asks for what is missing; 2 + 2 + 2 failures are enough


@pytest.mark.parametrize(
    ("num_draws", "num_once", "num_twice", "expected"),
    [
        (0, 0, 0, 1.0),
        (10, 10, 0, 1.0),  # all that came was new
        (5, 0, 0, 1 - 0.05**0.2),  # five repeats in a row leave 45 %
        (100, 4, 0, 0.04 + 1.645 * (4 * 0.96) ** 0.5 / 100),
        (100, 4, 6, 0.04 + 1.645 * (4 * 0.96 + 12) ** 0.5 / 100),
    ],
)
def test_the_unseen_mass_by_hand(num_draws: int, num_once: int, num_twice: int, expected: float):
    assert unseen_mass(num_draws, num_once, num_twice) == pytest.approx(expected)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=200))
def test_the_unseen_mass_is_a_bound_above_good_and_turing(draws: list[int]):
    counts = list(Counter(draws).values())
    found = unseen_mass(len(draws), counts.count(1), counts.count(2))
    assert counts.count(1) / len(draws) <= found <= 1.0
    assert found >= 1 - 0.05 ** (1 / len(draws))


RARE: dict[str, Continuations] = {"": [("3 + 4 = 7\n", 0.9), *((f"3 * {n} = {3 * n}\n", 0.02) for n in range(5))]}


def grow_once(root: Node, num_children: int, script: dict[str, Continuations], sampling: Sampling) -> list[Node]:
    simulator = make_simulator(script)
    with simulator.engine:
        return simulator.engine.run(grow(simulator, root, num_children, sampling))


def test_with_checks_a_wrong_calculation_is_no_child():
    wrong: dict[str, Continuations] = {"": [("3 * 4 = 12\n", 0.3), ("3 * 4 = 13\n", 0.7)]}
    simulator = make_simulator(wrong)
    root = Node(START, seed=3)
    with simulator.engine, metering(Meter()) as meter:
        simulator.engine.run(grow(simulator, root, 4, Sampling(checks=True, merge_tries=40)))
    assert [child.state.text for child in root.children] == ["3 * 4 = 12\n"] * 4
    assert root.num_sampled > 4
    assert meter.usage.rejected_tokens == meter.usage.policy_tokens * (root.num_sampled - 4) // root.num_sampled > 0


def test_with_checks_a_node_that_only_errs_rests_without_a_child():
    simulator = make_simulator({"": [("3 * 4 = 13\n", 1.0)]})
    root = Node(START, seed=3)
    with simulator.engine:
        assert simulator.engine.run(grow(simulator, root, 4, Sampling(checks=True))) == []
    assert root.is_resting
    assert not root.is_saturated


def test_a_node_rests_after_repeats_and_what_is_new_later_revokes_it():
    root, sampling = Node(START, seed=1), Sampling(merge_rule=SameMathematics(), merge_tries=3)
    width = Width(c_min_root=3, c_max_root=6)
    grow_once(root, 3, RARE, sampling)
    assert 1 <= len(root.children) < 3
    assert root.is_resting
    assert not root.is_saturated
    assert not width.wants_child(root)
    root.visit_count = root.rest_until  # as often as the evidence asks for
    assert width.wants_child(root)
    before = len(root.children)
    while len(root.children) == before:
        root.visit_count = root.rest_until
        grow_once(root, 1, RARE, sampling)
    assert not root.is_resting
    assert sum(child.num_draws for child in root.children) == root.num_sampled


def test_rests_grow_with_the_evidence_and_end_in_saturation():
    root, sampling = Node(START, seed=1), Sampling(merge_rule=SameMathematics(), merge_tries=50)
    rests: list[int] = []
    while not root.is_saturated:
        root.visit_count = root.rest_until
        grow_once(root, 2, {"": [("3 + 4 = 7\n", 1.0)]}, sampling)
        rests.append(root.rest_until - root.visit_count)
    assert rests == sorted(rests)
    assert root.num_sampled >= math.log(0.05) / math.log(0.99)  # 298 draws of one thing, before all else is negligible
    root.visit_count = 10**9
    assert not Width().wants_child(root)


def test_the_probability_seen_counts_each_text_once():
    root = Node(START)
    for text, prob in (("a\n", 0.5), ("b\n", 0.25)):
        add_child(root, text, log_prob=math.log(prob))
    root.children[0].join(root.children[0].state)
    assert probability_seen(root) == pytest.approx(0.75)


def test_a_node_is_saturated_once_it_has_seen_what_the_policy_says():
    root, _ = grown(9, Sampling(merge_rule=SameMathematics(), merge_tries=99, known_mass=0.99))
    assert root.is_saturated
    assert len({member.text for child in root.children for member in child.members}) == 3


def test_one_batch_draws_the_same_samples_as_one_by_one():
    simulator = make_simulator(EGGS)
    batch, single = Node(START, seed=5), Node(START, seed=5)
    with simulator.engine:
        simulator.engine.run(grow(simulator, batch, 4, Sampling()))
        for _ in range(4):
            simulator.engine.run(grow(simulator, single, 1, Sampling()))
    assert [child.state for child in batch.children] == [child.state for child in single.children]


def test_a_node_at_the_depth_limit_draws_to_the_end():
    simulator = make_simulator()
    node = add_child(Node(START), "2 * 3 = 6\n")
    with simulator.engine:
        simulator.engine.run(grow(simulator, node, 2, Sampling(depth_limit=1)))
    assert all(child.is_terminal for child in node.children)
    assert all(child.state.text.count("\n") == 3 for child in node.children)


def test_a_group_goes_on_from_all_its_members():
    script: dict[str, Continuations] = {"a\n": [("#### 1\n", 1.0)], "b\n": [("#### 2\n", 1.0)]}
    simulator = make_simulator(script)
    node = add_child(Node(START), "a\n")
    node.join(add_child(Node(START), "b\n").state)
    with simulator.engine:
        for _ in range(2):
            simulator.engine.run(grow(simulator, node, 1, Sampling()))
    assert [child.state.text for child in node.children] == ["a\n#### 1\n", "b\n#### 2\n"]
