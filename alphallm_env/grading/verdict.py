"""The three outcomes of grading."""

import enum


class Verdict(enum.Enum):
    """What grading found. Wrong mathematics is INCORRECT; only failed machinery is UNGRADABLE."""

    CORRECT = "correct"
    INCORRECT = "incorrect"
    UNGRADABLE = "ungradable"
