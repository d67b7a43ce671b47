"""Which imagined questions are worth a search: whole, new, and of a level that was asked for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from alphallm_env.problems import normalise_question
from alphallm_env.problems.countdown import LEVELS, Game, question_of, split_of
from alphallm_env.problems.countdown.game import game_of, require_game
from alphallm_env.problems.countdown.problem_set import VERIFIER
from alphallm_env.problems.countdown.verifier import CountdownVerifier
from alphallm_env.types import Problem

_NUMBER = re.compile(r"\d+")


class Questions(Protocol):
    """Sorts questions. Nothing here reads an answer."""

    @property
    def are_played(self) -> bool:
        """Whether the policy plays its own question, and asks what the play answers (`played`)."""
        ...

    def played(self, question: str, play: str) -> str | None:
        """Returns the question that a play answers, which has an answer for certain; None where the play is none."""
        ...

    def level_of(self, question: str) -> str | None:
        """Returns the level of a question, None where it is not worth a search."""
        ...

    def refusal_of(self, question: str) -> str | None:
        """Returns why a question is not worth a search, in words; None where it is."""
        ...

    def key_of(self, question: str) -> str:
        """Returns what two questions have in common if and only if they are the same."""
        ...

    def problem_of(self, identity: str, question: str) -> Problem:
        """Returns the problem, which has no answer."""
        ...


@dataclass(frozen=True)
class QuestionFilter:
    """Word problems: what a question must look like. All are of one level, which has no name."""

    min_words: int = 8
    max_words: int = 120
    min_numbers: int = 2
    are_played: bool = False

    def played(self, question: str, play: str) -> str | None:  # noqa: ARG002
        """Returns the question itself: a word problem is not read off its solution."""
        return question

    def refusal_of(self, question: str) -> str | None:
        """Returns why the question is not whole, of a fair length, or gives too few numbers to work with."""
        num_words = len(question.split())
        if num_words < self.min_words:
            return f"fewer than {self.min_words} words"
        if num_words > self.max_words:
            return f"more than {self.max_words} words"
        if len(_NUMBER.findall(question)) < self.min_numbers:
            return f"fewer than {self.min_numbers} numbers"
        if not question[:1].isupper():
            return "no capital letter at its start"
        return None if question.rstrip().endswith(("?", ".")) else "no full stop or question mark at its end"

    def level_of(self, question: str) -> str | None:
        """Returns the one level, None where the question is refused."""
        return "" if self.refusal_of(question) is None else None

    def key_of(self, question: str) -> str:
        """Returns the normalised question."""
        return normalise_question(question)

    def problem_of(self, identity: str, question: str) -> Problem:
        """Returns the problem, which nothing can judge but critics."""
        return Problem(identity, question, source="imagined")


@dataclass(frozen=True)
class CountdownQuestions:
    """Countdown: a question is well-formed, of one of the levels, and of the train split.

    Splits are made by numbers and target, so that no question of another split can come up, whoever writes it.

    Of the targets that a policy writes, most are out of reach of its numbers: of three numbers four in five. So it
    plays, and asks for the number where the play ended. That is how the level's own problems are drawn, with the
    policy's play in place of a random one; the play itself is thrown away. The policy that the loop started from plays:
    one that has learnt to win would mostly ask what it can win already.
    """

    levels: Sequence[str]
    are_played: bool = True

    def played(self, question: str, play: str) -> str | None:
        """Returns the question for the one number that a legal play leaves, None for another play."""
        game = require_game(question)
        left = CountdownVerifier().left_after(question, play)
        return question_of(Game(game.numbers, left[0])) if left is not None and len(left) == 1 else None

    def refusal_of(self, question: str) -> str | None:
        """Returns why the question is no game of the split train and of one of the levels."""
        game = game_of(question)
        if game is None:
            return "no game"
        if (split := split_of(game)) != "train":
            return f"of the split {split}"
        return None if self._level(game) else "of none of the levels"

    def level_of(self, question: str) -> str | None:
        """Returns the level that admits the question, None without one."""
        return self._level(require_game(question)) if self.refusal_of(question) is None else None

    def _level(self, game: Game) -> str | None:
        for name in self.levels:
            level = LEVELS[name]
            in_range = all(level.numbers[0] <= number <= level.numbers[1] for number in game.numbers)
            is_target = level.targets[0] <= game.target <= level.targets[1]
            if len(game.numbers) == level.num_numbers and in_range and is_target:
                return name
        return None

    def key_of(self, question: str) -> str:
        """Returns numbers, in any order, and target."""
        return str(require_game(question).key)

    def problem_of(self, identity: str, question: str) -> Problem:
        """Returns the problem, which its verifier judges."""
        return Problem(identity, question, source="imagined", verifier=VERIFIER)
