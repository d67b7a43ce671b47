"""Imagined questions: what is kept, what never comes up."""

from __future__ import annotations

from collections import Counter

import pytest

from alphallm_env.loading import load_policy
from alphallm_env.problems import gsm_symbolic, load_problems, normalise_question
from alphallm_env.problems.countdown.game import require_game
from alphallm_env.problems.countdown.solver import is_in_reach
from experiments.loop import imagination
from experiments.loop.imagination import imagine
from experiments.loop.questions import CountdownQuestions, QuestionFilter


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ("A kid has 13 books. His sister has 10 fewer books than he has. How many do they have?", None),
        (
            "A kid has 13 books and wants 3 more of them, how many books does he",
            "no full stop or question mark at its end",
        ),
        ("A kid has some books and his sister has more. How many do they have together?", "fewer than 2 numbers"),
        ("How many are 3 and 4?", "fewer than 8 words"),
        ("A kid has 3 books and 4 pens. " * 20, "more than 120 words"),
        ("and a kid has 13 books. His sister has 10 fewer. How many do they have?", "no capital letter at its start"),
        ("", "fewer than 8 words"),
    ],
)
def test_the_filter_wants_whole_questions_with_numbers(question: str, reason: str | None) -> None:
    assert QuestionFilter().refusal_of(question) == reason
    assert QuestionFilter().level_of(question) == ("" if reason is None else None)


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ("Use 1 2 3 to", "no game"),
        ("Make 20 from: 1 2 3 4 5", "of none of the levels"),
        ("Make 5 from: 1 2 3 4", "of none of the levels"),
    ],
)
def test_a_game_is_refused_for_a_reason(question: str, reason: str) -> None:
    assert CountdownQuestions(("3", "4")).refusal_of(question) == reason


def test_every_question_that_was_written_is_kept_or_refused_for_a_reason() -> None:
    tiny, game = load_policy("tiny", device="cpu"), load_policy("tiny_countdown", device="cpu")
    known = gsm_symbolic.problems("train", 5)
    levels = CountdownQuestions(("3", "4"))
    whole = imagine(game, (), {"3": 5, "4": 20}, seed=1, forbidden=(), questions=levels)
    cut = imagine(game, (), {"4": 1}, seed=1, forbidden=(), questions=levels, max_tokens=20)
    for found in (
        imagine(tiny, known, {"": 12}, seed=1, forbidden=(), questions=QuestionFilter()),
        imagine(tiny, known, {"": 3}, seed=1, forbidden=(), questions=QuestionFilter(), max_tokens=20),
        whole,
        cut,
    ):
        assert len(found.problems) + found.refused.counts.total() == found.num_written
        assert {reason for _, reason in found.refused.shown} == found.refused.counts.keys()
        assert all(num <= 4 for num in Counter(reason for _, reason in found.refused.shown).values())
    assert whole.refused.counts["of a level that has enough"] > 0
    assert cut.refused.counts["its play breaks a rule or does not end"] > 0


def test_imagined_problems_are_new_different_and_have_no_answer() -> None:
    policy = load_policy("tiny", device="cpu")
    known = gsm_symbolic.problems("train", 20)
    first = imagine(policy, known, {"": 12}, seed=1, forbidden=(), questions=QuestionFilter())
    questions = [normalise_question(problem.question) for problem in first.problems]
    assert len(set(questions)) == 12
    assert not set(questions) & {normalise_question(problem.question) for problem in known}
    assert all(problem.answer is None and problem.solution is None for problem in first.problems)
    again = imagine(policy, known, {"": 12}, seed=1, forbidden=questions, questions=QuestionFilter())
    assert not set(questions) & {normalise_question(problem.question) for problem in again.problems}


@pytest.mark.parametrize(
    ("name", "wanted", "questions"),
    [("tiny", {"": 12}, QuestionFilter()), ("tiny_countdown", {"3": 8, "4": 2}, CountdownQuestions(("3", "4")))],
)
def test_a_question_does_not_depend_on_how_many_are_written_at_once(monkeypatch, name, wanted, questions) -> None:
    policy = load_policy(name, device="cpu")
    several = imagine(policy, (), wanted, seed=1, forbidden=(), questions=questions)
    monkeypatch.setattr(imagination, "_BATCH", 3)
    few = imagine(policy, (), wanted, seed=1, forbidden=(), questions=questions)
    assert [p.question for p in several.problems] == [p.question for p in few.problems]


def test_few_questions_cost_few_drafts() -> None:
    policy = load_policy("tiny", device="cpu")
    found = imagine(policy, (), {"": 4}, seed=1, forbidden=(), questions=QuestionFilter())
    assert len(found.problems) == 4
    assert found.num_written <= 40


def test_games_are_imagined_by_level_new_and_of_the_train_split() -> None:
    policy, levels = load_policy("tiny_countdown", device="cpu"), CountdownQuestions(("3", "4", "5"))
    found = imagine(policy, (), {"3": 5, "5": 3}, seed=1, forbidden=(), questions=levels)
    assert Counter(levels.level_of(problem.question) for problem in found.problems) == {"3": 5, "5": 3}
    assert len({levels.key_of(problem.question) for problem in found.problems}) == 8
    assert all((p.answer, p.solution, p.verifier) == (None, None, "countdown") for p in found.problems)
    seen = [levels.key_of(problem.question) for problem in found.problems]
    again = imagine(policy, (), {"3": 5, "5": 3}, seed=1, forbidden=seen, questions=levels)
    assert not set(seen) & {levels.key_of(problem.question) for problem in again.problems}


@pytest.mark.parametrize("split", ["development", "test"])
def test_a_question_of_another_split_is_never_kept_whoever_writes_it(split: str) -> None:
    levels = CountdownQuestions(("3", "4"))
    assert {levels.level_of(p.question) for p in load_problems("countdown:4", split, 50)} == {None}
    assert {levels.level_of(p.question) for p in load_problems("countdown:4", "train", 50)} == {"4"}


@pytest.mark.parametrize(
    "question", ["Make 20 from: 1 2 3 4 5", "Make 20 from: 99 2 3 4", "Make 5 from: 1 2 3 4", "Use 1 2 3 to"]
)
def test_a_game_of_no_level_is_refused(question: str) -> None:
    assert CountdownQuestions(("3", "4")).level_of(question) is None


def test_the_same_numbers_in_another_order_are_the_same_question() -> None:
    key_of = CountdownQuestions(("3",)).key_of
    assert key_of("Make 20 from: 4 2 3") == key_of("Make 20 from: 2 3 4") != key_of("Make 21 from: 2 3 4")


def test_a_game_that_was_played_asks_for_the_number_that_the_play_left() -> None:
    levels, question = CountdownQuestions(("3",)), "Make 99 from: 5 2 3"
    assert levels.played(question, "5 * 2 = 10 , 3 10\n10 + 3 = 13 , 13\n#### 13") == "Make 13 from: 5 2 3"
    assert levels.played(question, "5 * 2 = 10 , 3 10\n10 + 3 = 13 , 13") == "Make 13 from: 5 2 3"
    assert levels.played(question, "5 * 2 = 10 , 3 10\n10 + 3 = 12 , 12\n#### 12") is None  # not legal
    assert levels.played(question, "5 * 2 = 10 , 3 10") is None  # not over


def test_games_that_were_imagined_have_a_solution() -> None:
    levels = CountdownQuestions(("3", "4"))
    found = imagine(load_policy("tiny_countdown", device="cpu"), (), {"3": 20, "4": 20}, 2, (), levels)
    games = [require_game(problem.question) for problem in found.problems]
    assert all(is_in_reach(game.numbers, game.target) for game in games)
