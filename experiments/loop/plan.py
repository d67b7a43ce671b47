"""The stages of a run of the loop: its arms, their titles, and what they cost beside each other, for the time left."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.loop.config import SelfImproveConfig

GREEDY, SMALL, LARGE = "greedy", "eta_mcts_small", "eta_mcts_large"
BASELINES = ("majority", "orm_rerank")  # at the tokens that the large search took
PLANNERS = (GREEDY, SMALL, LARGE, *BASELINES)
TAUGHT = "taught"  # the stage in which a learned ORM is fitted
PLAIN_SAMPLES = "checked_rerank"  # what stands in for a search where a control leaves it out, at the same tokens


@dataclass(frozen=True)
class Arm:
    """One run of all rounds: the loop itself, or a control that leaves a part of it out."""

    control: str
    planner: str
    curriculum: bool
    has_learned_orm: bool = False  # which is fitted once, to games of the level that is taught
    has_lessons: bool = True  # else it rehearses as many documents as the loop learns from, and searches nothing

    def stage(self, name: str) -> str:
        """Returns the name of one of its stages: that of the loop with the control's before it."""
        return f"{self.control}-{name}" if self.control else name


def arms_of(config: SelfImproveConfig) -> list[Arm]:
    """Returns the loop and its controls, in order."""
    planner, curriculum = config.search.training_planner, config.imagination.curriculum
    controls = {
        "no_search": Arm("no_search", PLAIN_SAMPLES, curriculum),
        "no_lessons": Arm("no_lessons", planner, curriculum, has_lessons=False),
        "no_curriculum": Arm("no_curriculum", planner, False),
        "learned_orm": Arm("learned_orm", planner, curriculum, has_learned_orm=True),
    }
    return [Arm("", planner, curriculum), *(controls[name] for name in config.controls)]


def levels_by_split(levels: str) -> dict[str, str]:
    """Returns levels of Countdown by the names that their rows have.

    >>> levels_by_split("3,4")
    {'n=3': '3', 'n=4': '4'}
    """
    return {f"n={level}": level for level in levels.split(",")}


def splits_of(config: SelfImproveConfig) -> dict[str, int]:
    """Returns the number of problems by split on which greedy is evaluated."""
    sizes = config.evaluation
    if config.is_countdown:
        return dict.fromkeys(levels_by_split(sizes.test_levels), sizes.evaluation_problems)
    unseen = config.problems.unseen_split
    return {"test": sizes.evaluation_problems} | ({unseen: sizes.unseen_problems} if unseen else {})


def searched_splits(config: SelfImproveConfig) -> list[str]:
    """Returns the splits on which every planner is evaluated."""
    if config.is_countdown:
        return list(levels_by_split(config.evaluation.search_levels))
    return ["test"]


def searchers_of(config: SelfImproveConfig) -> list[str]:
    """Returns the planners that are evaluated beside greedy, the small search first and the large one second.

    Countdown is searched at one size: the training planner, and plain samples at its tokens.
    """
    if config.is_countdown:
        return [config.search.training_planner, PLAIN_SAMPLES]
    return [SMALL, LARGE, *BASELINES]


def compared_search(config: SelfImproveConfig) -> str:
    """Returns the search whose tokens the baselines may spend."""
    return config.search.training_planner if config.is_countdown else LARGE


def evaluation_title(stage: str, planner: str, split: str) -> str:
    """Returns the title of one planner's evaluation."""
    return f"{stage}: {planner} on {split}"


def imagination_title(stage: str) -> str:
    """Returns the title of a round's imagination."""
    return f"{stage}: imagine problems"


def search_title(stage: str) -> str:
    """Returns the title of a round's search of imagined problems."""
    return f"{stage}: search imagined problems"


def fine_tuning_title(stage: str) -> str:
    """Returns the title of a round's fine-tuning."""
    return f"{stage}: fine-tune the policy"


def critics_title(stage: str) -> str:
    """Returns the title of a fit of critics to searches."""
    return f"{stage}: fit critics"


def expected_costs(config: SelfImproveConfig) -> dict[str, float]:
    """Returns the stages of a run by title, in order, each with a rough number of tokens computed."""
    costs = _evaluation(config, "before", search=True)
    length, imagined = config.problems.max_tokens / 2, config.imagination.imagined
    for arm in arms_of(config):
        if arm.has_learned_orm:
            costs[search_title(arm.stage(TAUGHT))] = imagined * config.search.training_budget
            costs[critics_title(arm.stage(TAUGHT))] = imagined * config.search.training_budget / 2
        for number in range(1, config.rounds + 1):
            stage = arm.stage(f"round{number}")
            lessons = min(number * imagined, config.fine_tuning.max_lessons) * (1 + config.fine_tuning.rehearsal)
            if arm.has_lessons:
                costs[imagination_title(stage)] = 4 * imagined * length  # few questions pass the filter
                costs[search_title(stage)] = imagined * config.search.training_budget
            costs[fine_tuning_title(stage)] = 2 * config.fine_tuning.epochs * lessons * length
            if config.critics.refreshed and arm.has_lessons:
                costs[critics_title(stage)] = imagined * config.search.training_budget / 2
            costs |= _evaluation(config, stage, search=number == config.rounds and not arm.control)
    return costs


def _evaluation(config: SelfImproveConfig, stage: str, *, search: bool) -> dict[str, float]:
    evaluation, length = config.evaluation, config.problems.max_tokens / 2
    costs = {evaluation_title(stage, GREEDY, split): num * length for split, num in splits_of(config).items()}
    for split in searched_splits(config) if search else ():
        for planner in searchers_of(config):
            budget = evaluation.small_budget if planner == SMALL else evaluation.large_budget
            costs[evaluation_title(stage, planner, split)] = float(evaluation.search_problems * budget)
    return costs
