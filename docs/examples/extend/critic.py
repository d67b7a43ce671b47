"""A critic: a PRM that recomputes the calculations of the last option, and asks no model.

python -m experiments.evaluate --critics tiny,prm=docs.examples.extend.critic:CalculationPRM --limit 20
"""

import re
from collections.abc import Sequence

from alphallm_env import State

CALCULATION = re.compile(r"(\d+) ([-+*/]) (\d+) = (\d+)")
RESULTS = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b if b else float("nan"),  # which equals no result
}


class CalculationPRM:
    """Scores an option by the share of its calculations that are right, and 1/2 where there is none."""

    name = "prm"
    is_reproducible = True  # a score does not depend on the other states of a batch

    async def evaluate(self, states: Sequence[State]) -> list[float]:
        """Returns one score in [0, 1] per state, in the given order."""
        return [self.score(state.option.text if state.option else "") for state in states]

    def score(self, text: str) -> float:
        """Returns the share of calculations that are right."""
        found = CALCULATION.findall(text)
        right = [RESULTS[sign](int(a), int(b)) == int(result) for a, sign, b, result in found]
        return sum(right) / len(right) if right else 0.5
