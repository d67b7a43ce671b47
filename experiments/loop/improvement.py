"""One run of the loop: its stages, each of which is read back from the run's folder where it is finished."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch

from agents.base import Budget, PlanResult
from alphallm_env.errors import RunError
from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.lm.prompts import mark_as_taught
from alphallm_env.lm.shipped import resolve
from alphallm_env.mdp.dynamics import Rules
from alphallm_env.mdp.options import TERMINATION_RULES
from alphallm_env.runtime.engine import Engine
from alphallm_env.runtime.files import Json
from alphallm_env.runtime.metering import Meter, metering
from alphallm_env.runtime.seeds import derive_seed
from alphallm_env.simulator import Simulator
from alphallm_env.training.base import FINE_TUNERS, FineTuning, Lesson
from alphallm_env.types import Problem
from experiments.loop import plan, refresh
from experiments.loop.config import SelfImproveConfig
from experiments.loop.guard import Guarded, guarded, is_policys_own, solving
from experiments.loop.imagination import imagine
from experiments.loop.lessons import lessons_of, require_orm_scores, training_set, visited
from experiments.loop.plan import Arm
from experiments.loop.refresh import Measure
from experiments.loop.worlds import world_of
from experiments.runs.ledger import LedgerKey, total, write_ledger
from experiments.runs.models import Models
from experiments.runs.monitor import Monitor
from experiments.runs.planners import planner_of
from experiments.runs.records import RunFolder, write_json
from experiments.runs.report import PageDetails, write_report
from experiments.runs.results import ResultRow, paired_difference, round_of, summarise
from experiments.runs.screen import Screen
from experiments.runs.search_records import SearchRecord
from experiments.runs.searching import ignore, run_searches, search_journal
from experiments.runs.settings import flat

LOOP = Arm("", "", True)  # names the stages that belong to no control


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
        self.world = world_of(config)
        self.records: dict[LedgerKey, list[SearchRecord]] = {}
        self.guards: list[Guarded] = []
        self.measures: dict[str, list[Measure]] = {}  # of critics that were fitted, by stage
        self.num_learnt: dict[int, int] = {}  # documents that the loop, the first arm, learnt from, by round

    def __enter__(self) -> SelfImprovement:
        return self

    def __exit__(self, *_: object) -> None:
        self.monitor.close()
        self.engine.close()

    def simulator(self, models: Models) -> Simulator:
        """Returns the decision process around the models of a round."""
        return models.simulator(self.rules, self.engine, self.config.search.temperature)

    def run(self) -> list[ResultRow]:
        """Runs every round of the loop, then of its controls, and returns the results table."""
        rows = self.evaluate(LOOP, "before", self.config.models, search=True)
        for arm in plan.arms_of(self.config):
            rows += self.improve(arm)
        self.finish(rows)
        return rows

    def improve(self, arm: Arm) -> list[ResultRow]:
        """Runs all rounds of the loop or of a control, from the first policy on, and returns their rows."""
        models, rows = self.config.models, list[ResultRow]()
        lessons, solved = list[Lesson](), dict[str, float]()
        if arm.has_learned_orm:
            models = self.with_learned_orm(arm)
        for number in range(1, self.config.rounds + 1):
            self.guard(arm, number, models)
            records = list[SearchRecord]()
            if arm.has_lessons:
                problems = self.imagine(arm, number, models, solved)
                records = self.search(arm, number, models, problems)
                solved = self.solved(arm, number, records)
                lessons += self.keep(arm, number, records)
            models = models.with_policy(self.fine_tune(number, models, lessons, arm))
            if self.config.critics.refreshed and records and not arm.has_learned_orm:
                models = self.refit(arm.stage(f"round{number}"), models, records, self.config.critics.refreshed)
            is_last = number == self.config.rounds
            rows += self.evaluate(arm, f"round{number}", models, search=is_last and not arm.control)
        return rows

    def with_learned_orm(self, arm: Arm) -> Models:
        """Returns the first models with an ORM that is fitted to plain samples of the level that is taught.

        Raises RunError where these do not show both outcomes: the verifier must not stand in for what was not learnt.
        """
        config, models, stage = self.config, self.config.models, arm.stage(plan.TAUGHT)
        records = self._searched(
            (stage, "imagined", plan.PLAIN_SAMPLES), self.simulator(models),
            self.world.taught(config.imagination.imagined), Budget(tokens=config.search.training_budget),
            derive_seed(config.seed, "taught"), config.search.training_concurrency, plan.search_title(stage), stage,
        )  # fmt: skip
        learned = self.refit(stage, models, records, ("orm",))
        if learned is models:
            raise RunError(f"{stage}: expected samples to learn an ORM from; raise --imagined or --training-budget")
        return learned

    def refit(self, stage: str, models: Models, records: Sequence[SearchRecord], names: Sequence[str]) -> Models:
        """Returns the models with critics of these names that are fitted to searches, on the models' policy.

        They stay as they are where the searches do not show both outcomes.
        """
        config = self.config
        parts = refresh.split(refresh.graded(records, self.rules.option_rule, config.search.orm_threshold), config.seed)
        if missing := refresh.lacking(parts):
            self.monitor.say(f"{stage}: critics stay as they are, there are {missing}")
            return models

        def work(scratch: Path) -> None:
            refresh.fit(
                resolve(models.policy), models.device, parts, scratch, self.world.questions.level_of, config.seed
            )

        with self.monitor.progress(plan.critics_title(stage), len(records)):
            folder = self.folder.checkpoint(f"{stage}-critics", work)
        self.measures[stage] = refresh.measures_in(folder)
        for measure in self.measures[stage]:
            self.monitor.scalar(f"critics/{measure.critic}/auc/{measure.level or 'all'}", measure.auc, round_of(stage))
        fitted = [f"{name}={folder / 'critics'}" for name in names]
        return replace(models, critics=",".join([config.models.critics_named, *fitted]))

    def guard(self, arm: Arm, number: int, models: Models) -> None:
        """Raises RunError where a model in the critics solves more than the policy of the round."""
        simulator, stage = self.simulator(models), arm.stage(f"round{number}")
        others = [solver for solver in simulator.critics.solvers if not is_policys_own(solver, simulator.policy)]
        solved: dict[str, Sequence[SearchRecord]] = {}
        problems = self.world.development if others else ()
        title = f"{stage}: greedy on development"
        mine = self._solved_greedily(simulator, problems, title, f"{stage}-guard") if others else []
        for place, solver in enumerate(others):
            title, journal = f"{stage}: {Path(solver.name).name} on development", f"{stage}-guard-{place}"
            found = self._solved_greedily(solving(solver, simulator), problems, title, journal)
            solved[f"{solver.name} ({place})"] = found
        result = guarded(stage, mine, solved)
        self.guards.append(result)
        self.monitor.say(result.in_words())
        if result.critic_solver_accuracy is not None:
            self.monitor.scalar(arm.stage("guard/critic_solver_accuracy"), result.critic_solver_accuracy, number)

    def _solved_greedily(
        self, simulator: Simulator, problems: Sequence[Problem], title: str, journal: str
    ) -> list[SearchRecord]:
        config = self.config
        with self.monitor.progress(title, len(problems), self.engine) as progress:
            return run_searches(
                planner_of(plan.GREEDY, config.problems.train_problems), simulator, problems, Budget(), config.seed,
                config.evaluation.concurrency, search_journal(self.folder, journal), progress,
            )  # fmt: skip

    def evaluate(self, arm: Arm, name: str, models: Models, search: bool) -> list[ResultRow]:
        """Returns the rows of one stage: greedy always, every planner where `search` is set."""
        sizes, simulator = self.config.evaluation, self.simulator(models)
        row = partial(self._row, arm, name, simulator)
        large = Budget(tokens=sizes.large_budget)
        rows = [row(plan.GREEDY, problems, split, large) for split, problems in self.world.tests.items()]
        for split in plan.searched_splits(self.config) if search else ():
            few = self.world.tests[split][: sizes.search_problems]
            found: list[ResultRow] = []
            equal = large
            for planner in plan.searchers_of(self.config):
                is_baseline = planner in plan.BASELINES
                budget = Budget(tokens=sizes.small_budget) if planner == plan.SMALL else equal if is_baseline else large
                found.append(row(planner, few, split, budget))
                if not is_baseline:
                    equal = found[-1].as_budget()  # what the last search took
            rows += found
        self.monitor.rows(rows)
        return rows

    def _row(
        self,
        arm: Arm,
        name: str,
        simulator: Simulator,
        planner: str,
        problems: Sequence[Problem],
        split: str,
        budget: Budget,
    ) -> ResultRow:
        config, stage = self.config, arm.stage(name)
        records = self._searched(
            (stage, split, planner), simulator, problems, budget, derive_seed(config.seed, name),
            config.evaluation.concurrency, plan.evaluation_title(stage, planner, split),
            f"{stage}-{split}-{planner}".replace("=", ""), self.monitor.tree_sampler(f"{stage}/{planner}"),
        )  # fmt: skip
        return summarise(stage, planner, split, records, arm.control)

    def _searched(
        self,
        key: LedgerKey,
        simulator: Simulator,
        problems: Sequence[Problem],
        budget: Budget,
        seed: int,
        concurrency: int,
        title: str,
        journal: str,
        watch: Callable[[Problem, PlanResult], None] = ignore,
    ) -> list[SearchRecord]:
        """Returns the records of one planner's searches, which are shown, kept and entered in the ledger."""
        stage, split, name = key
        search, step = self.config.search, round_of(stage)
        source = self.config.problems.train_problems if split == "imagined" else self.config.problems.test_problems
        with self.monitor.progress(title, len(problems), self.engine, step) as progress:
            records = run_searches(
                planner_of(name, source, search.selection, search.merge_rule), simulator, problems,
                budget, seed, concurrency, search_journal(self.folder, journal), progress, watch,
            )  # fmt: skip
        self.records[key] = records
        self.monitor.ledger(f"{split}/{name}", total(records), step)
        return records

    def imagine(self, arm: Arm, number: int, models: Models, solved: Mapping[str, float]) -> list[Problem]:
        """Returns the round's new problems; none has an answer."""
        questions, stage = self.world.questions, arm.stage(f"round{number}")
        wanted = self.world.wanted(solved, curriculum=arm.curriculum)
        # One that has learnt to win would ask, of games that it plays, what it can win already.
        imaginer = self.config.models if questions.are_played else models

        def work() -> Json:
            tests = [problem for problems in self.world.tests.values() for problem in problems]
            before = [self.folder.finished(f"{arm.stage(f'round{n}')}-imagined") for n in range(1, number)]
            earlier = [problem for record in before for problem in _problems_in(record)]
            forbidden = {questions.key_of(problem.question) for problem in (*tests, *earlier)}
            with metering(Meter()) as meter:
                found = imagine(
                    imaginer.load_policy(), self.world.known, wanted,
                    derive_seed(self.config.seed, "imagine", number), forbidden, questions,
                )  # fmt: skip
            kept: list[Json] = [asdict(problem) for problem in found.problems]
            return {
                "problems": kept, "num_written": found.num_written, "tokens": meter.usage.tokens,
                "wanted": cast(Json, wanted), "num_refused": dict(found.refused.counts.most_common()),
                "refused": [list(refused) for refused in found.refused.shown],
            }  # fmt: skip

        name = f"{stage}-imagined"
        if self.folder.is_finished(name):
            record = self.folder.stage(name, work)
        else:
            with self.monitor.progress(plan.imagination_title(stage), self.config.imagination.imagined):
                record = self.folder.stage(name, work)
        fields = cast("dict[str, Json]", record)
        if not fields["problems"]:
            raise RunError(f"{stage}: none of {fields['num_written']} imagined questions passed the filter")
        problems = _problems_in(record)
        share = len(problems) / cast(int, fields["num_written"])
        self.monitor.scalar(arm.stage("imagine/kept_share"), share, number)
        return problems

    def search(self, arm: Arm, number: int, models: Models, problems: Sequence[Problem]) -> list[SearchRecord]:
        """Returns what the arm's planner found for each imagined problem."""
        search, stage = self.config.search, arm.stage(f"round{number}")
        records = self._searched(
            (stage, "imagined", arm.planner), self.simulator(models), problems,
            Budget(tokens=search.training_budget), derive_seed(self.config.seed, "search", number),
            search.training_concurrency, plan.search_title(stage), f"{stage}-imagined",
            require_orm_scores(arm.planner, self.monitor.tree_sampler(f"{stage}/search")),
        )  # fmt: skip
        if not arm.control:
            self.monitor.searches(records, number)
        return records

    def solved(self, arm: Arm, number: int, records: Sequence[SearchRecord]) -> dict[str, float]:
        """Returns the share of a round's problems that its searches solved, by level."""
        is_solved: dict[str, list[float]] = {}
        for record in records:
            level = self.world.questions.level_of(record.problem.question) or ""
            is_solved.setdefault(level, []).append(float(record.best.score >= self._threshold(arm)))
        shares = {level: sum(found) / len(found) for level, found in is_solved.items()}
        for level, share in shares.items():
            self.monitor.scalar(arm.stage(f"search/solved/{level or 'all'}"), share, number)
        return shares

    def _threshold(self, arm: Arm) -> float:
        """Returns the ORM score from which a trajectory is kept: of a learned one, which is never sure, one half."""
        return 0.5 if arm.has_learned_orm else self.config.search.orm_threshold

    def keep(self, arm: Arm, number: int, records: Sequence[SearchRecord]) -> list[Lesson]:
        """Returns the lessons of a round's searches."""
        lessons = lessons_of(records, self._threshold(arm), number, self.config.search.solutions)
        if self.config.fine_tuning.targets == "visits":
            lessons += visited(records, self._threshold(arm), number, self.config.seed)
        self.monitor.scalar(arm.stage("loop/lessons_per_search"), len(lessons) / max(1, len(records)), number)
        return lessons

    def fine_tune(self, number: int, models: Models, lessons: Sequence[Lesson], arm: Arm = LOOP) -> str:
        """Returns the folder of the next policy, fine-tuned from this round's one on the lessons so far."""
        config = self.config
        how, stage = config.fine_tuning, arm.stage(f"round{number}")
        template = models.load_policy().template.without_examples()
        settings = FineTuning(how.epochs, how.batch_size, how.lr, seed=config.seed + number, lora_rank=how.lora_rank)
        learnt = training_set(lessons, number, how.max_lessons, settings.seed)
        rehearsed = round(how.rehearsal * len(learnt)) if arm.has_lessons else self.num_learnt[number]
        learnt += self.world.rehearsal(rehearsed, settings.seed)
        self.num_learnt.setdefault(number, len(learnt))

        def train(scratch: Path) -> None:
            torch.manual_seed(config.seed)
            lm = TransformersLM.load(resolve(models.policy), models.device, models.dtype)
            mark_as_taught(lm.tokenizer)
            logs = self.folder.path / "tensorboard" / f"distil-{stage}"
            shutil.rmtree(logs, ignore_errors=True)  # of an attempt that was stopped: its curve begins anew
            result = self.fine_tuner.fine_tune(lm, template, learnt, settings, scratch, logs)
            self.monitor.scalar(arm.stage("distil/loss"), result.loss, number)
            self.monitor.scalar(arm.stage("distil/lessons"), result.num_lessons, number)

        with self.monitor.progress(plan.fine_tuning_title(stage), len(learnt)):
            return str(self.folder.checkpoint(stage, train))

    def finish(self, rows: Sequence[ResultRow]) -> None:
        """Writes results.json, ledger.json and report.html."""
        simulator = self.simulator(self.config.models)
        critics = {name: asdict(found) for name, found in simulator.critics.provenance().items()}
        results: dict[str, Json] = {
            "rows": [row.to_json() for row in rows],
            "is_reproducible": simulator.is_reproducible,
            "critics": cast(Json, critics),  # those of the first stage; prompted ones are the policy, which learns
            "gains": self._gains(),
            "critic_solver_accuracy": [found.to_json() for found in self.guards],
            "learned_critics": [
                {"stage": stage, **asdict(measure)} for stage, found in self.measures.items() for measure in found
            ],
        }
        write_json(self.folder.path / "results.json", results)
        write_ledger(self.folder.path, self.records)
        write_report(self.folder.path, rows, results, flat(self.config), self._page_details())

    def _gains(self) -> list[Json]:
        """Returns paired differences after the last round: over the first policy, and over each control."""
        last, gains = f"round{self.config.rounds}", list[Json]()
        for (stage, split, planner), records in self.records.items():
            if stage == last and split != "imagined":
                against = {"before": "before"} | {control: f"{control}-{last}" for control in self.config.controls}
                for name, other in against.items():
                    found = self.records.get((other, split, planner))
                    if found is None:  # controls are evaluated by greedy alone
                        continue
                    gain, interval = paired_difference(records, found)
                    gains.append(
                        {"split": split, "planner": planner, "over": name, "gain": gain, "ci95": list(interval)}
                    )
            if stage == last and planner in plan.searchers_of(self.config)[-1:]:
                search = plan.compared_search(self.config)
                gain, interval = paired_difference(self.records[stage, split, search], records)
                gains.append({"split": split, "planner": search, "over": planner, "gain": gain, "ci95": list(interval)})
        return gains

    def _page_details(self) -> PageDetails:
        """Returns what the page shows of the loop's rounds: questions kept and refused, and lessons of the last one."""
        rounds = range(1, self.config.rounds + 1)
        imagined = [cast("dict[str, Any]", self.folder.finished(f"round{number}-imagined")) for number in rounds]
        last = self.records[f"round{self.config.rounds}", "imagined", self.config.search.training_planner]
        kept = [record for record in last if record.best.score >= self.config.search.orm_threshold]
        return PageDetails(imagined, kept)


def _problems_in(record: Json) -> list[Problem]:
    """Returns the problems in the record of an imagination."""
    return [Problem(**problem) for problem in cast("dict[str, list[dict[str, str]]]", record)["problems"]]
