"""Countdown: its rules, its problem sets, its verifier and its solver, beside reasoning-gym's own scorer."""

from __future__ import annotations

import json
from itertools import islice, pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphallm_env.errors import ProblemError
from alphallm_env.mdp.rewards import CORRECT, verdict_of
from alphallm_env.problems import load_problems
from alphallm_env.problems.countdown import (
    LEVELS,
    Game,
    Move,
    line_of,
    play,
    question_of,
    solution_of,
    split_of,
    stream,
)
from alphallm_env.problems.countdown.game import after, game_of, moves, require_game
from alphallm_env.problems.countdown.problem_set import draw, problem_of, random_play
from alphallm_env.problems.countdown.solver import is_in_reach, reachable, solve
from alphallm_env.problems.countdown.verifier import CountdownVerifier
from alphallm_env.problems.jsonl import read_jsonl
from alphallm_env.problems.verifiers import VERIFIERS

QUESTION = "Make 29 from: 25 3 7"
SOLVED = "25 - 3 = 22 , 7 22\n7 + 22 = 29 , 29\n#### 29"
verifier = CountdownVerifier()
games = st.builds(
    lambda seed, level: draw(Random(seed), LEVELS[level]), st.integers(0, 10**6), st.sampled_from(["3", "4", "5", "4w"])
)


def verdict(text: str, question: str = QUESTION) -> str:
    return verdict_of(text, problem_of(require_game(question)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SOLVED, CORRECT),
        ("25 - 3 = 22 , 22 7\n22 + 7 = 29 , 29\n#### 29", CORRECT),  # what is left, in another order
        ("25-3=22, 7, 22\n7+22=29, 29\n#### 29\n", CORRECT),
        ("25 - 3 = 22 , 7 22\n\n7 + 22 = 29 , 29\n#### 29", CORRECT),
        ("25 + 7 = 32 , 3 32\n32 - 3 = 29 , 29\n#### 29", CORRECT),
        ("25 - 3 = 22 , 7 22\n7 + 22 = 29 , 29\n#### 30", "incorrect"),
        ("25 + 3 = 28 , 7 28\n28 + 7 = 35 , 35\n#### 35", "incorrect"),  # legal, and not the target
        ("25 + 3 = 28 , 7 28\n28 + 7 = 35 , 35\n#### 29", "incorrect"),  # says the target without reaching it
        ("25 - 3 = 22 , 7 22\n7 + 22 = 29 , 29", "unanswered"),
        ("25 + 4 = 29 , 29\n#### 29", "incorrect"),  # a number that is not there
        ("#### 29", "incorrect"),
        ("25 - 3 = 22 , 22\n22 + 7 = 29 , 29\n#### 29", "incorrect"),  # a number got lost
        ("25 - 3 = 21 , 7 21\n7 + 21 = 28 , 29\n#### 29", "incorrect"),  # miscalculated
        ("25 - 3 = 22 , 7 22\n7 + 22 = 29 , 29\nso\n#### 29", "incorrect"),
        ("29 + 0 = 29 , 29\n#### 29", "incorrect"),
        ("25 - 3 = 22 , 7 22 22\n7 + 22 = 29 , 29\n#### 29", "incorrect"),
        ("9" * 5_000 + " - 3 = 22 , 7 22\n7 + 22 = 29 , 29\n#### 29", "incorrect"),
        ("25 \u2212 3 = 22 , 7 22\n7 + 22 = 29 , 29\n#### 29", "incorrect"),  # not a sign of the game
        ("\u0662\u0665 - 3 = 22 , 7 22\n7 + 22 = 29 , 29\n#### 29", "incorrect"),  # digits of another script
    ],
)
def test_the_outcome_is_judged_by_replaying_the_lines(text: str, expected: str):
    assert verdict(text) == expected


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("25 - 3 = 22 , 7 22", (7, 22)),
        ("25 * 3 = 75 , 7 75", (7, 75)),
        ("3 * 25 = 75 , 75 7", (75, 7)),
        ("3 - 25 = 22 , 7 22", None),
        ("25 / 3 = 8 , 7 8", None),
        ("25 / 0 = 0 , 7 0", None),
        ("25 - 25 = 0 , 3 7 0", None),  # a number that is there once
        ("25 - 3 = 22", None),
        ("25 - 3 = 22 , ", None),
        ("25 - 3 = 22 , 7 22 extra", None),
        ("", None),
    ],
)
def test_a_line_is_legal_or_not(line: str, left: tuple[int, ...] | None):
    assert play((25, 3, 7), line) == left


def test_a_number_that_is_there_twice_may_be_used_twice():
    assert play((6, 6, 1), "6 / 6 = 1 , 1 1") == (1, 1)
    assert play((6, 1, 1), "6 / 6 = 1 , 1 1") is None


def test_unfinished_solutions_are_legal_line_by_line():
    lines = SOLVED.splitlines(keepends=True)
    assert all(verifier.is_legal(QUESTION, "".join(lines[:number])) for number in range(4))
    assert not verifier.is_legal(QUESTION, lines[1])
    assert not verifier.is_legal(QUESTION, lines[0] + "#### 29")
    assert not verifier.is_legal(QUESTION, SOLVED + "\n29 + 0 = 29 , 29")
    assert not verifier.is_legal(QUESTION, "25 - 3 =")


@pytest.mark.parametrize("question", ["How much is 2 + 3?", "Make 5 from: 5", "Make 29 from 25 3 7", "Use 1 2 3"])
def test_other_questions_are_refused(question: str):
    assert game_of(question) is None
    with pytest.raises(ProblemError, match=r"expected a question of Countdown.*got"):
        verifier.is_legal(question, "")


@given(games)
@settings(deadline=None)
def test_every_problem_has_a_solution_which_verifier_solver_and_reasoning_gym_accept(found: tuple[Game, list[Move]]):
    game, played = found
    text = solution_of(game.numbers, played)
    assert verdict_of(text, problem_of(game)) == CORRECT
    assert is_in_reach(game.numbers, game.target)
    assert game_of(question_of(game)) == game
    assert scored_by_reasoning_gym(game, played)
    other = Game(game.numbers, game.target + 1)
    assert verdict_of(text, problem_of(other)) == "incorrect"
    assert not scored_by_reasoning_gym(other, played)
    fewer = Game((*game.numbers, 1), game.target)  # one number is not used
    assert verdict_of(text, problem_of(fewer)) == "incorrect"
    assert not scored_by_reasoning_gym(fewer, played)


def scored_by_reasoning_gym(game: Game, played: list[Move]) -> bool:
    """Returns whether reasoning-gym's own scorer accepts the expression of a play."""
    from reasoning_gym.games.countdown import CountdownConfig, CountdownDataset

    terms = [(number, str(number)) for number in game.numbers]
    for move in played:
        left = next(term for term in terms if term[0] == move.left)
        terms.remove(left)
        right = next(term for term in terms if term[0] == move.right)
        terms.remove(right)
        terms.append((move.result, f"({left[1]} {move.sign} {right[1]})"))
    entry = {"metadata": {"numbers": list(game.numbers), "target": game.target}}
    return CountdownDataset(CountdownConfig(size=1)).score_answer(terms[-1][1], entry) == 1.0


def test_the_solver_finds_what_trying_everything_finds():
    def all_results(numbers: tuple[int, ...]) -> set[int]:
        if len(numbers) == 1:
            return {numbers[0]}
        return {result for move in moves(numbers) for result in all_results(after(numbers, move))}

    for numbers in ((1, 2, 3), (4, 4, 9), (2, 3, 5, 7)):
        assert reachable(numbers) == all_results(numbers)
        for target in range(40):
            found = solve(numbers, target)
            assert (found is not None) == (target in all_results(numbers))
            if found is not None:
                assert verdict_of(solution_of(numbers, found), problem_of(Game(numbers, target))) == CORRECT


@pytest.mark.parametrize("level", LEVELS)
def test_splits_are_disjoint_whatever_the_order_of_numbers(level: str):
    rules = LEVELS[level]
    sets = {split: load_problems(f"countdown:{level}", split, 60) for split in ("train", "development", "test")}
    found = {split: [require_game(p.question) for p in problems] for split, problems in sets.items()}
    keys = {split: {game.key for game in listed} for split, listed in found.items()}
    assert {split: len(listed) for split, listed in keys.items()} == dict.fromkeys(sets, 60)
    assert all(one.isdisjoint(other) for one, other in pairwise([*keys.values(), keys["train"]]))
    for game in (game for listed in found.values() for game in listed):
        assert len(game.numbers) == rules.num_numbers
        assert all(rules.numbers[0] <= number <= rules.numbers[1] for number in game.numbers)
        assert rules.targets[0] <= game.target <= rules.targets[1]
        assert split_of(Game(game.numbers[::-1], game.target)) == split_of(game)


def test_a_set_is_the_same_for_the_same_seed_and_tells_no_solution():
    first = load_problems("countdown:5", "test", 20, seed=3)
    assert first == load_problems("countdown:5", "test", 20, seed=3) != load_problems("countdown:5", "test", 20, seed=4)
    assert load_problems("countdown", "test", 5) == load_problems("countdown:4", "test", 5)
    assert all((p.answer, p.solution, p.verifier, p.is_gradable) == (None, None, "countdown", True) for p in first)


@pytest.mark.parametrize(("name", "split"), [("countdown:8", "test"), ("countdown:4", "validation")])
def test_an_unknown_level_or_split_is_an_error_that_lists_the_right_ones(name: str, split: str):
    with pytest.raises(ProblemError, match=r"3, 4, 5.*'8'|train, development, test, got 'validation'"):
        load_problems(name, split, 3)


def test_more_problems_than_there_are_is_an_error():
    with pytest.raises(ProblemError, match="fewer than 100000"):
        load_problems("countdown:2", "test", 100_000)


def test_random_play_keeps_within_the_largest_number():
    rng = Random(0)
    for _ in range(200):
        played = random_play(tuple(rng.randint(1, 20) for _ in range(5)), rng, 99)
        assert played is None or all(1 <= move.result <= 99 for move in played)
    assert random_play((99, 98), rng, 0) is None
    with pytest.raises(ValueError, match="2 left"):
        solution_of((1, 2, 3), [Move(1, "+", 2, 3)])
    assert line_of(Move(1, "+", 2, 3), (3, 3)) == "1 + 2 = 3 , 3 3"


def test_rows_of_a_file_may_name_a_verifier_instead_of_an_answer(tmp_path):
    path = tmp_path / "games.jsonl"
    path.write_text(json.dumps({"question": QUESTION, "verifier": "countdown"}) + "\n")
    (problem,) = read_jsonl(path)
    assert (problem.answer, verdict_of(SOLVED, problem)) == (None, CORRECT)
    path.write_text(json.dumps({"question": QUESTION, "verifier": "countdwn"}) + "\n")
    with pytest.raises(ProblemError, match=r"line 1: verifier must be one of countdown.*got 'countdwn'"):
        read_jsonl(path)


def test_verifiers_are_found_by_name():
    assert isinstance(VERIFIERS.resolve("countdown"), CountdownVerifier)
    assert isinstance(
        VERIFIERS.resolve("alphallm_env.problems.countdown.verifier:CountdownVerifier"), CountdownVerifier
    )
    with pytest.raises(ValueError, match="is_legal"):
        VERIFIERS.resolve("alphallm_env.problems.countdown.game:play")


def test_the_stream_is_endless_and_of_its_split():
    assert {split_of(require_game(p.question)) for p in islice(stream("development", 1, "6"), 30)} == {"development"}


def test_levels_may_be_mixed():
    problems = load_problems("countdown:3,5", "train", 9)
    assert [len(require_game(problem.question).numbers) for problem in problems] == [3, 5, 3, 5, 3, 5, 3, 5, 3]
    assert problems[0] == load_problems("countdown:3", "train", 5)[0]
