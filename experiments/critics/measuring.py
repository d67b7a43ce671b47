"""How good critics are: scores on held-out trajectories, calibrated on one split and measured on another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from alphallm_env.critics.base import last_option
from alphallm_env.critics.calibration import Scaling, ScalingKind, fit_scaling, save_calibration
from alphallm_env.critics.measures import Quality, quality
from alphallm_env.critics.prompted.generative import Labeller, share_of_true
from alphallm_env.critics.trained.value import CriticModel
from alphallm_env.lm.prompts import PromptTemplate
from alphallm_env.problems.countdown.game import game_of
from alphallm_env.training.critics import Notes
from alphallm_env.training.graded import ProblemData, items_of
from experiments.critics.config import CriticsConfig
from experiments.critics.reranking import reranking, reranking_table
from experiments.runs.records import write_json
from experiments.runs.settings import flat

HELD_OUT = ("development", "test")


@dataclass(frozen=True)
class Scored:
    """Scores of one critic, with the outcomes that they predict."""

    scores: list[float]
    outcomes: list[bool]

    def calibrated(self, scaling: Scaling) -> Scored:
        """Returns the scaled scores."""
        return Scored([scaling(score) for score in self.scores], self.outcomes)


def score_all(
    critic: CriticModel,
    notes: Notes,
    template: PromptTemplate,
    data: Sequence[ProblemData],
    threshold: float,
) -> dict[str, Scored]:
    """Returns the raw scores of value, PRM and ORM on held-out trajectories.

    The value function is scored at every prefix against the end of that trajectory.
    """
    items = items_of(data, threshold)
    states = {name: [item.state for item in asked] for name, asked in items.items()}
    labeller = Labeller(critic, template.labels)
    prefixes = [template.judge_state(s.question, s.text, notes[s.question, s.text]) for s in states["value"]]
    steps = [
        template.judge_step(s.question, before.text, option.text, notes[s.question, s.text])
        for s in states["prm"]
        for before, option in [last_option(s)]
    ]
    wholes = [template.judge_outcome(s.question, s.text, notes[s.question, s.text]) for s in states["orm"]]
    scores = {
        "value": [estimate.value for estimate in critic.values(prefixes)],
        "prm": [share_of_true(answer.probs) for answer in labeller.judge(steps)],
        "orm": [share_of_true(answer.probs) for answer in labeller.judge(wholes)],
    }
    return {name: Scored(scores[name], [item.outcome for item in asked]) for name, asked in items.items()}


def by_level(
    scored: dict[str, Scored], data: Sequence[ProblemData], threshold: float, level_of: Callable[[str], str | None]
) -> dict[str, dict[str, Quality]]:
    """Returns the quality of each critic within each level; see `within_levels`."""
    return {
        critic: {level: quality(part.scores, part.outcomes) for level, part in levels.items()}
        for critic, levels in within_levels(scored, data, threshold, level_of).items()
    }


def within_levels(
    scored: dict[str, Scored], data: Sequence[ProblemData], threshold: float, level_of: Callable[[str], str | None]
) -> dict[str, dict[str, Scored]]:
    """Returns the scores of each critic within each level, of which `level_of` tells a question's.

    `scored` has the scores of `data`, in the order of `items_of`. Scores over several levels look better than those
    within one, as the level alone tells much. A level whose outcomes are all alike is left out, as is what has none.
    """
    items = items_of(data, threshold)
    found: dict[str, dict[str, Scored]] = {}
    for critic, of_critic in scored.items():
        parts: dict[str, Scored] = {}
        for item, score in zip(items[critic], of_critic.scores, strict=True):
            if (level := level_of(item.state.question)) is not None:
                part = parts.setdefault(level, Scored([], []))
                part.scores.append(score)
                part.outcomes.append(item.outcome)
        found[critic] = {level: part for level, part in sorted(parts.items()) if len(set(part.outcomes)) == 2}
    return found


def _countdown_level(question: str) -> str | None:
    """Returns how many numbers a game of Countdown has, None for another question."""
    game = game_of(question)
    return None if game is None else str(len(game.numbers))


def print_qualities(qualities: dict[str, Quality], title: str = "critics on held-out trajectories") -> None:
    """Prints one row per critic."""
    table = Table(title=title)
    for column in ("critic", "precision", "recall", "ECE", "AUC", "scores"):
        table.add_column(column, justify="left" if column == "critic" else "right")
    for name, q in qualities.items():
        table.add_row(name, f"{q.precision:.3f}", f"{q.recall:.3f}", f"{q.ece:.3f}", f"{q.auc:.3f}", str(q.num_scores))
    Console().print(table)


def calibrate(
    development: dict[str, Scored], test: dict[str, Scored], folder: Path, method: ScalingKind
) -> dict[str, Scored]:
    """Returns the test scores, scaled as the development split asks for; the scalings are written beside the models.

    Raises ValueError where all development outcomes of a critic are alike: nothing to calibrate by.
    """
    scalings: dict[str, Scaling] = {
        name: fit_scaling(method, scored.scores, [float(outcome) for outcome in scored.outcomes])
        for name, scored in development.items()
    }
    save_calibration(folder, scalings)
    return {name: scored.calibrated(scalings[name]) for name, scored in test.items()}


def finish(
    development: dict[str, Scored], test: dict[str, Scored], tested: Sequence[ProblemData], config: CriticsConfig
) -> dict[str, Quality]:
    """Calibrates on the development split, measures on the test split, and writes both beside the models.

    Raises ValueError where all development outcomes of a critic are alike: nothing to calibrate by.
    """
    calibrated = calibrate(development, test, config.out / "critics", config.critics.calibration)
    qualities = {name: quality(scored.scores, scored.outcomes) for name, scored in calibrated.items()}
    choice = reranking(tested, test["orm"].scores)
    levels = by_level(calibrated, tested, config.labels.threshold, _countdown_level)
    report = {
        "quality": {name: q.to_json() for name, q in qualities.items()},
        "by_level": {name: {level: q.to_json() for level, q in found.items()} for name, found in levels.items()},
        "reranking": asdict(choice),
        "config": flat(config),
    }
    write_json(config.out / "quality.json", report)
    print_qualities(qualities)
    if any(len(found) > 1 for found in levels.values()):
        rows = {f"{name}, n = {level}": q for name, found in levels.items() for level, q in found.items()}
        print_qualities(rows, "the same by level")
    Console().print(reranking_table(choice))
    return qualities
