from dataclasses import replace

import pytest
from scripted_world import START, add_child, asked, make_simulator, step

from agents.tree.evaluation import Evaluator, LeafScoring, OutcomeScorer, weighted_score
from agents.tree.node import Node
from alphallm_env.critics.monte_carlo import MonteCarloValue
from alphallm_env.mdp.dynamics import Rules
from alphallm_env.runtime.metering import Meter, Usage, metering
from alphallm_env.simulator import Simulator


def evaluate(simulator: Simulator, scoring: LeafScoring, *texts: str) -> tuple[list[Node], Usage]:
    root = Node(START)
    leaves = [add_child(root, text) for text in texts]
    evaluator = Evaluator(simulator, scoring, needs_values=False)
    with simulator.engine, metering(Meter()) as meter:
        simulator.engine.run(evaluator.evaluate(leaves))
    return leaves, meter.usage


def test_the_score_is_a_weighted_mean():
    # (1 · 0.5 + 3 · 0.9) / 4 = 3.2 / 4
    assert weighted_score([(1.0, 0.5), (3.0, 0.9)]) == pytest.approx(0.8)


def test_a_running_leaf_weighs_value_prm_and_the_rollouts():
    # After 5 + 1 the only end is "#### 6", which the ORM scores 0.1: (0.3 + 0.3 + 2 · 0.1) / 4.
    simulator = make_simulator()
    (leaf,), _ = evaluate(simulator, LeafScoring(beta_orm=2.0, num_rollouts=3), "2 + 3 = 5\n")
    assert (leaf.value, leaf.prm, leaf.orm) == pytest.approx((0.3, 0.3, 0.1))
    assert leaf.score == pytest.approx(0.2)
    assert [trajectory.score for trajectory in leaf.finished] == pytest.approx([0.1] * 3)
    assert all(trajectory.state.ending is not None for trajectory in leaf.finished)


@pytest.mark.parametrize(("per_token", "factor"), [(False, 0.5**2), (True, 0.5 ** (5 + 2 + 1))])
def test_rollouts_are_discounted_as_deep_as_they_are(per_token: bool, factor: float):
    # "2 * 3 = 6" is followed by a line and the answer: two options; 5 and 2 tokens, and one that ends the text.
    rules = Rules(gamma=0.5, discount_per_token=per_token)
    simulator = make_simulator(rules=rules)
    (leaf,), _ = evaluate(simulator, LeafScoring(beta_value=0, beta_prm=0, num_rollouts=3), "2 + 3 = 5\n")
    assert leaf.score == leaf.orm == pytest.approx(factor * 0.1)
    assert [trajectory.score for trajectory in leaf.finished] == [0.1] * 3  # the ORM's own, for the choice of an answer


def test_the_search_s_own_discount_goes_before_that_of_the_rules():
    simulator = make_simulator(rules=Rules(gamma=0.5))
    leaf = add_child(Node(START), "2 + 3 = 5\n")
    evaluator = Evaluator(simulator, LeafScoring(num_rollouts=1), needs_values=False, gamma=0.9)
    with simulator.engine:
        simulator.engine.run(evaluator.evaluate([leaf]))
    assert leaf.orm == pytest.approx(0.81 * 0.1)


def test_merged_texts_are_evaluated_where_they_differ():
    simulator = make_simulator(value=lambda text: 0.9 if "So" in text else 0.3, prm=lambda text: 0.6)
    root = Node(START)
    node = add_child(root, "2 * 3 = 6\n")
    scoring = LeafScoring(beta_orm=0)
    evaluator = Evaluator(simulator, scoring, needs_values=False)
    for text in ("So 2 * 3 = 6\n", "2 * 3 = 6\n", "So 2 * 3 = 6\n"):
        node.join(step(START, text))
    with simulator.engine:
        simulator.engine.run(evaluator.evaluate([node]))
        assert node.score == pytest.approx((0.3 + 0.6) / 2)
        [(found, score)] = simulator.engine.run(evaluator.evaluate_merged([node]))
    assert found is node
    # Two different texts: v = (0.3 + 0.9) / 2, PRM = 0.6.
    assert (node.value, node.prm, score) == pytest.approx((0.6, 0.6, 0.6))
    assert asked(simulator, "value") == ["2 * 3 = 6\n", "So 2 * 3 = 6\n"]
    assert node.num_evaluated == 4


def test_an_ended_text_that_joins_has_its_own_score():
    simulator = make_simulator(orm=lambda text: 0.8 if "So" in text else 0.2)
    node = add_child(Node(START), "#### 7\n")
    evaluator = Evaluator(simulator, LeafScoring(), needs_values=False)
    for text in ("So it is\n#### 7\n", "#### 7\n"):
        node.join(step(START, text))
    with simulator.engine:
        simulator.engine.run(evaluator.evaluate([node]))
        [(_, score)] = simulator.engine.run(evaluator.evaluate_merged([node]))
    assert [trajectory.score for trajectory in node.finished] == pytest.approx([0.2, 0.8, 0.2])
    assert [trajectory.state for trajectory in node.finished] == node.members
    assert score == node.orm == pytest.approx(0.5)  # of two different texts
    assert asked(simulator, "orm") == ["#### 7\n", "So it is\n#### 7\n"]


def test_an_ended_leaf_is_scored_by_the_orm_alone():
    simulator = make_simulator()
    (leaf,), usage = evaluate(simulator, LeafScoring(), "#### 7\n")
    assert (leaf.score, leaf.value, leaf.prm) == (0.9, None, None)
    assert [trajectory.state for trajectory in leaf.finished] == [leaf.state]
    assert usage.rollout_tokens == 0


def test_a_text_without_an_answer_scores_zero_and_asks_no_critic():
    simulator = make_simulator({})  # the model closes every text at once
    (leaf,), _ = evaluate(simulator, LeafScoring(beta_value=0, beta_prm=0, num_rollouts=2), "2 * 3 = 6\n")
    assert leaf.score == 0.0
    assert asked(simulator, "orm") == []


@pytest.mark.parametrize("critic", ["value", "prm", "orm"])
def test_a_weight_of_zero_never_asks_the_critic(critic: str):
    simulator = make_simulator()
    scoring = LeafScoring(**{f"beta_{critic}": 0.0})
    (leaf,), usage = evaluate(simulator, scoring, "2 + 3 = 5\n")
    assert asked(simulator, critic) == []
    assert getattr(leaf, critic) is None
    assert (usage.rollout_tokens == 0) == (critic == "orm")


def test_a_monte_carlo_value_is_taken_from_the_rollouts_that_a_leaf_gets_anyway():
    simulator = make_simulator()
    critics = replace(simulator.critics, value=MonteCarloValue(simulator, simulator.critics.require("orm")))
    root = Node(START)
    leaf = add_child(root, "2 + 3 = 5\n")
    shared = Evaluator(replace(simulator, critics=critics), LeafScoring(num_rollouts=3), needs_values=True)
    with simulator.engine, metering(Meter()) as meter:
        simulator.engine.run(shared.evaluate_root(root))
        simulator.engine.run(shared.evaluate([leaf]))
    # After 5 + 1 all ends are wrong, and scored 0.1; the PRM says 0.3: (0.1 + 0.3 + 0.1) / 3.
    assert (leaf.value, leaf.orm, leaf.score) == pytest.approx((0.1, 0.1, 0.5 / 3))
    assert root.value == root.orm
    assert len(root.finished) == len(leaf.finished) == 3
    # Three rollouts each, no others: of three lines of five words and an end, and of two lines.
    assert meter.usage.rollout_tokens == sum(
        trajectory.state.num_tokens - node.state.num_tokens for node in (root, leaf) for trajectory in node.finished
    )


def test_without_rollouts_the_orm_judges_ended_texts_only():
    simulator = make_simulator()
    leaves, usage = evaluate(simulator, LeafScoring(num_rollouts=0), "2 + 3 = 5\n", "#### 7\n")
    assert usage.rollout_tokens == 0
    assert asked(simulator, "orm") == ["#### 7\n"]
    assert [leaf.score for leaf in leaves] == pytest.approx([0.3, 0.9])


def test_without_the_orm_an_ended_text_is_judged_as_a_state():
    simulator = make_simulator()
    leaves, _ = evaluate(simulator, LeafScoring(beta_orm=0.0, beta_prm=0.0), "#### 7\n")
    assert leaves[0].score == pytest.approx(0.3)
    assert leaves[0].finished[0].score == pytest.approx(0.3)


def test_the_orm_is_asked_once_about_each_different_text():
    simulator = make_simulator()
    first, second = add_child(Node(START), "#### 7\n").state, add_child(Node(START), "#### 8\n").state
    outcomes = OutcomeScorer(simulator)
    with simulator.engine:
        assert simulator.engine.run(outcomes.score([first, second, first])) == [0.9, 0.1, 0.9]
        assert simulator.engine.run(outcomes.score([second])) == [0.1]
    assert asked(simulator, "orm") == ["#### 7\n", "#### 8\n"]


def test_leaves_evaluated_together_score_as_one_by_one():
    texts = ("2 * 3 = 6\n", "2 + 3 = 5\n", "#### 7\n")
    together, _ = evaluate(make_simulator(), LeafScoring(), *texts)
    root = Node(START)
    leaves = [add_child(root, text) for text in texts]
    simulator = make_simulator()
    evaluator = Evaluator(simulator, LeafScoring(), needs_values=False)
    with simulator.engine:
        for leaf in leaves:
            simulator.engine.run(evaluator.evaluate([leaf]))
    assert [leaf.score for leaf in together] == [leaf.score for leaf in leaves]


@pytest.mark.parametrize("settings", [{"beta_value": -1.0}, {"beta_value": 0.0, "beta_prm": 0.0, "num_rollouts": 0}])
def test_something_must_score_a_leaf(settings: dict[str, float]):
    with pytest.raises(ValueError, match=r"beta_value|expected something"):
        LeafScoring(**settings)
