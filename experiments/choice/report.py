"""The results of the baselines: rows with intervals over runs and templates, a table, a picture of learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.table import Table

from alphallm_env.runtime.files import Json
from experiments.choice.rules import Played
from experiments.choice.training import Point
from experiments.runs.statistics import Estimate, bootstrap_mean, interquartile_mean, mean, stratified_bootstrap

Runs = Sequence[Sequence[Played]]  # of one agent: by run, then by problem, the same problems in each


@dataclass(frozen=True)
class BaselineRow:
    """One agent. Scores are success rates of a run on the problems of one template.

    `gain` is the paired difference in success from the option that the policy finds most probable, by problem, and
    its 95 % interval a bootstrap over problems.
    """

    agent: str
    kind: str  # rule, trained or planner
    mean: Estimate
    interquartile_mean: Estimate
    gain: Estimate
    tokens_per_problem: float
    steps_per_problem: float
    invalid_rate: float

    def to_json(self) -> Json:
        """Returns the row as JSON."""
        return cast(Json, asdict(self))


def scores_by_template(runs: Runs) -> NDArray[np.float64]:
    """Returns success rates, [runs, templates]: what comes before the last `/` of a problem's id is its template."""
    templates: dict[str, list[int]] = {}
    for index, played in enumerate(runs[0]):
        templates.setdefault(played.problem_id.rpartition("/")[0], []).append(index)
    return np.array([[_success(run, indices) for indices in templates.values()] for run in runs])


def _success(run: Sequence[Played], indices: Sequence[int]) -> float:
    return float(np.mean([run[index].is_success for index in indices]))


def success_by_problem(runs: Runs) -> NDArray[np.float64]:
    """Returns the share of runs that solve each problem: [problems]."""
    return np.mean([[episode.is_success for episode in run] for run in runs], axis=0)


def row_of(agent: str, kind: str, runs: Runs, reference: Runs) -> BaselineRow:
    """Returns an agent's row. Raises ValueError unless every run, the reference's too, has the same problems."""
    ids = [[episode.problem_id for episode in run] for run in (*runs, *reference)]
    if any(other != ids[0] for other in ids):
        raise ValueError(f"expected the same problems in every run of {agent} and of the reference")
    scores = scores_by_template(runs)
    gains = success_by_problem(runs) - success_by_problem(reference)
    episodes = [episode for run in runs for episode in run]
    return BaselineRow(
        agent,
        kind,
        stratified_bootstrap(scores, mean, np.random.default_rng(0)),
        stratified_bootstrap(scores, interquartile_mean, np.random.default_rng(0)),
        Estimate(float(np.mean(gains)), *bootstrap_mean(gains.tolist())),
        tokens_per_problem=float(np.mean([episode.num_tokens for episode in episodes])),
        steps_per_problem=float(np.mean([episode.num_steps for episode in episodes])),
        invalid_rate=sum(e.num_invalid for e in episodes) / max(1, sum(e.num_steps for e in episodes)),
    )


def baselines_table(rows: Sequence[BaselineRow], title: str) -> Table:
    """Returns the table that the terminal shows; tokens and steps are those of a problem, brackets 95 % intervals."""
    table = Table(title=title)
    table.add_column("agent")
    for column in ("mean", "IQM", "gain", "tokens", "steps", "invalid"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            row.agent, _shown(row.mean), _shown(row.interquartile_mean), _shown(row.gain, "+"),
            f"{row.tokens_per_problem:,.0f}", f"{row.steps_per_problem:.1f}", f"{row.invalid_rate:.3f}",
        )  # fmt: skip
    return table


def _shown(estimate: Estimate, sign: str = "") -> str:
    return f"{estimate.value:{sign}.3f} [{estimate.low:{sign}.2f}, {estimate.high:{sign}.2f}]"


def draw_curves(
    curves: Mapping[str, Sequence[Sequence[Point]]], rules: Mapping[str, float], title: str, file: Path
) -> None:
    """Draws success on development problems while the agents learn: the mean of the runs, and from lowest to highest.

    `rules` are the agents that do not learn, as lines.
    """
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for number, (agent, runs) in enumerate(curves.items()):
        steps = [point.num_steps for point in runs[0]]
        success = np.array([[point.success for point in run] for run in runs])
        axes.plot(steps, success.mean(axis=0), color=f"C{number}", label=agent)
        axes.fill_between(steps, success.min(axis=0), success.max(axis=0), color=f"C{number}", alpha=0.15, linewidth=0)
    for style, (agent, value) in zip(("-", "--", "-.", ":"), rules.items(), strict=False):
        axes.axhline(value, color="0.4", linestyle=style, linewidth=1, label=agent)
    axes.set(title=title, xlabel="steps", ylabel="solved, of the development problems", ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    figure.savefig(file, dpi=120)
