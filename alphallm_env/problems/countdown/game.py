"""The rules of Countdown: its questions, its lines, and what is left after them. Pure functions.

A question names the target and the numbers, which it lists as lines list what is left. A line takes two of the numbers
that are left, combines them, and lists what is left then; the answer is the last number that is left:

    Make 29 from: 25 3 7

    25 - 3 = 22 , 7 22
    7 + 22 = 29 , 29
    #### 29
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from alphallm_env.errors import ProblemError

SIGNS = "+-*/"
MAX_NUMBERS = 16  # that a question may name
_DIGITS = r"\d{1,9}"  # longer numbers are read as no number: the product of two is still exact and small
_QUESTION = re.compile(rf"Make ({_DIGITS}) from: ({_DIGITS}(?:[ ,]+{_DIGITS})*)", re.ASCII)
_LINE = re.compile(rf"({_DIGITS}) *([-+*/]) *({_DIGITS}) *= *({_DIGITS}) *, *({_DIGITS}(?:[ ,]+{_DIGITS})*)", re.ASCII)
_MAX_LINE = 200  # characters; a hostile line is refused unread


@dataclass(frozen=True, slots=True)
class Game:
    """Numbers, in the order in which they are listed, and the target: a question, or what is left of one."""

    numbers: tuple[int, ...]
    target: int

    @property
    def key(self) -> tuple[tuple[int, ...], int]:
        """What makes two games the same: the numbers in any order, and the target."""
        return tuple(sorted(self.numbers)), self.target


@dataclass(frozen=True, slots=True)
class Move:
    """`left sign right = result`."""

    left: int
    sign: str
    right: int
    result: int


def result_of(left: int, sign: str, right: int) -> int | None:
    """Returns what an operation gives, None where that is no whole number of at least 0.

    >>> result_of(7, "-", 3), result_of(3, "-", 7), result_of(7, "/", 3)
    (4, None, None)
    """
    if sign == "+":
        return left + right
    if sign == "*":
        return left * right
    if sign == "-":
        return left - right if left >= right else None
    if sign == "/":
        return left // right if right and left % right == 0 else None
    raise ValueError(f"sign must be one of {', '.join(SIGNS)}, got {sign!r}")


def question_of(game: Game) -> str:
    """Returns the question of a game."""
    return f"Make {game.target} from: {' '.join(map(str, game.numbers))}"


def game_of(question: str) -> Game | None:
    """Returns the game that a question asks for, None where it is no question of Countdown."""
    found = _QUESTION.fullmatch(question.strip()) if len(question) <= _MAX_LINE else None
    if found is None:
        return None
    numbers = _numbers(found[2])
    return Game(numbers, int(found[1])) if 1 < len(numbers) <= MAX_NUMBERS else None


def require_game(question: str) -> Game:
    """Returns the game that a question asks for. Raises ProblemError where it is no question of Countdown."""
    game = game_of(question)
    if game is None:
        raise ProblemError(f"expected a question of Countdown, as 'Make 29 from: 25 3 7', got {question[:80]!r}")
    return game


def line_of(move: Move, left: Sequence[int]) -> str:
    """Returns the line of a move, without a newline. `left` is what is left after it."""
    return f"{move.left} {move.sign} {move.right} = {move.result} , {' '.join(map(str, left))}"


def after(numbers: Sequence[int], move: Move) -> tuple[int, ...]:
    """Returns what is left after a move: the other numbers in their order, then the result.

    Raises ValueError where the move takes a number that is not there.
    """
    left = list(numbers)
    left.remove(move.left)
    left.remove(move.right)
    return (*left, move.result)


def play(numbers: Sequence[int], line: str) -> tuple[int, ...] | None:
    """Returns what is left after a line, as the line lists it; None where the line is not legal.

    A line is legal if it takes two numbers that are left, calculates rightly, and lists what is left, in any order.

    >>> play((25, 3, 7), "25 - 3 = 22 , 22 7")
    (22, 7)
    >>> play((25, 3, 7), "25 - 3 = 22 , 22 8") is None
    True
    """
    found = _LINE.fullmatch(line.strip()) if len(line) <= _MAX_LINE else None
    if found is None:
        return None
    move = Move(int(found[1]), found[2], int(found[3]), int(found[4]))
    listed = _numbers(found[5])
    if result_of(move.left, move.sign, move.right) != move.result:
        return None
    try:
        left = after(numbers, move)
    except ValueError:
        return None
    return listed if sorted(listed) == sorted(left) else None


def moves(numbers: Sequence[int]) -> Iterator[Move]:
    """Yields every legal move once. `+` and `*` take their numbers in one order, that of the list."""
    seen: set[Move] = set()
    for first in range(len(numbers)):
        for second in range(len(numbers)):
            if first == second:
                continue
            for sign in SIGNS if first < second else "-/":
                result = result_of(numbers[first], sign, numbers[second])
                if result is None:
                    continue
                move = Move(numbers[first], sign, numbers[second], result)
                if move not in seen:
                    seen.add(move)
                    yield move


def solution_of(numbers: Sequence[int], played: Sequence[Move]) -> str:
    """Returns the lines of a whole game, with the number that is left as its answer. Raises ValueError if one is."""
    lines: list[str] = []
    left = tuple(numbers)
    for move in played:
        left = after(left, move)
        lines.append(line_of(move, left))
    if len(left) != 1:
        raise ValueError(f"expected moves that leave one number, got {len(left)} left: {left}")
    return "\n".join([*lines, f"#### {left[0]}"])


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(_DIGITS, text))
