"""Problems where arithmetic or algebra decides, from reasoning-gym: what a calculator checks and reading does not."""

from __future__ import annotations

from collections.abc import Sequence

from alphallm_env.errors import ProblemError
from alphallm_env.problems import opaque_id
from alphallm_env.types import Problem

TASKS = (
    "chain_sum", "count_bits", "decimal_chain_sum", "fraction_simplification", "gcd", "lcm", "leg_counting", "products",
    "simple_equations",
)  # fmt: skip


def math_like(tasks: Sequence[str], num_each: int, seed: int) -> list[Problem]:
    """Returns different problems of each reasoning-gym task, its tasks in turn.

    Raises ProblemError for a task that it does not have, or one without as many different problems.
    """
    from reasoning_gym import create_dataset

    by_task: list[list[Problem]] = []
    for task in tasks:
        try:
            entries = list(create_dataset(task, size=2 * num_each, seed=seed))
        except ValueError as error:
            raise ProblemError(f"expected tasks of reasoning-gym, such as {', '.join(TASKS)}, got {task!r}") from error
        answers = {str(entry["question"]): str(entry["answer"]) for entry in entries}
        problems = [
            Problem(opaque_id(task, question=question), question, answer)
            for question, answer in list(answers.items())[:num_each]
        ]
        if len(problems) < num_each:
            raise ProblemError(f"expected {num_each} different problems of {task!r}, got {len(problems)}")
        by_task.append(problems)
    return [problem for group in zip(*by_task, strict=True) for problem in group]
