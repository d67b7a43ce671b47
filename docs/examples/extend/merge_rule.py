"""A merge rule: two options mean the same if they end in the same result, whatever the way to it.

python -m experiments.evaluate --planner eta_mcts --merge-rule docs.examples.extend.merge_rule:same_result --limit 20
"""

import re

NUMBER = re.compile(r"\d+(?:\.\d+)?")


def same_result(first: str, second: str) -> bool:
    """Returns whether the last numbers of both texts are equal; texts without numbers must be equal themselves."""
    results = [NUMBER.findall(text.replace(",", ""))[-1:] for text in (first, second)]
    if not any(results):
        return first.split() == second.split()
    return results[0] == results[1]
