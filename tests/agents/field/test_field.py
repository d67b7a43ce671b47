"""The field of planners, by values worked by hand in the scripted world."""

from __future__ import annotations

from random import Random

import pytest
from scripted_world import START, asked, make_simulator, search, step

from agents.base import Budget
from agents.best_of_n import BestOfN, lead_posterior
from agents.field.adaptive_branching import AdaptiveBranching, Branch, choose
from agents.field.backtracking import Backtracking, Pool
from agents.field.beam import StepBeam, dvts
from agents.field.distinct import WithoutReplacement
from agents.field.particles import ParticleFilter
from agents.field.rounds import RoundsPlanner
from agents.field.steps import StepSampler
from alphallm_env.runtime.metering import Meter, metering
from alphallm_env.types import Problem

LARGE = Budget(tokens=2_000)
ONLY_WRONG = {"": [("2 * 3 = 5\n", 1.0)], "2 * 3 = 5\n": [("#### 5\n", 1.0)]}
# With checks, 5 + 1 = 5 and 6 + 1 = 8 are refused: 7 and 6 are left.
SOUND_ANSWERS = {"7", "6"}


def prefers_three(text: str) -> float:
    return 0.9 if "2 + 3" in text else 0.2


def answers(finished) -> list[str]:
    return [trajectory.state.text.split("#### ")[-1].strip() for trajectory in finished]


@pytest.mark.parametrize(
    ("votes", "expected"),
    [((), 1 / 2), (("7",), 3 / 4), (("7", "8"), 1 / 2), (("7",) * 5, 1 - 1 / 64), (("7", "7", "7", "8"), 13 / 16)],
)
def test_the_posterior_of_a_vote_by_hand(votes: tuple[str, ...], expected: float):
    # Three to one: Binomial(5, 1/2) is at most 3 in (1 + 5 + 10 + 10) / 32.
    assert lead_posterior([step(START, f"#### {vote}\n") for vote in votes]) == pytest.approx(expected)


def test_self_consistency_stops_when_the_vote_is_decided():
    agreed = {"": [("#### 7\n", 1.0)]}
    most = Budget(simulations=200)
    assert len(search(BestOfN(stop_at=0.95), make_simulator(agreed), most).finished) == 4  # 1 - 2^-5
    assert len(search(BestOfN(stop_at=0.99), make_simulator(agreed), most).finished) == 8  # 1 - 2^-9, four at a time
    split = {"": [("#### 7\n", 0.5), ("#### 8\n", 0.5)]}
    assert len(search(BestOfN(stop_at=0.9999), make_simulator(split), most).finished) == 200


def test_re_ranking_stops_at_a_sample_that_is_sure():
    result = search(BestOfN("orm", stop_at=0.9), make_simulator(), LARGE)
    assert result.best.score == 0.9
    assert len(result.finished) < 20 < len(search(BestOfN("orm"), make_simulator(), LARGE).finished)


def test_a_weighted_vote_adds_up_what_the_orm_says():
    rare = make_simulator(orm=lambda text: 0.9 if "#### 5" in text else 0.1)  # one in five, and nine times the weight
    assert search(BestOfN("weighted"), rare, LARGE).answer == "5"
    even = make_simulator(orm=lambda _: 0.5)
    assert search(BestOfN("weighted"), even, LARGE).answer == "7"


def test_a_step_that_is_wrong_is_drawn_anew_and_paid_for():
    checked = search(BestOfN("orm", redraws=50), make_simulator(), Budget(simulations=100))
    assert set(answers(checked.finished)) == SOUND_ANSWERS
    usage = checked.usage
    assert usage.rejected_tokens > 0
    assert usage.policy_tokens == usage.rejected_tokens + sum(t.state.num_tokens for t in checked.finished)
    unchecked = search(BestOfN("orm"), make_simulator(), LARGE)
    assert set(answers(unchecked.finished)) == {"5", "6", "7", "8"}


def test_a_sample_that_cannot_go_on_is_dropped_unless_it_is_all_there_is():
    result = search(BestOfN("orm", redraws=2), make_simulator(ONLY_WRONG), Budget(tokens=100))
    assert answers(result.finished) == ["5"]
    assert result.usage.rejected_tokens >= 12 * 5


@pytest.mark.parametrize(
    "planner",
    [BestOfN(redraws=1), StepBeam(redraws=1), dvts(redraws=1), ParticleFilter(redraws=1)],
    ids=lambda planner: planner.name,
)
def test_every_planner_answers_where_no_step_is_sound(planner: BestOfN | RoundsPlanner):
    assert search(planner, make_simulator(ONLY_WRONG), Budget(tokens=60)).answer == "5"


@pytest.mark.parametrize("budget", [1, 30, 100])
@pytest.mark.parametrize(
    "planner",
    [StepBeam(), dvts(), ParticleFilter(), Backtracking(), AdaptiveBranching()],
    ids=lambda planner: planner.name,
)
def test_a_round_that_the_budget_cuts_still_ends_a_solution(planner: RoundsPlanner, budget: int):
    result = search(planner, make_simulator(), Budget(tokens=budget))
    assert result.best.state.ending is not None
    assert result.answer is not None


def test_a_beam_keeps_what_the_critic_scores_highest():
    misled = make_simulator(prm=prefers_three)
    narrow = search(StepBeam(width=1, expansions=8, redraws=None), misled, Budget(simulations=1))
    assert set(answers(narrow.finished)) <= {"5", "6"}
    wide = search(StepBeam(3, 8, redraws=None), make_simulator(prm=prefers_three), Budget(simulations=1))
    assert {"7", "8"} & set(answers(wide.finished))  # the two second lines after 2 + 3 leave room for one


def test_a_beam_asks_the_critic_once_for_each_text():
    simulator = make_simulator()
    search(StepBeam(width=4, expansions=8, redraws=None), simulator, Budget(simulations=1))
    prm = asked(simulator, "prm")
    assert len(prm) == len(set(prm)) <= 6  # two first lines and four second ones; ended states are the ORM's


def test_the_trees_of_dvts_do_not_compete():
    found = {
        tuple(sorted(set(answers(search(planner, make_simulator(prm=lambda _: 0.5), Budget(simulations=1)).finished))))
        for planner in (dvts(8, expansions=1, redraws=None), StepBeam(1, 8, redraws=None))
    }
    assert max(map(len, found)) > 1  # eight trees of one option go eight ways, a beam of one goes one
    assert min(map(len, found)) == 1


def test_rounds_draw_what_no_round_before_them_drew():
    one = search(StepBeam(width=8, redraws=None), make_simulator(), Budget(simulations=1))
    several = search(StepBeam(width=8, redraws=None), make_simulator(), LARGE)
    assert len(several.finished) > len(one.finished)
    assert [t.state for t in several.finished[: len(one.finished)]] == [t.state for t in one.finished]


def test_particles_follow_the_critic_as_sharply_as_they_are_told():
    def shares(sharpness: float) -> float:
        simulator = make_simulator(prm=lambda text: 0.8 if "2 * 3" in text else 0.2)
        planner = ParticleFilter(64, sharpness, redraws=None)
        found = answers(search(planner, simulator, Budget(simulations=1)).finished)
        return sum(answer in ("7", "8") for answer in found) / len(found)

    # Of the first lines 0.6 are 2 * 3, whose weight is 4 against 1/4: 24 / 25 after the first step, and more later.
    assert shares(1.0) > 0.9
    assert 0.35 < shares(1e6) < 0.85  # all weights alike: as the policy draws


def test_solutions_that_ended_take_part_in_the_resampling():
    script = {"": [("#### 7\n", 0.5), ("2 * 3 = 6\n", 0.5)], "2 * 3 = 6\n": [("#### 6\n", 1.0)]}
    simulator = make_simulator(script, prm=lambda text: 0.99 if "#### 7" in text else 0.01)
    result = search(ParticleFilter(32, redraws=None), simulator, Budget(simulations=1))
    assert set(answers(result.finished)) == {"7"}


def test_a_pool_counts_every_prefix_that_a_solution_went_through():
    first = step(START, "2 * 3 = 6\n")
    pool = Pool(START)
    pool.add(START, step(step(first, "6 + 1 = 7\n"), "#### 7\n"), 1.0)
    pool.add(START, step(step(first, "6 + 1 = 8\n"), "#### 8\n"), 0.0)
    # The start has two solutions of mean 1/2; the others are shrunk towards it by one more of 1/2.
    by_text = dict(zip((state.text for state in pool.states), pool.means(), strict=True))
    assert by_text == {
        "": 0.5,
        "2 * 3 = 6\n": 0.5,
        "2 * 3 = 6\n6 + 1 = 7\n": 0.75,
        "2 * 3 = 6\n6 + 1 = 8\n": 0.25,
    }


def test_backtracking_goes_on_from_prefixes_and_pays_for_what_is_new_alone():
    result = search(Backtracking(softness=0.05), make_simulator(), Budget(simulations=60))
    whole = sum(trajectory.state.num_tokens for trajectory in result.finished)
    assert result.usage.policy_tokens - result.usage.rejected_tokens < 0.8 * whole
    anew = search(Backtracking(softness=1e6, redraws=None), make_simulator(), Budget(simulations=60))
    assert set(answers(anew.finished)) == {"5", "6", "7", "8"}


@pytest.mark.parametrize("seed", range(20))
def test_thompson_sampling_goes_where_the_scores_are(seed: int):
    root = Branch(START)
    good, bad = Branch(step(START, "2 * 3 = 6\n"), root), Branch(step(START, "2 + 3 = 5\n"), root)
    ended = Branch(step(START, "#### 7\n"), root)
    root.children += [good, bad, ended]
    ended.scores = [1.0] * 500  # it is no arm: nothing comes below it
    good.scores, bad.scores = [0.0] + [1.0] * 200, [0.0] * 200
    root.children += [Branch(step(START, f"{n}\n"), root) for n in range(30)]
    for child in root.children[3:]:
        child.scores = [0.0] * 200  # a new child is worth as little as they were at first
    assert choose(root, Random(seed)) is good
    good.scores = [0.0] * 200
    for child in root.children[3:]:
        child.scores = [1.0] + [0.0] * 200
    assert choose(root, Random(seed)) is None  # new children end well, and old ones do not


def test_adaptive_branching_grows_one_tree_over_the_rounds():
    result = search(AdaptiveBranching(), make_simulator(), Budget(simulations=40))
    assert result.answer == "7"
    steps = {trajectory.state.options[0].text for trajectory in result.finished}
    assert steps == {"2 * 3 = 6\n", "2 + 3 = 5\n"}
    right = sum(answer == "7" for answer in answers(result.finished))
    assert right > 0.7 * len(result.finished)  # of samples 0.6 are: 5 + 1 = 5 and 6 + 1 = 8 are refused


def test_a_sampler_spends_no_more_redraws_than_the_budget_has():
    simulator = make_simulator(ONLY_WRONG)
    with simulator.engine, metering(Meter()) as meter:
        sampler = StepSampler(simulator, 0, meter, Budget(tokens=11), redraws=9)
        assert simulator.engine.run(sampler.step(START, 0)) is None
    assert meter.usage.policy_tokens == meter.usage.rejected_tokens == 15  # of five each: the budget is reached


@pytest.mark.parametrize(
    ("problem", "text", "expected"),
    [
        (Problem("p", "q", "7"), "2 * 3 = 6\n", True),
        (Problem("p", "q", "7"), "2 * 3 = 5\n", False),
        (Problem("p", "q", "7"), "so\n", None),
        (Problem("c", "Make 29 from: 25 3 7", verifier="countdown"), "25 - 3 = 22 , 7 22\n", True),
        (Problem("c", "Make 29 from: 25 3 7", verifier="countdown"), "25 - 4 = 21 , 7 21\n", False),
    ],
)
def test_a_step_is_sound_where_rules_can_tell(problem: Problem, text: str, expected: bool | None):
    simulator = make_simulator()
    assert simulator.is_sound(step(simulator.initial_state(problem), text)) is expected


def test_the_last_step_is_judged_not_those_before_it():
    simulator = make_simulator()
    wrong = step(START, "2 * 3 = 5\n")
    assert simulator.is_sound(step(wrong, "5 + 1 = 6\n")) is True
    assert simulator.is_sound(START) is None


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: StepBeam(width=0), "width must be >= 1, got 0"),
        (lambda: dvts(num_trees=0), "num_trees must be >= 1, got 0"),
        (lambda: Backtracking(0.0), "softness must be > 0, got 0.0"),
        (lambda: ParticleFilter(1), "num_particles must be >= 2, got 1"),
        (lambda: ParticleFilter(sharpness=0.0), "sharpness must be > 0, got 0.0"),
        (lambda: StepBeam(critic="orm"), "critic must be prm or value, got 'orm'"),
        (lambda: StepBeam(redraws=-1), "redraws must be >= 0 or None, got -1"),
        (lambda: BestOfN(redraws=-1), "redraws must be >= 0 or None, got -1"),
        (lambda: StepBeam(stop_at=1.5), r"stop_at must be in \(0, 1\] or None, got 1.5"),
        (lambda: BestOfN(stop_at=1.5), r"stop_at must be in \(0, 1\] or None, got 1.5"),
    ],
)
def test_wrong_settings_are_errors(make, said: str):
    with pytest.raises(ValueError, match=said):
        make()


def test_no_solution_is_drawn_twice_and_known_steps_cost_nothing():
    result = search(WithoutReplacement(redraws=None), make_simulator(), Budget(tokens=10_000))
    assert sorted(answers(result.finished)) == ["5", "6", "7", "8"]  # all there are, and then it ends
    # Six steps of five tokens and four answers of two, for each its score; the rest are repetitions.
    assert result.usage.policy_tokens - result.usage.rejected_tokens == 6 * 5 + 4 * 2
    assert result.usage.critic_tokens == 4


def test_what_is_refused_is_not_drawn_again_where_nothing_is_drawn_twice():
    result = search(WithoutReplacement(), make_simulator(), Budget(tokens=10_000))
    assert sorted(answers(result.finished)) == ["6", "7"]
    assert search(WithoutReplacement(), make_simulator(ONLY_WRONG), Budget(tokens=10_000)).answer == "5"


def test_the_first_solutions_without_replacement_are_as_likely_as_the_policy_has_them():
    pairs = [
        tuple(answers(search(WithoutReplacement(redraws=None), make_simulator(), Budget(simulations=2), seed).finished))
        for seed in range(400)
    ]
    assert sum(first == "7" for first, _ in pairs) / 400 == pytest.approx(0.42, abs=0.075)
    others = [second for first, second in pairs if first == "7"]
    assert others.count("8") / len(others) == pytest.approx(0.18 / 0.58, abs=0.11)
    assert all(first != second for first, second in pairs)
