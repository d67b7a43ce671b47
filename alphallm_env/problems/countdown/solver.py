"""What can be reached from given numbers: the truth that learned critics of Countdown are measured against.

Pre-training asks it which games of three numbers, the level that is taught, cannot be won. No planner and no part of a
loop may use it: it knows more than what it would judge.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from alphallm_env.problems.countdown.game import Move, after, moves


def is_in_reach(numbers: Sequence[int], target: int) -> bool:
    """Returns whether the target can be made of all the numbers. Exact; seconds for seven numbers."""
    return target in reachable(tuple(sorted(numbers)))


@lru_cache(maxsize=200_000)
def reachable(numbers: tuple[int, ...]) -> frozenset[int]:
    """Returns every number that can be made of all of `numbers`, which are sorted."""
    if len(numbers) == 1:
        return frozenset(numbers)
    found: set[int] = set()
    for left in {tuple(sorted(after(numbers, move))) for move in moves(numbers)}:
        found |= reachable(left)
    return frozenset(found)


def solve(numbers: Sequence[int], target: int) -> list[Move] | None:
    """Returns moves that make the target of all the numbers, None where there are none."""
    if len(numbers) == 1:
        return [] if numbers[0] == target else None
    for move in moves(numbers):
        left = after(numbers, move)
        if is_in_reach(left, target):
            return [move, *(solve(left, target) or [])]
    return None
