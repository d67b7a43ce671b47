import math

import pytest
from scripted_world import START, add_child, make_simulator

from agents.tree.expansion import Sampling, Width, allowed_children, grow, importance, probability_seen
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
