"""A selection rule: UCB1-tuned, which explores a child more, the more its returns vary.

python -m experiments.evaluate --planner eta_mcts --selection docs.examples.extend.selection:ucb1_tuned --limit 20
"""

import math

import agents


def ucb1_tuned(candidates: agents.Candidates, c: float) -> list[float]:
    """Returns q + c · √(ln N / n · min(1/4, variance + √(2 ln N / n))) of each child. Auer et al. 2002, section 4."""
    log_visits = math.log(max(candidates.parent_visits, 1))
    scores: list[float] = []
    for q, visits, variance in zip(candidates.q, candidates.visits, candidates.variance, strict=True):
        if visits == 0:
            scores.append(math.inf)
            continue
        bound = variance + math.sqrt(2 * log_visits / visits)
        scores.append(q + c * math.sqrt(log_visits / visits * min(0.25, bound)))
    return scores
