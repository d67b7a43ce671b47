"""Compares two ways to label the steps of solutions: prefix sampling and binary search (`critics/step_labels.py`).

    python -m experiments.process_labels --problems gsm_symbolic --limit 50 --json FILE

Both label the same wrong solutions with the same rollouts per prefix.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from alphallm_env.loading import load_policy
from alphallm_env.mdp.options import TERMINATION_RULES
from alphallm_env.problems import load_problems
from alphallm_env.training.graded import Sample
from experiments.critics.data import Sampler
from experiments.critics.step_labels import (
    SampledSolution,
    compare,
    label_by_binary_search,
    label_by_prefixes,
    rollout_estimator,
)
from experiments.runs.records import write_json
from experiments.runs.screen import quiet_libraries
from experiments.runs.settings import flat, settings_of


@dataclass(frozen=True)
class LabelsConfig:
    """Settings of a comparison of both ways to label, on the same solutions and with the same rollouts a prefix."""

    json: Path | None = None
    policy: str = "tiny"
    problems: str = "gsm_symbolic"
    split: str = "train"
    limit: int = 50
    samples: int = 4  # solutions per problem
    num_rollouts: int = 8  # per estimate
    threshold: float = 0.125  # of one correct rollout in eight
    option_rule: str = "sentence"
    temperature: float = 1.0
    max_tokens: int = 120
    device: str = "auto"
    seed: int = 0


def main(config: LabelsConfig) -> dict[str, float]:
    """Labels wrong solutions of two steps or more both ways; prints and writes what that took, and how they agree."""
    quiet_libraries()
    policy = load_policy(config.policy, config.device)
    sampler = Sampler(
        policy, TERMINATION_RULES.resolve(config.option_rule), config.max_tokens, config.temperature, config.seed
    )
    problems = load_problems(config.problems, config.split, config.limit, config.seed)
    drawn: list[list[Sample]] = sampler.trajectories(problems, config.samples)
    wrong = [
        SampledSolution(problem, sample.steps, is_correct=False)
        for problem, group in zip(problems, drawn, strict=True)
        for sample in dict.fromkeys(group)
        if not sample.correct and len(sample.steps) > 1
    ]
    if not wrong:
        raise ValueError(
            f"expected wrong solutions of two steps or more, got none of {config.policy!r} on {config.problems!r}"
        )
    estimate = rollout_estimator(sampler, config.num_rollouts)
    searched = label_by_binary_search(wrong, estimate, config.threshold)
    sampled = label_by_prefixes(wrong, estimate, config.threshold)
    figures = compare(searched, sampled)
    for name, value in figures.items():
        print(f"{name}: {value:.3f}")
    if config.json:
        write_json(config.json, {**figures, "config": flat(config)})
    return figures


if __name__ == "__main__":
    main(settings_of(LabelsConfig))
