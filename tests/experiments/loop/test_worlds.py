"""The curriculum of Countdown, and what a fine-tuning learns from."""

from __future__ import annotations

import pytest

from alphallm_env.mdp.rewards import CORRECT, verdict_of
from alphallm_env.problems.countdown.game import require_game
from alphallm_env.problems.countdown.problem_set import problem_of, split_of
from alphallm_env.training.base import Lesson
from experiments.loop.config import PRESETS, SelfImproveConfig, smoke
from experiments.loop.lessons import training_set
from experiments.loop.plan import arms_of, expected_costs
from experiments.loop.worlds import CountdownWorld, ProblemSetWorld, world_of
from experiments.runs.settings import changed

CONFIG = changed(smoke(PRESETS["countdown"]), imagined=100, levels="3,4,5,6")


def test_the_curriculum_asks_for_one_level_above_what_search_solves_and_some_below():
    world = CountdownWorld(CONFIG)
    assert world.wanted({}, curriculum=True) == {"3": 17, "4": 83}
    assert world.wanted({"3": 1.0, "4": 0.74}, curriculum=True) == {"3": 17, "4": 83}
    assert world.wanted({"3": 1.0, "4": 0.75}, curriculum=True) == {"3": 3, "4": 16, "5": 81}
    solved = {"3": 0.2, "4": 0.9, "5": 0.8, "6": 0.7}
    assert world.wanted(solved, curriculum=True) == {"3": 1, "4": 3, "5": 16, "6": 80}
    assert world.wanted(solved, curriculum=False) == {"3": 25, "4": 25, "5": 25, "6": 25}


def test_what_is_rehearsed_is_what_was_taught():
    world = CountdownWorld(CONFIG)
    lessons = world.rehearsal(100, 1)
    assert lessons == world.rehearsal(100, 1) != world.rehearsal(100, 2)
    assert {len(require_game(lesson.question).numbers) for lesson in lessons} == {2, 3, 4, 5, 6}
    for lesson in lessons:
        is_won = verdict_of(lesson.prefix + lesson.solution, problem_of(require_game(lesson.question))) == CORRECT
        assert not is_won or len(require_game(lesson.question).numbers) <= 3
    assert {(bool(lesson.prefix), lesson.is_whole) for lesson in lessons} == {
        (False, True),
        (True, True),
        (False, False),
    }


def test_a_problem_set_is_one_level_and_rehearses_nothing():
    world = world_of(smoke(PRESETS["tiny"]))
    assert isinstance(world, ProblemSetWorld)
    assert world.wanted({}, curriculum=True) == {"": 8}
    assert list(world.tests) == ["test", "unseen_templates"]
    assert world.rehearsal(5, 1) == []


def test_new_lessons_come_before_earlier_ones_where_there_is_no_room_for_all():
    lessons = [Lesson(f"{number}", "s", round=number) for number in (1, 1, 1, 2, 2)]
    assert training_set(lessons, 2, most=10, seed=0) == lessons
    few = training_set(lessons, 2, most=3, seed=0)
    assert [lesson.round for lesson in few] == [1, 2, 2]
    assert [lesson.round for lesson in training_set(lessons, 2, most=1, seed=0)] == [2]


def test_controls_leave_out_one_part_each_and_have_stages_of_their_own():
    config = changed(CONFIG, controls=("no_search", "no_curriculum", "learned_orm", "no_lessons"))
    loop, no_search, no_curriculum, learned_orm, no_lessons = arms_of(config)
    assert (loop.stage("round1"), no_search.stage("round1")) == ("round1", "no_search-round1")
    planners = [arm.planner for arm in (loop, no_search, no_curriculum, learned_orm)]
    assert planners == ["eta_mcts_plus", "checked_rerank", "eta_mcts_plus", "eta_mcts_plus"]
    assert [arm.curriculum for arm in (loop, no_search, no_curriculum, learned_orm)] == [True, True, False, True]
    assert [arm.has_learned_orm for arm in (loop, no_search, no_curriculum, learned_orm)] == [False, False, False, True]
    assert [arm.has_lessons for arm in (loop, no_search, no_lessons)] == [True, True, False]
    titles = expected_costs(config)
    assert {"round2: search imagined problems", "no_search-round2: search imagined problems"} <= set(titles)
    assert {title for title in titles if title.startswith("no_lessons-round1") and "greedy" not in title} == {
        "no_lessons-round1: fine-tune the policy"
    }
    assert "learned_orm-taught: fit critics" in titles
    assert "round1: fit critics" in expected_costs(changed(config, refresh="value"))
    assert SelfImproveConfig().is_countdown is False


def test_the_learned_orm_is_fitted_to_the_level_that_is_taught():
    taught = CountdownWorld(CONFIG).taught(20)
    assert {len(require_game(problem.question).numbers) for problem in taught} == {3}
    assert {split_of(require_game(problem.question)) for problem in taught} == {"train"}
    assert not ProblemSetWorld(smoke(PRESETS["tiny"])).taught(20)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"refresh": "value,judge"}, "refresh must name some of value, prm, orm, got judge"),
        ({"controls": ("learned_orm",), "train_problems": "gsm_symbolic"}, "replaces a verifier"),
        ({"controls": ("no_lessons",), "train_problems": "gsm_symbolic"}, "rehearses what was taught before the loop"),
    ],
)
def test_settings_that_cannot_be_met_are_refused(settings: dict[str, object], said: str):
    with pytest.raises(ValueError, match=said):
        changed(CONFIG, **settings)
