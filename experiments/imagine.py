"""Prints questions that a policy imagines. PAPER §4 (1).

python -m experiments.imagine --num 20                 # questions of the tiny policy
"""

from __future__ import annotations

from dataclasses import dataclass

from alphallm_env.loading import load_policy
from alphallm_env.problems import load_problems
from experiments.loop.imagination import imagine
from experiments.runs.settings import settings_of


@dataclass(frozen=True)
class ImagineConfig:
    """Prints questions that a policy imagines."""

    policy: str = "tiny"
    """tiny, a folder or a hub name"""
    problems: str = "gsm_symbolic"
    """known problems, which the policy is shown"""
    num: int = 20
    """questions to print"""
    seed: int = 0


def main(config: ImagineConfig) -> None:
    """Prints imagined questions, and how many were sampled to find them."""
    known = load_problems(config.problems, "train", 200, seed=config.seed)
    imagined = imagine(load_policy(config.policy), known, config.num, config.seed, forbidden=())
    for problem in imagined.problems:
        print("-", problem.question)
    print(f"{len(imagined.problems)} kept of {imagined.num_written} written")


if __name__ == "__main__":
    main(settings_of(ImagineConfig))
