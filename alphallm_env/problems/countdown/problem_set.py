"""Countdown problems by level: how many numbers, how large, which targets. Splits share no problem.

A level's problems are drawn by playing: random numbers, random legal moves that keep within the level's largest
number, and the number that is left as the target. So each has a solution, which nobody keeps: neither problem nor id
holds one, and the outcome is judged by replaying the lines.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from alphallm_env.errors import ProblemError
from alphallm_env.problems.countdown.game import Game, Move, after, moves, question_of, require_game
from alphallm_env.problems.identity import opaque_id
from alphallm_env.types import Problem

SPLITS = ("train", "development", "test")
VERIFIER = "countdown"
_MAX_TRIES = 200_000
_MAX_IN_VAIN = 3_000  # draws in a row that bring no new problem, before a split counts as exhausted


@dataclass(frozen=True)
class Level:
    """How many numbers a problem has, how large they are, which targets it has, and the largest number in between."""

    num_numbers: int
    numbers: tuple[int, int] = (1, 20)
    targets: tuple[int, int] = (10, 99)
    largest: int = 99


def _wide(num_numbers: int) -> Level:
    return Level(num_numbers, numbers=(1, 99), targets=(100, 999), largest=9_999)


LEVELS: dict[str, Level] = {
    "2": Level(2, numbers=(1, 99)),
    **{str(number): Level(number) for number in range(3, 8)},
    **{f"{number}w": _wide(number) for number in range(3, 8)},
}


def level_of(name: str) -> Level:
    """Returns the level of a name. Raises ProblemError, which lists the names, for an unknown one."""
    if name not in LEVELS:
        raise ProblemError(f"level must be one of {', '.join(LEVELS)}, got {name!r}")
    return LEVELS[name]


def split_of(game: Game) -> str:
    """Returns the one split that a game belongs to, by its numbers in any order and its target.

    80 % train, 10 % development, 10 % test.
    """
    digest = hashlib.blake2b(repr(game.key).encode(), digest_size=4).digest()
    return {8: "development", 9: "test"}.get(int.from_bytes(digest, "little") % 10, "train")


def random_play(numbers: tuple[int, ...], rng: Random, largest: int) -> list[Move] | None:
    """Returns random legal moves to the end, results from 1 to `largest`; None where such a play comes to a stop."""
    played: list[Move] = []
    while len(numbers) > 1:
        legal = [move for move in moves(numbers) if 1 <= move.result <= largest]
        if not legal:
            return None
        sign = rng.choice(sorted({move.sign for move in legal}))  # else `*` and `/` are rare
        move = rng.choice([move for move in legal if move.sign == sign])
        played.append(move)
        numbers = after(numbers, move)
    return played


def random_numbers(rng: Random, level: Level) -> tuple[int, ...]:
    """Returns as many numbers as a problem of the level has, each as likely as any other."""
    return tuple(rng.randint(*level.numbers) for _ in range(level.num_numbers))


def draw(rng: Random, level: Level) -> tuple[Game, list[Move]]:
    """Returns a game of the level with the play that it was made by, which solves it."""
    for _ in range(_MAX_TRIES):
        numbers = random_numbers(rng, level)
        played = random_play(numbers, rng, level.largest)
        if played and level.targets[0] <= played[-1].result <= level.targets[1]:
            return Game(numbers, played[-1].result), played
    raise ProblemError(f"found no problem of {level} in {_MAX_TRIES} draws")


def problem_of(game: Game) -> Problem:
    """Returns the problem of a game: judged by replaying, so without an answer."""
    question = question_of(game)
    return Problem(
        id=opaque_id(f"countdown/{len(game.numbers)}", question=question), question=question, source="countdown",
        verifier=VERIFIER,
    )  # fmt: skip


def stream(split: str, seed: int, level: str) -> Iterator[Problem]:
    """Yields problems of one split and level endlessly, the same for the same seed.

    Raises ProblemError for an unknown split or level.
    """
    if split not in SPLITS:
        raise ProblemError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    rules = level_of(level)
    rng = Random(f"countdown:{split}:{seed}:{level}")
    while True:
        game, _ = draw(rng, rules)
        if split_of(game) == split:
            yield problem_of(game)


def problems(split: str, limit: int, seed: int = 0, level: str = "4") -> list[Problem]:
    """Returns `limit` problems of one split and level in a fixed order, no two of the same numbers and target.

    Raises ProblemError where the split has fewer.
    """
    chosen: dict[object, Problem] = {}
    draws_in_vain = 0
    for problem in stream(split, seed, level):
        if len(chosen) >= limit:
            break
        key = require_game(problem.question).key
        draws_in_vain = draws_in_vain + 1 if key in chosen else 0
        if draws_in_vain > _MAX_IN_VAIN:
            raise ProblemError(f"split {split!r} has fewer than {limit} different problems, found {len(chosen)}")
        chosen.setdefault(key, problem)
    return list(chosen.values())


def mixed(split: str, limit: int, seed: int, levels: Sequence[str]) -> list[Problem]:
    """Returns `limit` problems of several levels in equal shares, one level after another in turn."""
    each = -(-limit // len(levels))
    groups = [problems(split, each, seed, level) for level in levels]
    return [problem for turn in zip(*groups, strict=True) for problem in turn][:limit]
