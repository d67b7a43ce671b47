"""A problem set: shopping, as hard as you like. A split is a seed of its own, so no problem is in two of them.

python -m experiments.evaluate --problems docs.examples.extend.problem_set:shopping --limit 20
"""

from random import Random

from alphallm_env import Problem
from alphallm_env.problems import opaque_id

NAMES = ("Ada", "Emmy", "Grace", "Sofia")
GOODS = ("apples", "pens", "stamps", "cakes")


def shopping(split: str, limit: int | None, seed: int) -> list[Problem]:
    """Returns different problems, the same for the same split, limit and seed; 100 without a limit."""
    drawn = [problem(Random(f"{split}-{seed}-{index}")) for index in range(limit or 100)]
    return list({found.id: found for found in drawn}.values())


def problem(rng: Random) -> Problem:
    """Returns a problem. Planners see its id, so that is made from the question, never from what drew the numbers."""
    buyer, (first, second) = rng.choice(NAMES), rng.sample(GOODS, 2)
    counts, prices = [rng.randint(2, 9) for _ in range(2)], [rng.randint(2, 12) for _ in range(2)]
    question = (
        f"{buyer} buys {counts[0]} {first} at ${prices[0]} each and {counts[1]} {second} at ${prices[1]} each. "
        f"How many dollars does {buyer} pay?"
    )
    answer = counts[0] * prices[0] + counts[1] * prices[1]
    return Problem(opaque_id("shopping", question=question), question, answer=str(answer), source="shopping")
