"""The ORM with tools beside the ORM without, on solutions that the policy wrote itself.

    python -m experiments.tools_report --policy FOLDER --json FILE --out runs/tools
    python -m experiments.tools_report --policy FOLDER --problems FILE.jsonl --limit 100 --json FILE

Both ask the policy's own model. The one with tools may run Python in the sandbox before it judges
(`alphallm_env/critics/prompted/tool_augmented.py`). Problems are those of reasoning-gym where arithmetic or algebra
decides (`critics/math_like.py`), or a file's. Sampling and scoring that were stopped resume.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from alphallm_env.critics.base import Critic
from alphallm_env.critics.prompted.generative import OutcomeRewardModel
from alphallm_env.critics.prompted.tool_augmented import ToolAugmentedORM
from alphallm_env.lm.policy import Policy
from alphallm_env.loading import load_policy
from alphallm_env.mdp.options import SentenceRule
from alphallm_env.problems import load_problems
from alphallm_env.runtime.engine import Engine
from alphallm_env.runtime.files import Journal
from alphallm_env.sandbox import Sandbox
from alphallm_env.training.graded import ProblemData, Sample, state_after
from alphallm_env.types import Problem
from experiments.critics.config import AT_ONCE
from experiments.critics.data import Sampler, collect
from experiments.critics.math_like import TASKS, math_like
from experiments.critics.tools import Comparison, Judged, compare, judge, show
from experiments.runs.records import settle_config, write_json
from experiments.runs.screen import quiet_libraries, results_console
from experiments.runs.settings import flat, settings_of


@dataclass(frozen=True)
class ToolsConfig:
    """Settings of one comparison."""

    policy: str = "tiny"
    json: Path | None = None
    out: Path = Path("runs/tools")
    problems: str = "math_like"  # or a JSONL file
    tasks: tuple[str, ...] = TASKS  # of math_like
    num_each: int = 14  # problems of each task
    limit: int = 100  # problems of a file
    samples: int = 2  # solutions per problem
    temperature: float = 0.7
    max_tokens: int = 256  # of a solution
    max_check_tokens: int = 300  # of a check, outputs left out
    max_programs: int = 2
    chunk: int = 32  # solutions judged at once
    at_once: int = AT_ONCE  # texts sampled in one batch
    device: str = "auto"
    dtype: str = "auto"
    seed: int = 1


def problems_of(config: ToolsConfig) -> list[Problem]:
    """Returns the problems to compare on. Raises ProblemError where there are not as many."""
    if config.problems == "math_like":
        return math_like(config.tasks, config.num_each, config.seed)
    return load_problems(config.problems, limit=config.limit)


def solutions_of(policy: Policy, config: ToolsConfig) -> list[Sample]:
    """Returns graded solutions of the policy, those of a problem that could not be graded left out.

    Raises RunError where `out` holds those of other settings.
    """
    config.out.mkdir(parents=True, exist_ok=True)
    settle_config(config.out / "config.json", flat(config, "json", "out", "chunk", "at_once"))
    sampler = Sampler(policy, SentenceRule(), config.max_tokens, config.temperature, config.seed, config.at_once)
    data: list[ProblemData] = collect(
        sampler,
        problems_of(config),
        config.out / "solutions.jsonl",
        config.samples,
        lambda groups: [[] for _ in groups],
    )
    return [sample for entry in data for sample in dict.fromkeys(entry.samples)]


def judge_all(
    solutions: Sequence[Sample], plain: Critic, tools: Critic, engine: Engine, config: ToolsConfig
) -> list[Judged]:
    """Returns the scores of all solutions; those judged before are read back from `out`."""
    journal = Journal(config.out / "judged.jsonl", Judged.to_json, Judged.from_json)
    judged = journal.read()
    for start in range(len(judged), len(solutions), config.chunk):
        part = solutions[start : start + config.chunk]
        states = [state_after(sample.question, sample.steps) for sample in part]
        fresh = judge(part, states, plain, tools, engine)
        journal.append(fresh)
        judged += fresh
        print(f"{len(judged)}/{len(solutions)} solutions judged", flush=True)
    return judged


def main(config: ToolsConfig) -> Comparison:
    """Samples, judges both ways, prints the table and writes the JSON."""
    quiet_libraries()
    policy = load_policy(config.policy, config.device, config.dtype)
    solutions = solutions_of(policy, config)
    with Engine() as engine, Sandbox() as sandbox:
        tools = ToolAugmentedORM(
            policy.lm, policy.template, engine, sandbox,
            max_tokens=config.max_check_tokens, max_programs=config.max_programs,
        )  # fmt: skip
        judged = judge_all(solutions, OutcomeRewardModel(policy.lm, policy.template, engine), tools, engine, config)
    found = compare(judged, config.seed)
    results_console().print(show(found))
    if config.json:
        write_json(config.json, asdict(found) | {"config": flat(config)})
    return found


if __name__ == "__main__":
    main(settings_of(ToolsConfig))
