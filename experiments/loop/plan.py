"""The stages of a run of the loop: their titles, and what they cost beside each other, for the time left."""

from __future__ import annotations

from experiments.loop.config import SelfImproveConfig

GREEDY, SMALL, LARGE = "greedy", "eta_mcts_small", "eta_mcts_large"
BASELINES = ("majority", "orm_rerank")  # at the tokens that the large search took
PLANNERS = (GREEDY, SMALL, LARGE, *BASELINES)


def evaluation_title(stage: str, planner: str, split: str) -> str:
    """Returns the title of one planner's evaluation."""
    return f"{stage}: {planner} on {split}"


def imagination_title(number: int) -> str:
    """Returns the title of a round's imagination."""
    return f"round{number}: imagine problems"


def search_title(number: int) -> str:
    """Returns the title of a round's search of imagined problems."""
    return f"round{number}: search imagined problems"


def fine_tuning_title(number: int) -> str:
    """Returns the title of a round's fine-tuning."""
    return f"round{number}: fine-tune the policy"


def expected_costs(config: SelfImproveConfig) -> dict[str, float]:
    """Returns the stages of a run by title, in order, each with a rough number of tokens computed."""
    costs = _evaluation(config, "before", search=True)
    length, imagined = config.problems.max_tokens / 2, config.imagination.imagined
    for number in range(1, config.rounds + 1):
        costs[imagination_title(number)] = 4 * imagined * length  # few questions pass the filter
        costs[search_title(number)] = imagined * config.search.training_budget
        costs[fine_tuning_title(number)] = 2 * config.fine_tuning.epochs * number * imagined * length
        costs |= _evaluation(config, f"round{number}", search=number == config.rounds)
    return costs


def _evaluation(config: SelfImproveConfig, stage: str, *, search: bool) -> dict[str, float]:
    evaluation, length = config.evaluation, config.problems.max_tokens / 2
    costs = {evaluation_title(stage, GREEDY, "test"): evaluation.evaluation_problems * length}
    if config.problems.unseen_split:
        title = evaluation_title(stage, GREEDY, config.problems.unseen_split)
        costs[title] = evaluation.unseen_problems * length
    if search:
        costs[evaluation_title(stage, SMALL, "test")] = evaluation.search_problems * evaluation.small_budget
        for planner in (LARGE, *BASELINES):
            costs[evaluation_title(stage, planner, "test")] = evaluation.search_problems * evaluation.large_budget
    return {title: float(cost) for title, cost in costs.items()}
