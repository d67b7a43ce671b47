import pytest
from scripted_world import START, asked, make_simulator, search

from agents import mcts
from agents.base import Budget, PlanResult
from agents.mcts import EtaMCTS
from agents.presets import PRESETS
from agents.tree.node import Node, depth, finished_trajectories, num_nodes, render_tree, walk
from alphallm_env.errors import StateError
from alphallm_env.mdp.dynamics import Rules
from alphallm_env.runtime.metering import Meter, metering
from alphallm_env.testing.scripted import Continuations
from alphallm_env.types import ScoreKind

MANY = Budget(tokens=100_000)
# The tiny presets are tuned now and then; what is counted by hand here is counted for these.
SMALL: dict[str, object] = {
    "c_min_root": 4,
    "c_max_root": 8,
    "c_min": 2,
    "c_max": 4,
    "num_rollouts": 1,
    "widens": False,
}


def eta_mcts(preset: str = "tiny_small", **overrides: object) -> EtaMCTS:
    return mcts.eta_mcts(preset, **(SMALL if preset == "tiny_small" else {}) | overrides)


def root_of(result: PlanResult) -> Node:
    assert result.root is not None
    return result.root


# Two first steps; after each, nine different answers.
SPREAD: dict[str, Continuations] = {
    "": [("1 + 1 = 2\n", 0.5), ("1 + 2 = 3\n", 0.5)],
    "1 + 1 = 2\n": [(f"#### {n}\n", 1 / 9) for n in range(1, 10)],
    "1 + 2 = 3\n": [(f"#### {n}\n", 1 / 9) for n in range(1, 10)],
}


def spread_value(text: str) -> float:
    """After 1 + 1 each answer is worth 1 or 0, after 1 + 2 all is worth 0.5, like the states before."""
    if text.startswith("1 + 1 = 2\n####"):
        return float(int(text[-2]) % 2)
    return 0.5


def children_by_text(alpha: float) -> dict[str, int]:
    planner = eta_mcts(
        c_min_root=2, c_max_root=2, c_min=2, c_max=6, alpha=alpha, beta_prm=0, beta_orm=0, merge_tries=50
    )
    result = search(planner, make_simulator(SPREAD, value=spread_value), MANY)
    return {node.state.text: len(node.children) for node in walk(root_of(result)) if node.children}


def test_a_state_with_high_spread_gets_more_children():
    # I = |1 − 0.5| = 0.5: ⌊1 · 6 · 0.5⌋ + 1 = 4 children. I = 0: c_min = 2.
    assert children_by_text(alpha=1.0) == {"": 2, "1 + 1 = 2\n": 4, "1 + 2 = 3\n": 2}


def test_alpha_zero_fixes_the_width():
    assert children_by_text(alpha=0.0) == {"": 2, "1 + 1 = 2\n": 2, "1 + 2 = 3\n": 2}


def test_the_search_finds_the_right_answer_and_then_stops():
    result = search(eta_mcts(c_min_root=2, c_min=2), make_simulator(), MANY)
    assert result.answer == "7"
    assert result.best.score == 0.9
    assert root_of(result).is_exhausted
    assert result.usage.tokens < 1_000


def test_the_trees_statistics_add_up():
    result = search(eta_mcts(), make_simulator(), Budget(simulations=9))
    root = root_of(result)
    assert result.usage.simulations == root.visit_count == num_nodes(root) - 1
    for node in walk(root):
        assert node.virtual_loss == node.num_pending == 0
        below = sum(child.visit_count for child in node.children)
        assert node.visit_count == below + (node is not root)
        own = node.score or 0.0
        assert node.value_sum == pytest.approx(own + sum(child.value_sum for child in node.children))


def test_a_node_has_its_children_before_the_search_goes_below_it():
    result = search(
        eta_mcts(expansion_batch=1, merge_rule="none", known_mass=None), make_simulator(), Budget(simulations=5)
    )
    root = root_of(result)
    assert len(root.children) == 4
    assert sum(len(child.children) for child in root.children) == 1


EGGS: dict[str, Continuations] = {
    "": [("3 * 4 = 12 eggs\n", 0.4), ("That is 4 x 3 = 12\n", 0.4), ("3 + 4 = 7\n", 0.2)],
    "3 * 4 = 12 eggs\n": [("#### 12\n", 1.0)],
    "That is 4 x 3 = 12\n": [("#### 12.0\n", 1.0)],
    "3 + 4 = 7\n": [("#### 7\n", 1.0)],
}


def test_merged_children_share_statistics():
    planner = eta_mcts(merge_rule="mathematics", merge_tries=30, known_mass=None, c_min_root=3)
    result = search(planner, make_simulator(EGGS), MANY)
    root = root_of(result)
    assert len(root.children) == 2
    twelve = next(child for child in root.children if "12" in child.state.text)
    assert {member.text for member in twelve.members} == {"3 * 4 = 12 eggs\n", "That is 4 x 3 = 12\n"}
    # One node holds the visits of both spellings; below it, one holds the ends of both, each one finished.
    (end,) = twelve.children
    assert twelve.visit_count == 2
    assert twelve.value_sum == pytest.approx((twelve.score or 0.0) + (end.score or 0.0))
    assert {member.text.split("####")[1] for member in end.members} == {" 12\n", " 12.0\n"}
    assert [trajectory.state for trajectory in end.finished] == end.members
    assert result.usage.rejected_tokens > 0


def test_reject_mode_keeps_one_member_per_node():
    result = search(eta_mcts(merge_mode="reject", merge_tries=10), make_simulator(EGGS), MANY)
    assert all(len(node.members) == 1 for node in walk(root_of(result)))
    assert len(root_of(result).children) == 2
    assert result.usage.rejected_tokens > 0


def test_what_the_policy_has_said_already_is_not_asked_again():
    """The last line of SUM_SCRIPT is certain: one sample says all, and a second one would be wasted."""
    wasteful = search(eta_mcts(known_mass=None, expansion_batch=1), make_simulator(), MANY)
    thrifty = search(eta_mcts(known_mass=0.98, expansion_batch=1), make_simulator(), MANY)
    last = [node for node in walk(root_of(thrifty)) if node.depth == 2]
    assert [node.num_sampled for node in last] == [1] * len(last)
    assert thrifty.usage.rejected_tokens < wasteful.usage.rejected_tokens


def test_budget_that_is_left_can_widen_the_tree():
    def children(widens: bool) -> list[int]:
        planner = eta_mcts(
            merge_rule="none", known_mass=None, alpha=0, c_min_root=2, c_max_root=3, c_min=1, c_max=2, widens=widens
        )
        tree = walk(root_of(search(planner, make_simulator(), MANY)))
        return [len(node.children) for node in tree if not node.is_terminal]

    assert children(widens=False) == [2, 1, 1, 1, 1]
    assert children(widens=True) == [3] + [2, 2, 2] * 3


def test_without_merging_nothing_is_rejected():
    result = search(eta_mcts(merge_rule="none", known_mass=None), make_simulator(EGGS), Budget(simulations=12))
    assert result.usage.rejected_tokens == 0
    assert len(root_of(result).children) == 4  # of three different texts


@pytest.mark.parametrize("tokens", [50, 120, 300])
def test_the_last_simulation_alone_may_overrun_the_budget(tokens: int):
    def run(budget: Budget) -> PlanResult:
        planner = eta_mcts(merge_rule="none", known_mass=None, expansion_batch=1, c_min_root=8, c_min=4)
        return search(planner, make_simulator(), budget)

    spent = run(Budget(tokens=tokens)).usage
    assert spent.tokens >= tokens
    one_less = run(Budget(simulations=spent.simulations - 1)).usage
    assert one_less.tokens < tokens


@pytest.mark.parametrize("tokens", [50, 120, 300])
def test_simulations_in_flight_overrun_the_budget_by_about_one_as_well(tokens: int):
    planner = eta_mcts(merge_rule="none", known_mass=None, expansion_batch=8, leaves_in_flight=4, c_min_root=8, c_min=4)
    spent = search(planner, make_simulator(), Budget(tokens=tokens)).usage
    assert tokens <= spent.tokens <= tokens + 2 * spent.tokens / spent.simulations


def test_a_limit_on_simulations_is_kept_exactly():
    planner = eta_mcts(merge_rule="none", known_mass=None, leaves_in_flight=4)
    for simulations in (1, 2, 3, 7, 10):
        result = search(planner, make_simulator(), Budget(simulations=simulations))
        assert result.usage.simulations == simulations


def test_a_search_that_costs_nothing_ends_too():
    planner = eta_mcts(
        merge_rule="none", known_mass=None, c_max_root=50, c_min_root=50, c_max=50, c_min=50, max_simulations=120
    )
    assert search(planner, make_simulator(), Budget()).usage.simulations == 120


def test_there_is_always_a_finished_trajectory():
    simulator = make_simulator()
    result = search(eta_mcts(num_rollouts=0), simulator, Budget(tokens=1))
    assert result.finished == (result.best,)
    assert result.best.state.text == "2 * 3 = 6\n6 + 1 = 7\n#### 7\n"  # the greedy completion
    assert result.best.score == 0.9
    assert result.usage.rollout_tokens == 0


def test_planning_from_the_middle_of_an_episode_returns_the_options_still_to_take():
    simulator = make_simulator()
    middle = root_of(search(eta_mcts(), simulator, Budget(simulations=4))).children[0].state
    with simulator.engine, metering(Meter()):
        result = simulator.engine.run(eta_mcts().metered_search(simulator, middle, MANY, 0))
    assert result.best.options[:1] == middle.options
    assert result.options == result.best.options[1:]
    assert "####" in "".join(option.text for option in result.options)


def test_an_ended_episode_cannot_be_planned():
    simulator = make_simulator()
    ended = search(eta_mcts(), simulator, MANY).best.state
    with simulator.engine, pytest.raises(StateError):
        simulator.engine.run(eta_mcts().metered_search(simulator, ended, MANY, 0))


@pytest.mark.parametrize("critic", ["value", "prm", "orm"])
def test_a_critic_that_is_switched_off_is_never_asked(critic: str):
    simulator = make_simulator()
    planner = eta_mcts(**{f"beta_{critic}": 0.0}, alpha=0.0)
    result = search(planner, simulator, Budget(simulations=12))
    assert asked(simulator, critic) == []
    assert result.best.state.ending is not None
    kind = ScoreKind.CRITICS if critic == "orm" else ScoreKind.ORM
    assert {trajectory.score_kind for trajectory in result.finished} == {kind}
    others = {"value", "prm", "orm"} - {critic}
    assert all(asked(simulator, other) for other in others)


def test_adaptive_width_alone_needs_values_too():
    simulator = make_simulator()
    search(eta_mcts(beta_value=0.0, alpha=1.0), simulator, Budget(simulations=6))
    assert asked(simulator, "value")


def test_no_rollouts_cost_no_rollout_tokens():
    with_rollouts = search(eta_mcts(), make_simulator(), Budget(simulations=8)).usage
    without = search(eta_mcts(num_rollouts=0), make_simulator(), Budget(simulations=8)).usage
    assert with_rollouts.rollout_tokens > 0
    assert without.rollout_tokens == 0


def test_the_depth_limit_writes_the_rest_in_one_option():
    result = search(eta_mcts(depth_limit=1), make_simulator(), MANY)
    assert depth(root_of(result)) == 2
    result = search(eta_mcts(depth_limit=10), make_simulator(), MANY)
    assert depth(root_of(result)) == 3


def test_discounting_makes_distant_scores_count_less():
    plain, discounted = (search(eta_mcts(gamma=gamma), make_simulator(), Budget(simulations=8)) for gamma in (1.0, 0.5))
    assert root_of(discounted).mean <= 0.5 * max(node.score or 0.0 for node in walk(root_of(discounted)))
    assert root_of(discounted).mean < root_of(plain).mean


def test_gamma_is_the_environments_unless_it_is_given():
    def mean(gamma: float | None, rules: Rules) -> float:
        return root_of(search(eta_mcts(gamma=gamma), make_simulator(rules=rules), Budget(simulations=4))).mean

    assert mean(None, Rules(gamma=0.5)) == mean(0.5, Rules())
    assert mean(1.0, Rules(gamma=0.5)) == mean(None, Rules())


@pytest.mark.parametrize(
    "overrides",
    [
        {"selection": "puct"},
        {"root_selection": "gumbel"},
        {"backup": "max"},
        {"leaves_in_flight": 4},
        {"expansion_batch": 1},
        {"answer_rule": "best_leaf"},
        {"answer_rule": "greedy_descent"},
        {"answer_rule": "weighted_vote"},
        {"merge_rule": "distance_20"},
        {"merge_rule": "cosine"},
    ],
)
def test_every_variant_is_deterministic_and_ends(overrides: dict[str, object]):
    first, second = (search(eta_mcts(**overrides), make_simulator(), Budget(tokens=400), seed=5) for _ in "ab")
    assert render_tree(root_of(first)) == render_tree(root_of(second))
    assert (first.best, first.finished) == (second.best, second.finished)
    assert first.usage.tokens == second.usage.tokens
    assert first.best in first.finished
    assert list(first.finished) == finished_trajectories(root_of(first))


def test_another_seed_searches_another_tree():
    trees = {render_tree(root_of(search(eta_mcts(), make_simulator(), Budget(simulations=6), s))) for s in range(8)}
    assert len(trees) > 1


def test_leaves_in_flight_fill_the_batches():
    def batches(leaves_in_flight: int) -> int:
        simulator = make_simulator()
        planner = eta_mcts(leaves_in_flight=leaves_in_flight, expansion_batch=1, merge_rule="none", known_mass=None)
        search(planner, simulator, Budget(simulations=16))
        return simulator.engine.statistics.batches

    assert batches(4) < batches(1) / 2


def test_max_backup_prefers_the_best_continuation():
    result = search(eta_mcts(backup="max", answer_rule="greedy_descent"), make_simulator(), MANY)
    assert result.answer == "7"
    assert root_of(result).max_value == 0.9


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_runs(preset: str):
    result = search(eta_mcts(preset), make_simulator(), Budget(tokens=300))
    assert result.best.state.root == START


def test_an_unknown_preset_is_an_error():
    with pytest.raises(ValueError, match="preset must be one of"):
        eta_mcts("huge")


@pytest.mark.parametrize("leaves_in_flight", [1, 4])
def test_with_checks_a_search_leaves_dead_ends_and_finds_what_is_sound(leaves_in_flight: int):
    script = {
        "": [("2 * 3 = 6\n", 0.5), ("2 + 3 = 5\n", 0.5)],
        "2 + 3 = 5\n": [("5 + 1 = 7\n", 1.0)],  # a dead end: nothing sound follows
        "5 + 1 = 7\n": [("#### 7\n", 1.0)],
        "2 * 3 = 6\n": [("6 + 1 = 7\n", 0.5), ("6 + 1 = 8\n", 0.5)],
        "2 * 3 = 6\n6 + 1 = 7\n": [("#### 7\n", 1.0)],
        "2 * 3 = 6\n6 + 1 = 8\n": [("#### 8\n", 1.0)],
        "2 + 3 = 5\n5 + 1 = 7\n": [("#### 7\n", 1.0)],
    }
    planner = eta_mcts(checks=True, num_rollouts=0, leaves_in_flight=leaves_in_flight)
    result = search(planner, make_simulator(script), Budget(tokens=2_000))
    assert result.answer == "7"
    assert result.root is not None
    texts = {node.state.text for node in walk(result.root)}
    assert "2 + 3 = 5\n" in texts
    assert not any("5 + 1 = 7" in text or "6 + 1 = 8" in text for text in texts)


def test_with_checks_there_is_an_answer_where_no_step_is_sound():
    script = {"": [("2 * 3 = 5\n", 1.0)], "2 * 3 = 5\n": [("#### 5\n", 1.0)]}
    assert search(eta_mcts(checks=True, num_rollouts=0), make_simulator(script), Budget(tokens=300)).answer == "5"


def test_a_search_ends_where_a_solution_is_sure():
    planner = eta_mcts(stop_at=0.9, merge_rule="none", known_mass=None)
    sure = search(planner, make_simulator(), MANY)
    assert (sure.answer, sure.best.score) == ("7", 0.9)
    all_of_it = search(eta_mcts(merge_rule="none", known_mass=None), make_simulator(), MANY)
    assert sure.usage.simulations < all_of_it.usage.simulations
    unsure = search(eta_mcts(stop_at=0.95, merge_rule="none", known_mass=None), make_simulator(), MANY)
    assert unsure.usage.simulations == all_of_it.usage.simulations
    with pytest.raises(ValueError, match=r"stop_at must be in \(0, 1\] or None, got 0"):
        eta_mcts(stop_at=0.0)


def test_a_tree_that_widens_with_its_visits_is_wider_than_one_that_does_not():
    settings = {"alpha": 0.0, "c_min_root": 1, "c_min": 1, "merge_rule": "none", "known_mass": None, "widens": False}
    narrow, wide = (
        search(eta_mcts(**settings, growth=growth), make_simulator(), Budget(simulations=40)) for growth in (0.0, 0.7)
    )
    assert narrow.root is not None
    assert wide.root is not None
    assert len(narrow.root.children) == 1 < 2 <= len(wide.root.children)
