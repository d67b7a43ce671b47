"""Countdown: reach a target from given numbers, each used once. A decision process with a dial of difficulty."""

from alphallm_env.problems.countdown.game import Game, Move, line_of, play, question_of, solution_of
from alphallm_env.problems.countdown.problem_set import LEVELS, Level, mixed, problems, split_of, stream

__all__ = [
    "LEVELS",
    "Game",
    "Level",
    "Move",
    "line_of",
    "mixed",
    "play",
    "problems",
    "question_of",
    "solution_of",
    "split_of",
    "stream",
]
