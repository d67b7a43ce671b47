"""Prints questions that a policy imagines. PAPER §4 (1).

python -m experiments.imagine --num 20                 # questions of the tiny policy
python -m experiments.imagine --policy tiny_countdown --problems countdown --num 5   # of each level
"""

from __future__ import annotations

from dataclasses import dataclass

from alphallm_env.loading import load_policy
from alphallm_env.problems import load_problems
from experiments.loop.imagination import imagine
from experiments.loop.questions import CountdownQuestions, QuestionFilter
from experiments.runs.settings import settings_of

LEVELS_SHOWN: tuple[str, ...] = ("3", "4", "5", "6")


@dataclass(frozen=True)
class ImagineConfig:
    """Prints questions that a policy imagines."""

    policy: str = "tiny"
    """tiny, tiny_countdown, a folder or a hub name"""
    problems: str = "gsm_symbolic"
    """known problems, which the policy is shown; countdown: none are, and its levels are sorted"""
    num: int = 20
    """questions to print"""
    seed: int = 0


def main(config: ImagineConfig) -> None:
    """Prints imagined questions, and how many were sampled to find them."""
    policy = load_policy(config.policy)
    if config.problems == "countdown":
        questions, wanted, known = CountdownQuestions(LEVELS_SHOWN), dict.fromkeys(LEVELS_SHOWN, config.num), []
    else:
        questions, wanted = QuestionFilter(), {"": config.num}
        known = load_problems(config.problems, "train", 200, seed=config.seed)
    imagined = imagine(policy, known, wanted, config.seed, forbidden=(), questions=questions)
    for problem in imagined.problems:
        print("-", problem.question)
    print(f"{len(imagined.problems)} kept of {imagined.num_written} written")


if __name__ == "__main__":
    main(settings_of(ImagineConfig))
