"""The settings of the loop, in groups, and its presets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

import tyro

from agents.registry import PLANNERS
from alphallm_env.critics.base import CRITIC_NAMES
from alphallm_env.training.base import FINE_TUNERS
from experiments.runs.flags import MergeRuleName, ProblemSetName, SelectionName, TerminationRuleName
from experiments.runs.models import Models
from experiments.runs.settings import changed

ControlName = Literal["no_search", "no_lessons", "no_curriculum", "learned_orm"]


@dataclass(frozen=True)
class Problems:
    """Which problems, and what a solution is. Token limits are of the policy's own."""

    train_problems: ProblemSetName = "gsm_symbolic"
    test_problems: str = "gsm_symbolic"
    """what is evaluated on, named likewise"""
    unseen_split: str = "unseen_templates"
    """a split of the test problems that is reported apart; empty for none"""
    option_rule: TerminationRuleName = "sentence"
    max_tokens: int = 120
    """of one solution"""


@dataclass(frozen=True)
class Imagination:
    """New problems, written by the policy itself."""

    imagined: int = 240
    """problems a round"""
    seed_problems: int = 500
    """training problems that the policy is shown"""
    levels: str = "3,4,5,6"
    """of Countdown, from what is taught upwards: numbers of a game"""
    curriculum: bool = True
    """ask for one level above what search solves, and some below; else for all alike"""


@dataclass(frozen=True)
class TrainingSearch:
    """How solutions are searched. Token budgets count everything generated or scored."""

    training_planner: Annotated[
        str, tyro.conf.arg(help=f"of imagined problems; it must score trajectories by the ORM: {PLANNERS.choices}")
    ] = "eta_mcts_small"
    training_budget: int = 1_500
    """tokens per imagined problem"""
    training_concurrency: int = 100
    """imagined problems searched at once"""
    orm_threshold: float = 0.9
    """the ORM score from which a trajectory is kept"""
    solutions: int = 1
    """different trajectories of one search that may be kept"""
    selection: SelectionName = ""
    merge_rule: MergeRuleName = ""
    temperature: float = 1.0
    """of the policy"""


@dataclass(frozen=True)
class Refresh:
    """Critics that are fitted to the searches of every round, on the policy that it leaves behind."""

    refresh: str = ""
    """which of value, prm, orm; with a comma between them. Empty: the critics stay as they are"""

    def __post_init__(self) -> None:
        if unknown := [name for name in self.refreshed if name not in CRITIC_NAMES]:
            raise ValueError(f"refresh must name some of {', '.join(CRITIC_NAMES)}, got {', '.join(unknown)}")

    @property
    def refreshed(self) -> tuple[str, ...]:
        """The critics' names."""
        return tuple(name.strip() for name in self.refresh.split(",") if name.strip())


@dataclass(frozen=True)
class FineTuningSettings:
    """How the policy learns from the trajectories that were kept."""

    fine_tuner: Annotated[str, tyro.conf.arg(help=FINE_TUNERS.choices)] = "sft"
    epochs: int = 3
    """passes over the lessons"""
    batch_size: int = 32
    """trajectories"""
    lr: float = 5e-4
    """the highest learning rate"""
    lora_rank: int = 0
    """of LoRA matrices that are trained in place of all weights; 0: all weights"""
    max_lessons: int = 100_000
    """of a fine-tuning: all new ones, and a sample of those of earlier rounds"""
    targets: Literal["solutions", "visits"] = "solutions"
    """what a search that found a solution teaches: its solutions, or its visits as well, one option a decision"""
    rehearsal: float = 0.0
    """lessons of what the policy was taught before the loop, for each lesson of the loop (Countdown)"""


@dataclass(frozen=True)
class Evaluation:
    """What is measured: greedy at every stage; every planner before the first round and after the last one."""

    evaluation_problems: int = 400
    """for greedy"""
    unseen_problems: int = 100
    """of the unseen split, for greedy"""
    search_problems: int = 100
    """the first of the evaluation problems, for every planner"""
    small_budget: int = 1_000
    """tokens per problem"""
    large_budget: int = 2_000
    """tokens per problem; the baselines may spend what the large search did"""
    concurrency: int = 50
    """problems searched at once"""
    guard_problems: int = 100
    """development problems on which a model inside a critic must not solve more than the policy of its round"""
    test_levels: str = "3,4,5"
    """of Countdown, for greedy"""
    search_levels: str = "4,5"
    """of Countdown, for every planner"""


@dataclass(frozen=True)
class SelfImproveConfig:
    """Settings of one run of the loop."""

    rounds: int = 2
    """of imagining, searching and fine-tuning"""
    seed: int = 0
    """everything random is drawn from it"""
    threads: int = 2
    """of the processor, for the models"""
    controls: tuple[ControlName, ...] = ()
    """the loop again without a part of it: search, lessons (rehearsal alone), curriculum, verifier (a learned ORM)"""
    models: Models = field(default_factory=Models)
    problems: Problems = Problems()
    imagination: Imagination = Imagination()
    search: TrainingSearch = TrainingSearch()
    critics: Refresh = Refresh()
    fine_tuning: FineTuningSettings = FineTuningSettings()
    evaluation: Evaluation = Evaluation()

    @property
    def is_countdown(self) -> bool:
        """Whether the problems are Countdown's, which have levels."""
        return self.problems.train_problems.partition(":")[0] == "countdown"

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ValueError(f"rounds must be >= 1, got {self.rounds}")
        needs = {"learned_orm": "replaces a verifier", "no_lessons": "rehearses what was taught before the loop"}
        for control in self.controls:
            if control in needs and not self.is_countdown:
                raise ValueError(
                    f"the control {control} {needs[control]}, as countdown has, got {self.problems.train_problems!r}"
                )


_COUNTDOWN = SelfImproveConfig(
    rounds=5,
    models=Models(policy="tiny_countdown"),
    controls=("no_search", "no_lessons"),
    problems=Problems(train_problems="countdown", test_problems="countdown", unseen_split="", max_tokens=100),
    imagination=Imagination(imagined=1_200),
    search=TrainingSearch(training_planner="eta_mcts_plus", training_budget=150, solutions=2, training_concurrency=400),
    fine_tuning=FineTuningSettings(epochs=1, batch_size=32, lr=1e-3, max_lessons=6_000, rehearsal=1.0),
    evaluation=Evaluation(evaluation_problems=200, small_budget=500, large_budget=500, concurrency=100),
)

PRESETS: dict[str, SelfImproveConfig] = {
    "countdown": _COUNTDOWN,
    "long": changed(
        _COUNTDOWN,
        rounds=30,
        test_levels="3,4,5,6",
        search_levels="5,6",
        controls=(),
    ),
    "tiny": SelfImproveConfig(),
    "gsm8k": SelfImproveConfig(
        models=Models(policy=""),
        problems=Problems(train_problems="gsm8k", test_problems="gsm8k", unseen_split="", max_tokens=300),
        imagination=Imagination(imagined=200),
        search=TrainingSearch(training_planner="eta_mcts:gsm8k_small", training_budget=40_000),
        fine_tuning=FineTuningSettings(epochs=2, batch_size=16, lr=1e-5),
        evaluation=Evaluation(small_budget=40_000, large_budget=120_000),
    ),
}


def smoke(config: SelfImproveConfig) -> SelfImproveConfig:
    """Returns the settings cut down to a few problems and tokens: does the loop run?"""
    return changed(
        config, rounds=2, imagined=8, seed_problems=20, training_budget=400, evaluation_problems=8, search_problems=4,
        guard_problems=8, unseen_problems=4, small_budget=300, large_budget=600, concurrency=4,
        training_concurrency=4, epochs=1, orm_threshold=0.2,
    )  # fmt: skip
