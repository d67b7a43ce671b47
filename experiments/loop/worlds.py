"""What the loop plays in: the problems it tests on, the questions it asks for, and what it rehearses.

A problem set is one level. Countdown has a dial: the curriculum asks for one number more than search solves now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Protocol

from alphallm_env.problems import check_overlap, load_problems
from alphallm_env.training.base import Lesson
from alphallm_env.types import Problem, ScoreKind
from experiments.loop.config import SelfImproveConfig
from experiments.loop.plan import levels_by_split
from experiments.loop.questions import CountdownQuestions, QuestionFilter, Questions

SOLVED_FROM = 0.75  # the share of a level's problems from which search is said to solve it
BELOW = 0.2  # questions of a level for each one of the level above it


class World(Protocol):
    """Problems and questions of one run of the loop."""

    @property
    def questions(self) -> Questions:
        """Sorts imagined questions."""
        ...

    @property
    def known(self) -> Sequence[Problem]:
        """Training problems that the policy is shown while it imagines."""
        ...

    @property
    def tests(self) -> Mapping[str, Sequence[Problem]]:
        """The problems to evaluate on, by the name of their split or level."""
        ...

    @property
    def development(self) -> Sequence[Problem]:
        """Problems that are neither shown nor tested on, for the guard."""
        ...

    def taught(self, num: int) -> Sequence[Problem]:
        """Returns training problems of the level that the policy was taught before the loop; none without levels."""
        ...

    def wanted(self, solved: Mapping[str, float], *, curriculum: bool) -> dict[str, int]:
        """Returns how many questions of each level a round asks for. `solved` has what search solved last, by level."""
        ...

    def rehearsal(self, num: int, seed: int) -> list[Lesson]:
        """Returns `num` lessons of what the policy was taught before the loop; none where that is not known."""
        ...


class ProblemSetWorld:
    """A problem set of one level, with or without a further split that is reported apart."""

    def __init__(self, config: SelfImproveConfig) -> None:
        sets, sizes, seed = config.problems, config.evaluation, config.seed
        self.questions = QuestionFilter()
        self.known = load_problems(sets.train_problems, "train", config.imagination.seed_problems, seed=seed)
        tests = {"test": load_problems(sets.test_problems, "test", sizes.evaluation_problems, seed=seed)}
        check_overlap(self.known, tests["test"])
        if split := sets.unseen_split:
            tests[split] = load_problems(sets.test_problems, split, sizes.unseen_problems, seed=seed)
        self.tests = tests
        self._num = config.imagination.imagined
        self._config = config

    @property
    def development(self) -> Sequence[Problem]:
        """Problems of the split development; of a set without one, training problems that the policy is not shown."""
        source, num, seed = (
            self._config.problems.train_problems,
            self._config.evaluation.guard_problems,
            self._config.seed,
        )
        if source.partition(":")[0] == "gsm_symbolic":
            return load_problems(source, "development", num, seed=seed)
        shown = {problem.id for problem in (*self.known, *self.tests["test"])}
        return [problem for problem in load_problems(source, "train", seed=seed) if problem.id not in shown][:num]

    def taught(self, num: int) -> Sequence[Problem]:  # noqa: ARG002
        """Returns nothing."""
        return ()

    def wanted(self, solved: Mapping[str, float], *, curriculum: bool) -> dict[str, int]:  # noqa: ARG002
        """Returns the number of questions under the one level, which has no name."""
        return {"": self._num}

    def rehearsal(self, num: int, seed: int) -> list[Lesson]:  # noqa: ARG002
        """Returns nothing."""
        return []


class CountdownWorld:
    """Countdown's levels: those of the curriculum, the first of which the policy was taught."""

    def __init__(self, config: SelfImproveConfig) -> None:
        sizes, imagination = config.evaluation, config.imagination
        self.levels = tuple(imagination.levels.split(","))
        self.questions = CountdownQuestions(self.levels)
        self.known: Sequence[Problem] = ()
        self.tests = {
            split: load_problems(f"countdown:{level}", "test", sizes.evaluation_problems, seed=config.seed)
            for split, level in levels_by_split(sizes.test_levels).items()
        }
        self._num = imagination.imagined
        self._config = config

    @property
    def development(self) -> Sequence[Problem]:
        """Problems of all levels, of the split development."""
        source = f"countdown:{self._config.imagination.levels}"
        return load_problems(source, "development", self._config.evaluation.guard_problems, seed=self._config.seed)

    def taught(self, num: int) -> Sequence[Problem]:
        """Returns games of the first level, of the split train."""
        return load_problems(f"countdown:{self.levels[0]}", "train", num, seed=self._config.seed)

    def wanted(self, solved: Mapping[str, float], *, curriculum: bool) -> dict[str, int]:
        """Returns how many questions of each level to ask for: most at one above what search solves, fewer below.

        Without a curriculum all levels get the same number.
        """
        if not curriculum:
            return dict.fromkeys(self.levels, self._num // len(self.levels))
        top = 0
        while top + 1 < len(self.levels) and (top == 0 or solved.get(self.levels[top], 0.0) >= SOLVED_FROM):
            top += 1
        weights = {level: BELOW ** (top - place) for place, level in enumerate(self.levels[: top + 1])}
        below = {level: round(self._num * weights[level] / sum(weights.values())) for level in self.levels[:top]}
        return below | {self.levels[top]: self._num - sum(below.values())}

    def rehearsal(self, num: int, seed: int) -> list[Lesson]:
        """Returns documents of the pre-training, drawn anew: small games, and how larger ones begin."""
        from experiments.pretraining.countdown import drawn

        rng = Random(f"rehearsal:{seed}")
        shown = [drawn(rng) for _ in range(num)]
        return [
            Lesson(
                document.question, document.completion, score_kind=ScoreKind.UNSPECIFIED, round=0,
                prefix=document.given, is_whole=document.is_whole,
            )
            for document in shown
        ]  # fmt: skip


def world_of(config: SelfImproveConfig) -> World:
    """Returns the world of the training problems."""
    return CountdownWorld(config) if config.is_countdown else ProblemSetWorld(config)
