"""The curriculum of Countdown, and what a fine-tuning learns from."""

from __future__ import annotations

from alphallm_env.mdp.rewards import CORRECT, verdict_of
from alphallm_env.problems.countdown.game import require_game
from alphallm_env.problems.countdown.problem_set import problem_of
from alphallm_env.training.base import Lesson
from experiments.loop.config import PRESETS, SelfImproveConfig, smoke
from experiments.loop.lessons import training_set
from experiments.loop.plan import arms_of, expected_costs
from experiments.loop.worlds import CountdownWorld, ProblemSetWorld, world_of
from experiments.runs.settings import changed

CONFIG = changed(smoke(PRESETS["countdown"]), imagined=100, levels="3,4,5,6")


def test_the_curriculum_asks_for_one_level_above_what_search_solves_and_some_below():
    world = CountdownWorld(CONFIG)
    assert world.wanted({}, curriculum=True) == {"3": 15, "4": 85}
    assert world.wanted({"3": 1.0, "4": 0.74}, curriculum=True) == {"3": 15, "4": 85}
    assert world.wanted({"3": 1.0, "4": 0.75}, curriculum=True) == {"3": 8, "4": 8, "5": 84}
    solved = {"3": 0.2, "4": 0.9, "5": 0.8, "6": 0.7}
    assert world.wanted(solved, curriculum=True) == {"3": 5, "4": 5, "5": 5, "6": 85}
    assert world.wanted(solved, curriculum=False) == {"3": 25, "4": 25, "5": 25, "6": 25}


def test_rehearsed_games_are_solved_up_to_three_numbers_and_legal_above_what_was_asked():
    world = CountdownWorld(CONFIG)
    lessons = world.rehearsal(100, 1, {"3", "4"})
    games = [require_game(lesson.question) for lesson in lessons]
    assert {len(game.numbers) for game in games} == {2, 3, 5, 6}
    for lesson, game in zip(lessons, games, strict=True):
        is_solved = verdict_of(lesson.solution, problem_of(game)) == CORRECT
        assert is_solved == (len(game.numbers) <= 3)
    assert lessons == world.rehearsal(100, 1, {"3", "4"}) != world.rehearsal(100, 2, {"3", "4"})
    highest = [require_game(lesson.question) for lesson in world.rehearsal(100, 1, {"6"})]
    assert {len(game.numbers) for game in highest} == {2, 3}


def test_a_problem_set_is_one_level_and_rehearses_nothing():
    world = world_of(smoke(PRESETS["tiny"]))
    assert isinstance(world, ProblemSetWorld)
    assert world.wanted({}, curriculum=True) == {"": 8}
    assert list(world.tests) == ["test", "unseen_templates"]
    assert world.rehearsal(5, 1, ()) == []


def test_new_lessons_come_before_earlier_ones_where_there_is_no_room_for_all():
    lessons = [Lesson(f"{number}", "s", round=number) for number in (1, 1, 1, 2, 2)]
    assert training_set(lessons, 2, most=10, seed=0) == lessons
    few = training_set(lessons, 2, most=3, seed=0)
    assert [lesson.round for lesson in few] == [1, 2, 2]
    assert [lesson.round for lesson in training_set(lessons, 2, most=1, seed=0)] == [2]


def test_controls_leave_out_one_part_each_and_have_stages_of_their_own():
    config = changed(CONFIG, controls=("no_search", "no_curriculum"))
    loop, no_search, no_curriculum = arms_of(config)
    assert (loop.stage("round1"), no_search.stage("round1")) == ("round1", "no_search-round1")
    assert (loop.planner, no_search.planner, no_curriculum.planner) == ("eta_mcts", "orm_rerank", "eta_mcts")
    assert (loop.curriculum, no_search.curriculum, no_curriculum.curriculum) == (True, True, False)
    titles = expected_costs(config)
    assert {"round2: search imagined problems", "no_search-round2: search imagined problems"} <= set(titles)
    assert SelfImproveConfig().is_countdown is False
