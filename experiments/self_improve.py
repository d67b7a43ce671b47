"""The whole loop: imagine → search → criticise → distil, twice, with an evaluation before and after. PAPER §4.

    python -m experiments.self_improve --preset tiny --out runs/demo       # what `make demo` runs
    python -m experiments.self_improve --preset gsm8k --policy FOLDER --train-problems TRAIN.jsonl \\
        --test-problems TEST.jsonl --out runs/gsm8k

Killed at any moment and started again by the same command, it goes on and ends with the same results.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import cast

import torch
import tyro

from agents.base import Budget
from agents.registry import make_planner
from alphallm_env.errors import RunError
from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.loading import TINY_POLICY, build_simulator, load_policy, resolve
from alphallm_env.mdp.dynamics import Rules
from alphallm_env.mdp.options import option_rule
from alphallm_env.problems import check_overlap, load_problems, normalise_question
from alphallm_env.runtime.engine import Engine
from alphallm_env.runtime.files import Json, write_whole
from alphallm_env.runtime.metering import Meter, metering
from alphallm_env.runtime.seeds import derive_seed
from alphallm_env.simulator import Simulator
from alphallm_env.training.sft import DistillConfig, Lesson, distill
from alphallm_env.types import Ending, Problem
from experiments.evaluate import evaluate, results_table
from experiments.imagine import imagine
from experiments.runs.ledger import total, write_ledger
from experiments.runs.monitor import Monitor, quiet_libraries, results_console, stage_number
from experiments.runs.outcomes import Outcome, Row, paired_difference, summarise
from experiments.runs.records import RunFolder
from experiments.runs.report import write_report


@dataclass(frozen=True)
class SelfImproveConfig:
    """Settings of one run of the loop. Token budgets count everything generated or scored."""

    policy: str = "tiny"
    critics: str = "tiny"
    train_problems: str = "gsm_symbolic"  # seeds the imagination; their answers are not read
    test_problems: str = "gsm_symbolic"
    unseen_split: str = "unseen_templates"  # reported apart; empty for none
    rounds: int = 2
    imagined: int = 240  # problems a round
    seed_problems: int = 500
    training_planner: str = "eta_mcts_small"
    training_budget: int = 1_500  # tokens per imagined problem
    gamma: float = 0.9  # the ORM score from which a trajectory is kept
    evaluation_problems: int = 400  # greedy, at every stage
    search_problems: int = 100  # the first of them, with every planner, before and after
    unseen_problems: int = 100
    small_budget: int = 1_000
    large_budget: int = 2_000
    option_rule: str = "sentence"
    max_tokens: int = 120
    temperature: float = 1.0
    epochs: int = 3
    batch_size: int = 32
    lr: float = 5e-4
    device: str = "auto"
    dtype: str = "auto"
    threads: int = 2
    concurrency: int = 50  # problems searched at once
    training_concurrency: int = 100
    seed: int = 0


PRESETS = {
    "tiny": SelfImproveConfig(),
    "gsm8k": SelfImproveConfig(
        policy="", critics="prompted", train_problems="gsm8k", test_problems="gsm8k", unseen_split="",
        imagined=200, training_planner="eta_mcts:gsm8k_small", training_budget=40_000, small_budget=40_000,
        large_budget=120_000, max_tokens=300, epochs=2, lr=1e-5, batch_size=16,
    ),
}  # fmt: skip
SMOKE = {
    "rounds": 2, "imagined": 8, "seed_problems": 20, "training_budget": 400, "evaluation_problems": 8,
    "search_problems": 4, "unseen_problems": 4, "small_budget": 300, "large_budget": 600,
    "concurrency": 4, "training_concurrency": 4, "epochs": 1, "gamma": 0.2,
}  # fmt: skip


class SelfImprovement:
    """One run of the loop in one folder. Every method reads back what it has finished before."""

    def __init__(self, config: SelfImproveConfig, out: Path) -> None:
        if config.rounds < 1:
            raise ValueError(f"rounds must be >= 1, got {config.rounds}")
        if not config.training_planner.startswith("eta_mcts") and config.training_planner != "orm_rerank":
            raise ValueError(
                "training_planner must score trajectories by the ORM (eta_mcts… or orm_rerank), "
                f"got {config.training_planner!r}"
            )
        self.config = config
        self.folder = RunFolder(out, cast("dict[str, Json]", asdict(config)))
        self.engine = Engine()
        self.monitor = Monitor(self.folder.path / "tensorboard")
        self.rules = Rules(option_rule=option_rule(config.option_rule), max_tokens=config.max_tokens)
        self.seeds = load_problems(config.train_problems, "train", config.seed_problems, seed=config.seed)
        self.tests = load_problems(config.test_problems, "test", config.evaluation_problems, seed=config.seed)
        check_overlap(self.seeds, self.tests)
        self.unseen = (
            load_problems(config.test_problems, config.unseen_split, config.unseen_problems, seed=config.seed)
            if config.unseen_split
            else []
        )
        self.outcomes: dict[tuple[str, str, str], list[Outcome]] = {}

    def __enter__(self) -> SelfImprovement:
        return self

    def __exit__(self, *_: object) -> None:
        self.monitor.close()
        self.engine.close()

    def simulator(self, policy: str) -> Simulator:
        """Returns the decision process around the policy in a folder."""
        config = self.config
        acting = load_policy(policy, config.device, config.dtype, config.temperature)
        return build_simulator(acting, config.critics, self.rules, self.engine, config.device)

    def run(self) -> list[Row]:
        """Runs every round and returns the results table."""
        policy = self.config.policy
        rows = self.evaluate("before", policy, search=True)
        lessons: list[Lesson] = []
        for number in range(1, self.config.rounds + 1):
            problems = self.imagine(number, policy)
            searched = self.search(number, policy, problems)
            lessons += self.keep(number, searched)
            policy = self.distil(number, policy, lessons)
            rows += self.evaluate(f"round{number}", policy, search=number == self.config.rounds)
        self.finish(rows)
        return rows

    def evaluate(self, stage: str, policy: str, search: bool) -> list[Row]:
        """Returns the rows of one stage: greedy always, every planner where `search` is set."""
        config, simulator = self.config, self.simulator(policy)
        rows = [self._planner_row(stage, "greedy", simulator, self.tests, "test", config.large_budget)]
        if self.unseen:
            rows.append(
                self._planner_row(stage, "greedy", simulator, self.unseen, config.unseen_split, config.large_budget)
            )
        if search:
            few = self.tests[: config.search_problems]
            rows.append(self._planner_row(stage, "eta_mcts_small", simulator, few, "test", config.small_budget))
            large = self._planner_row(stage, "eta_mcts_large", simulator, few, "test", config.large_budget)
            equal = round(large.tokens_per_problem)
            rows += [
                self._planner_row(stage, name, simulator, few, "test", equal) for name in ("majority", "orm_rerank")
            ]
            rows.append(large)
        self.monitor.rows(rows)
        return rows

    def _planner_row(
        self,
        stage: str,
        planner: str,
        simulator: Simulator,
        problems: Sequence[Problem],
        split: str,
        tokens: int,
    ) -> Row:
        config = self.config
        journal = self.folder.journal(f"{stage}-{split}-{planner}", Outcome.to_json, Outcome.from_json)
        title = f"{stage}: {planner} on {split}"
        with self.monitor.progress(title, len(problems), self.engine, stage_number(stage)) as progress:
            outcomes = evaluate(
                make_planner(planner, config.test_problems), simulator, problems, Budget(tokens=tokens),
                derive_seed(config.seed, stage), config.concurrency, journal, progress,
                self.monitor.tree_sampler(f"{stage}/{planner}"),
            )  # fmt: skip
        self.outcomes[stage, split, planner] = outcomes
        self.monitor.ledger(f"{split}/{planner}", total(outcomes), stage_number(stage))
        return summarise(stage, planner, split, outcomes)

    def imagine(self, number: int, policy: str) -> list[Problem]:
        """Returns the round's new problems; none has an answer."""

        def work() -> Json:
            forbidden = {normalise_question(p.question) for p in (*self.tests, *self.unseen)}
            for earlier in range(1, number):
                forbidden |= {normalise_question(p.question) for p in self.imagine(earlier, "")}
            with metering(Meter()) as meter:
                found = imagine(
                    load_policy(policy, self.config.device, self.config.dtype),
                    self.seeds, self.config.imagined, derive_seed(self.config.seed, "imagine", number), forbidden,
                )  # fmt: skip
            questions: list[Json] = [asdict(problem) for problem in found.problems]
            return {"problems": questions, "num_written": found.num_written, "tokens": meter.usage.tokens}

        record = cast("dict[str, Json]", self.folder.stage(f"round{number}-imagined", work))
        if not record["problems"]:
            raise RunError(f"round {number}: none of {record['num_written']} imagined questions passed the filter")
        problems = [Problem(**fields) for fields in cast("list[dict[str, str]]", record["problems"])]
        self.monitor.scalar("imagine/kept_share", len(problems) / cast(int, record["num_written"]), number)
        return problems

    def search(self, number: int, policy: str, problems: Sequence[Problem]) -> list[Outcome]:
        """Returns what the training planner found for each imagined problem."""
        config = self.config
        journal = self.folder.journal(f"round{number}-imagined", Outcome.to_json, Outcome.from_json)
        title = f"round{number}: search imagined problems"
        with self.monitor.progress(title, len(problems), self.engine, number) as progress:
            outcomes = evaluate(
                make_planner(config.training_planner, config.train_problems), self.simulator(policy), problems,
                Budget(tokens=config.training_budget), derive_seed(config.seed, "search", number),
                config.training_concurrency, journal, progress, self.monitor.tree_sampler(f"round{number}/search"),
            )  # fmt: skip
        self.outcomes[f"round{number}", "imagined", config.training_planner] = outcomes
        self.monitor.searches(outcomes, number)
        self.monitor.ledger(f"imagined/{config.training_planner}", total(outcomes), number)
        return outcomes

    def keep(self, number: int, outcomes: Sequence[Outcome]) -> list[Lesson]:
        """Returns the best answered trajectory of each search, if its ORM score passes γ."""
        kept = [
            outcome
            for outcome in outcomes
            if outcome.best.score >= self.config.gamma and outcome.best.state.ending is Ending.ANSWERED
        ]
        if not kept:
            highest = max((outcome.best.score for outcome in outcomes), default=0.0)
            raise RunError(
                f"round {number}: expected trajectories with an ORM score of at least {self.config.gamma}, "
                f"the highest of {len(outcomes)} is {highest:.3f}; lower --gamma or raise --training-budget"
            )
        self.monitor.scalar("loop/kept_share", len(kept) / max(1, len(outcomes)), number)
        return [Lesson(outcome.problem.question, outcome.best.state.text) for outcome in kept]

    def distil(self, number: int, policy: str, lessons: Sequence[Lesson]) -> str:
        """Returns the folder of the next policy, fine-tuned from this round's one on all lessons so far."""
        config = self.config

        def train(scratch: Path) -> None:
            torch.manual_seed(config.seed)
            lm = TransformersLM.load(resolve(policy, TINY_POLICY), config.device, config.dtype)
            settings = DistillConfig(config.epochs, config.batch_size, config.lr, seed=config.seed + number)
            template = load_policy(policy, config.device, config.dtype).template
            logs = self.folder.path / "tensorboard" / f"distil-round{number}"
            loss = distill(lm, template, lessons, settings, scratch, logs)
            self.monitor.scalar("distil/loss", loss, number)
            self.monitor.scalar("distil/lessons", len(lessons), number)

        with self.monitor.progress(f"round{number}: distil {len(lessons)} trajectories", 1) as progress:
            folder = self.folder.checkpoint(f"round{number}", train)
            progress(1, 1)
        return str(folder)

    def finish(self, rows: Sequence[Row]) -> None:
        """Writes results.json and report.html."""
        last = f"round{self.config.rounds}"
        gains: dict[str, Json] = {}
        for planner in ("greedy", "eta_mcts_small", "eta_mcts_large", "majority", "orm_rerank"):
            gain, interval = paired_difference(
                self.outcomes[last, "test", planner], self.outcomes["before", "test", planner]
            )
            gains[planner] = {"gain": gain, "ci95": list(interval)}
        few = self.config.search_problems
        lift, interval = paired_difference(
            self.outcomes["before", "test", "eta_mcts_large"], self.outcomes["before", "test", "greedy"][:few]
        )
        simulator = self.simulator(self.config.policy)
        critics = {name: asdict(found) for name, found in simulator.critics.provenance().items()}
        results: dict[str, Json] = {
            "rows": [row.to_json() for row in rows],
            "is_reproducible": simulator.is_reproducible,
            "critics": cast(Json, critics),  # those of the first stage; prompted ones are the policy, which learns
            "gain_after_last_round": gains,
            "eta_mcts_large_over_greedy_before": {"gain": lift, "ci95": list(interval)},
        }
        write_whole(self.folder.path / "results.json", json.dumps(results, indent=2) + "\n")
        write_ledger(self.folder.path, self.outcomes)
        write_report(self.folder.path, rows, results, cast("dict[str, Json]", asdict(self.config)))


def parse(arguments: Sequence[str]) -> tuple[SelfImproveConfig, Path]:
    """Returns the settings and the folder. `--preset` and `--smoke` choose the defaults of all other flags."""
    rest = list(arguments)
    preset = "tiny"
    if "--preset" in rest:
        where = rest.index("--preset")
        preset = rest[where + 1] if where + 1 < len(rest) else ""
        del rest[where : where + 2]
    if preset not in PRESETS:
        raise SystemExit(f"--preset must be one of {', '.join(PRESETS)}, got {preset!r}")
    default = PRESETS[preset]
    if "--smoke" in rest:
        rest.remove("--smoke")
        default = replace(default, **SMOKE)
    parsed = tyro.cli(_CommandLine, args=rest, default=_CommandLine(config=default))
    if not parsed.config.policy:
        raise SystemExit(f"--preset {preset} needs --policy, the folder or hub name of a causal LM")
    return parsed.config, parsed.out


@dataclass(frozen=True)
class _CommandLine:
    config: tyro.conf.OmitArgPrefixes[SelfImproveConfig]
    out: Path = Path("runs/self_improve")


def main(arguments: Sequence[str]) -> list[Row]:
    """Runs the loop and prints the table."""
    config, out = parse(arguments)
    torch.set_num_threads(config.threads)
    quiet_libraries()
    start = time.monotonic()
    with SelfImprovement(config, out) as run:
        rows = run.run()
    console = results_console()
    console.print(results_table(rows, f"self-improvement of {config.policy}"))
    gains = json.loads((out / "results.json").read_text())
    for planner, gain in gains["gain_after_last_round"].items():
        low, high = gain["ci95"]
        console.print(
            f"{planner}: {gain['gain']:+.3f} after {config.rounds} rounds (paired 95 %: {low:+.3f} to {high:+.3f})"
        )
    console.print(
        f"{time.monotonic() - start:.0f} s. Report: {out / 'report.html'}   tensorboard --logdir {out / 'tensorboard'}"
    )
    return rows


if __name__ == "__main__":
    main(sys.argv[1:])
