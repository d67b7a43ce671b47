"""One run of the loop: its stages, each of which is read back from the run's folder where it is finished."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import cast

import torch

from agents.base import Budget, PlanResult
from alphallm_env.errors import RunError
from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.lm.prompts import mark_as_taught
from alphallm_env.loading import resolve
from alphallm_env.mdp.dynamics import Rules
from alphallm_env.mdp.options import TERMINATION_RULES
from alphallm_env.problems import check_overlap, load_problems, normalise_question
from alphallm_env.runtime.engine import Engine
from alphallm_env.runtime.files import Json
from alphallm_env.runtime.metering import Meter, metering
from alphallm_env.runtime.seeds import derive_seed
from alphallm_env.simulator import Simulator
from alphallm_env.training.base import FINE_TUNERS, FineTuning, Lesson
from alphallm_env.types import Problem
from experiments.loop import plan
from experiments.loop.config import SelfImproveConfig
from experiments.loop.imagination import imagine
from experiments.loop.lessons import lessons_of, require_orm_scores
from experiments.runs.ledger import LedgerKey, total, write_ledger
from experiments.runs.monitor import Monitor, stage_number
from experiments.runs.planners import planner_of
from experiments.runs.records import RunFolder, write_json
from experiments.runs.report import write_report
from experiments.runs.results import ResultRow, paired_difference, summarise
from experiments.runs.screen import Screen
from experiments.runs.search_records import SearchRecord
from experiments.runs.searching import run_searches, search_journal
from experiments.runs.settings import flat


class SelfImprovement:
    """One run of the loop in one folder."""

    def __init__(self, config: SelfImproveConfig, out: Path, screen: Screen | None = None) -> None:
        self.config = config
        self.folder = RunFolder(out, flat(config))
        self.engine = Engine()
        self.monitor = Monitor(self.folder.path / "tensorboard", screen)
        self.rules = Rules(
            option_rule=TERMINATION_RULES.resolve(config.problems.option_rule), max_tokens=config.problems.max_tokens
        )
        self.fine_tuner = FINE_TUNERS.resolve(config.fine_tuning.fine_tuner)
        sets, sizes = config.problems, config.evaluation
        self.seeds = load_problems(sets.train_problems, "train", config.imagination.seed_problems, seed=config.seed)
        self.tests = load_problems(sets.test_problems, "test", sizes.evaluation_problems, seed=config.seed)
        check_overlap(self.seeds, self.tests)
        self.unseen = (
            load_problems(sets.test_problems, sets.unseen_split, sizes.unseen_problems, seed=config.seed)
            if sets.unseen_split
            else []
        )
        self.records: dict[LedgerKey, list[SearchRecord]] = {}

    def __enter__(self) -> SelfImprovement:
        return self

    def __exit__(self, *_: object) -> None:
        self.monitor.close()
        self.engine.close()

    def simulator(self, policy: str) -> Simulator:
        """Returns the decision process around the policy in a folder."""
        models = self.config.models.with_policy(policy)
        return models.simulator(self.rules, self.engine, self.config.search.temperature)

    def run(self) -> list[ResultRow]:
        """Runs every round and returns the results table."""
        policy = self.config.models.policy
        rows = self.evaluate("before", policy, search=True)
        lessons: list[Lesson] = []
        for number in range(1, self.config.rounds + 1):
            problems = self.imagine(number, policy)
            records = self.search(number, policy, problems)
            lessons += self.keep(number, records)
            policy = self.fine_tune(number, policy, lessons)
            rows += self.evaluate(f"round{number}", policy, search=number == self.config.rounds)
        self.finish(rows)
        return rows

    def evaluate(self, stage: str, policy: str, search: bool) -> list[ResultRow]:
        """Returns the rows of one stage: greedy always, every planner where `search` is set."""
        sizes, simulator = self.config.evaluation, self.simulator(policy)
        rows = [self._row(stage, plan.GREEDY, simulator, self.tests, "test", sizes.large_budget)]
        if self.unseen:
            split = self.config.problems.unseen_split
            rows.append(self._row(stage, plan.GREEDY, simulator, self.unseen, split, sizes.large_budget))
        if search:
            few = self.tests[: sizes.search_problems]
            rows.append(self._row(stage, plan.SMALL, simulator, few, "test", sizes.small_budget))
            large = self._row(stage, plan.LARGE, simulator, few, "test", sizes.large_budget)
            equal = round(large.tokens_per_problem)
            rows += [self._row(stage, name, simulator, few, "test", equal) for name in plan.BASELINES]
            rows.append(large)
        self.monitor.rows(rows)
        return rows

    def _row(
        self, stage: str, planner: str, simulator: Simulator, problems: Sequence[Problem], split: str, tokens: int
    ) -> ResultRow:
        config = self.config
        records = self._searched(
            (stage, split, planner), simulator, problems, tokens, derive_seed(config.seed, stage),
            config.evaluation.concurrency, plan.evaluation_title(stage, planner, split),
            f"{stage}-{split}-{planner}", self.monitor.tree_sampler(f"{stage}/{planner}"),
        )  # fmt: skip
        return summarise(stage, planner, split, records)

    def _searched(
        self,
        key: LedgerKey,
        simulator: Simulator,
        problems: Sequence[Problem],
        tokens: int,
        seed: int,
        concurrency: int,
        title: str,
        journal: str,
        watch: Callable[[Problem, PlanResult], None],
    ) -> list[SearchRecord]:
        """Returns the records of one planner's searches, which are shown, kept and entered in the ledger."""
        stage, split, name = key
        search, step = self.config.search, stage_number(stage)
        source = self.config.problems.train_problems if split == "imagined" else self.config.problems.test_problems
        with self.monitor.progress(title, len(problems), self.engine, step) as progress:
            records = run_searches(
                planner_of(name, source, search.selection, search.merge_rule), simulator, problems,
                Budget(tokens=tokens), seed, concurrency, search_journal(self.folder, journal), progress, watch,
            )  # fmt: skip
        self.records[key] = records
        self.monitor.ledger(f"{split}/{name}", total(records), step)
        return records

    def imagine(self, number: int, policy: str) -> list[Problem]:
        """Returns the round's new problems; none has an answer."""

        def work() -> Json:
            forbidden = {normalise_question(p.question) for p in (*self.tests, *self.unseen)}
            for earlier in range(1, number):
                forbidden |= {normalise_question(p.question) for p in self.imagine(earlier, "")}
            with metering(Meter()) as meter:
                found = imagine(
                    self.config.models.with_policy(policy).load_policy(), self.seeds, self.config.imagination.imagined,
                    derive_seed(self.config.seed, "imagine", number), forbidden,
                )  # fmt: skip
            questions: list[Json] = [asdict(problem) for problem in found.problems]
            return {"problems": questions, "num_written": found.num_written, "tokens": meter.usage.tokens}

        name = f"round{number}-imagined"
        if self.folder.is_finished(name):
            record = self.folder.stage(name, work)
        else:
            with self.monitor.progress(plan.imagination_title(number), self.config.imagination.imagined):
                record = self.folder.stage(name, work)
        fields = cast("dict[str, Json]", record)
        if not fields["problems"]:
            raise RunError(f"round {number}: none of {fields['num_written']} imagined questions passed the filter")
        problems = [Problem(**problem) for problem in cast("list[dict[str, str]]", fields["problems"])]
        self.monitor.scalar("imagine/kept_share", len(problems) / cast(int, fields["num_written"]), number)
        return problems

    def search(self, number: int, policy: str, problems: Sequence[Problem]) -> list[SearchRecord]:
        """Returns what the training planner found for each imagined problem."""
        search = self.config.search
        records = self._searched(
            (f"round{number}", "imagined", search.training_planner), self.simulator(policy), problems,
            search.training_budget, derive_seed(self.config.seed, "search", number), search.training_concurrency,
            plan.search_title(number), f"round{number}-imagined",
            require_orm_scores(search.training_planner, self.monitor.tree_sampler(f"round{number}/search")),
        )  # fmt: skip
        self.monitor.searches(records, number)
        return records

    def keep(self, number: int, records: Sequence[SearchRecord]) -> list[Lesson]:
        """Returns the lessons of a round's searches."""
        lessons = lessons_of(records, self.config.search.orm_threshold, number)
        self.monitor.scalar("loop/kept_share", len(lessons) / max(1, len(records)), number)
        return lessons

    def fine_tune(self, number: int, policy: str, lessons: Sequence[Lesson]) -> str:
        """Returns the folder of the next policy, fine-tuned from this round's one on all lessons so far."""
        config, models = self.config, self.config.models.with_policy(policy)
        how = config.fine_tuning
        template = models.load_policy().template.without_examples()
        settings = FineTuning(how.epochs, how.batch_size, how.lr, seed=config.seed + number)

        def train(scratch: Path) -> None:
            torch.manual_seed(config.seed)
            lm = TransformersLM.load(resolve(policy), models.device, models.dtype)
            mark_as_taught(lm.tokenizer)
            logs = self.folder.path / "tensorboard" / f"distil-round{number}"
            shutil.rmtree(logs, ignore_errors=True)  # of an attempt that was stopped: its curve begins anew
            result = self.fine_tuner.fine_tune(lm, template, lessons, settings, scratch, logs)
            self.monitor.scalar("distil/loss", result.loss, number)
            self.monitor.scalar("distil/lessons", result.num_lessons, number)

        with self.monitor.progress(plan.fine_tuning_title(number), len(lessons)):
            return str(self.folder.checkpoint(f"round{number}", train))

    def finish(self, rows: Sequence[ResultRow]) -> None:
        """Writes results.json, ledger.json and report.html."""
        last = f"round{self.config.rounds}"
        gains: dict[str, Json] = {
            planner: _gain(self.records[last, "test", planner], self.records["before", "test", planner])
            for planner in plan.PLANNERS
        }
        few = self.config.evaluation.search_problems
        greedy = self.records["before", "test", plan.GREEDY][:few]
        simulator = self.simulator(self.config.models.policy)
        critics = {name: asdict(found) for name, found in simulator.critics.provenance().items()}
        results: dict[str, Json] = {
            "rows": [row.to_json() for row in rows],
            "is_reproducible": simulator.is_reproducible,
            "critics": cast(Json, critics),  # those of the first stage; prompted ones are the policy, which learns
            "gain_after_last_round": gains,
            "eta_mcts_large_over_greedy_before": _gain(self.records["before", "test", plan.LARGE], greedy),
        }
        write_json(self.folder.path / "results.json", results)
        write_ledger(self.folder.path, self.records)
        write_report(self.folder.path, rows, results, flat(self.config))


def _gain(after: Sequence[SearchRecord], before: Sequence[SearchRecord]) -> Json:
    gain, interval = paired_difference(after, before)
    return {"gain": gain, "ci95": list(interval)}
