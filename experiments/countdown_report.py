"""What a policy can do in Countdown: legal lines, greedy and sampled solutions, by level.

    python -m experiments.countdown_report                                   # the shipped policy
    python -m experiments.countdown_report --policy runs/demo/checkpoints/round5 --json report.json

Nothing is searched. A solution is legal if all its lines are, as the step verifier reads them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from rich.table import Table

from alphallm_env.lm.base import GenerationRequest
from alphallm_env.loading import load_policy
from alphallm_env.mdp.rewards import CORRECT, verdict_of
from alphallm_env.problems import load_problems
from alphallm_env.problems.countdown.verifier import CountdownVerifier
from alphallm_env.runtime.seeds import derive_seed
from alphallm_env.types import Problem
from experiments.runs.records import write_json
from experiments.runs.screen import quiet_libraries, results_console
from experiments.runs.settings import settings_of


@dataclass(frozen=True)
class ReportConfig:
    """Measures a policy by level, without any search."""

    policy: str = "tiny_countdown"
    """tiny_countdown, a folder or a hub name"""
    levels: str = "2,3,4,5,6"
    split: str = "test"
    limit: int = 200
    """problems a level"""
    samples: int = 10
    """solutions of each problem, at temperature 1"""
    max_tokens: int = 100
    """of a solution"""
    seed: int = 0
    json: Path | None = None
    """a file to write the rows to"""


@dataclass(frozen=True)
class LevelRow:
    """What was measured on one level, as shares of problems or of samples."""

    level: str
    legal: float  # of samples
    greedy: float
    sampled: float  # of samples: how likely one is to be right
    best_of: float  # of problems: how likely one of `samples` is
    tokens: float  # of a sample


def main(config: ReportConfig) -> list[LevelRow]:
    """Prints a row for each level."""
    quiet_libraries()
    rows = [measure(config, level) for level in config.levels.split(",")]
    table = Table(title=f"{config.policy}: {config.limit} problems a level, {config.samples} samples each")
    for column in ("numbers", "legal", "greedy", "one sample", f"best of {config.samples}", "tokens"):
        table.add_column(column, justify="right")
    for row in rows:
        shares = [f"{share:.3f}" for share in (row.legal, row.greedy, row.sampled, row.best_of)]
        table.add_row(row.level, *shares, f"{row.tokens:.0f}")
    results_console().print(table)
    if config.json:
        write_json(config.json, {"policy": config.policy, "rows": [asdict(row) for row in rows]})
    return rows


def measure(config: ReportConfig, level: str) -> LevelRow:
    """Returns the row of one level."""
    problems = load_problems(f"countdown:{level}", config.split, config.limit)
    greedy = [
        verdict_of(text, problem) for (text, _), problem in zip(_written(config, problems, 0.0), problems, strict=True)
    ]
    repeated = [problem for problem in problems for _ in range(config.samples)]
    found = _written(config, repeated, 1.0)
    verifier = CountdownVerifier()
    legal = [verifier.is_legal(problem.question, text) for (text, _), problem in zip(found, repeated, strict=True)]
    right = [verdict_of(text, problem) == CORRECT for (text, _), problem in zip(found, repeated, strict=True)]
    groups = [right[start : start + config.samples] for start in range(0, len(right), config.samples)]
    return LevelRow(
        level,
        legal=sum(legal) / len(legal),
        greedy=greedy.count(CORRECT) / len(greedy),
        sampled=sum(right) / len(right),
        best_of=sum(map(any, groups)) / len(groups),
        tokens=sum(num for _, num in found) / len(found),
    )


def _written(config: ReportConfig, problems: list[Problem], temperature: float) -> list[tuple[str, int]]:
    """Returns a solution of each problem with its number of tokens."""
    policy = load_policy(config.policy)
    requests = [
        GenerationRequest(
            policy.template.solve(problem.question, ""), derive_seed(config.seed, index), config.max_tokens,
            temperature=temperature,
        )
        for index, problem in enumerate(problems)
    ]  # fmt: skip
    return [(completion.text, completion.num_tokens) for completion in policy.lm.generate(requests)]


if __name__ == "__main__":
    main(settings_of(ReportConfig))
