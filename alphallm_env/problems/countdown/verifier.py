"""Judges solutions of Countdown by replaying their lines from the question. Free, exact, and without an answer."""

from __future__ import annotations

from alphallm_env.problems.countdown.game import play, require_game


class CountdownVerifier:
    """The step verifier and the outcome verifier of Countdown."""

    name = "countdown"

    def is_legal(self, question: str, text: str) -> bool:
        """Returns whether all lines of a text are legal, the last one too, which may be the answer.

        An answer line is legal if it states the one number that is left. An unfinished line is judged as it stands.
        Raises ProblemError where the question is none of Countdown.
        """
        return self.left_after(question, text) is not None

    def is_correct(self, question: str, text: str, answer: str) -> bool:
        """Returns whether the lines of a text lead from the question's numbers to its target, which `answer` states.

        Raises ProblemError where the question is none of Countdown.
        """
        left = self.left_after(question, text)
        target = require_game(question).target
        return left is not None and list(left) == [target] and answer.strip() == str(target)

    def position(self, question: str, text: str) -> tuple[int, ...] | None:
        """Returns the numbers that are left after the lines of a text, sorted, None where one of them is not legal.

        Raises ProblemError where the question is none of Countdown.
        """
        left = self.left_after(question, text)
        return None if left is None else tuple(sorted(left))

    def left_after(self, question: str, text: str) -> tuple[int, ...] | None:
        """Returns the numbers that are left after the lines of a text, None where one of them is not legal.

        Raises ProblemError where the question is none of Countdown.
        """
        left: tuple[int, ...] | None = require_game(question).numbers
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        for number, line in enumerate(lines):
            if left is None:
                return None
            if line.startswith("####"):
                is_last = number == len(lines) - 1
                return left if is_last and [line[4:].strip()] == [str(value) for value in left] else None
            left = play(left, line)
        return left
