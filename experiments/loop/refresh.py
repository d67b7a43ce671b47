"""Critics that the loop fits anew after every round, to what its own searches found and to nothing else.

They are probes (`alphallm_env/critics/probes`): linear in the hidden states of the policy that the round leaves behind,
so that no model in them knows more than it. A trajectory counts as right where the search scored it so, which is the
verifier's word in Countdown. A step counts as good where enough of the trajectories through it are right.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from alphallm_env.critics.measures import quality, reliability_bins
from alphallm_env.critics.probes.trunk import ProbeTrunk
from alphallm_env.lm.local.transformers_lm import TransformersLM
from alphallm_env.lm.prompts import template_for
from alphallm_env.mdp.options import OptionRule, split_options
from alphallm_env.runtime.seeds import derive_seed
from alphallm_env.training.graded import LabelledStep, ProblemData, Sample, items_of, prefix_counts
from alphallm_env.types import Trajectory
from experiments.critics.config import StepLabels
from experiments.critics.measuring import Scored, calibrate, within_levels
from experiments.critics.models import fit_probes
from experiments.runs.records import write_json
from experiments.runs.search_records import SearchRecord

_SPLITS = ("train", "train", "train", "train", "development", "test")  # of six problems
_GOOD = StepLabels.threshold  # the share of trajectories through a step that must be right
_MIN_VISITS = 3  # trajectories through a step that is labelled by their share
_MEASURES = "measures.json"


@dataclass(frozen=True)
class Measure:
    """How well a critic tells what a round's searches found, on problems that it was not fitted to.

    `bins` are those of its reliability diagram that are not empty: scores in it, their mean, and their mean outcome.
    """

    critic: str
    level: str
    auc: float
    ece: float
    num_states: int
    bins: tuple[tuple[int, float, float], ...] = ()


def graded(records: Sequence[SearchRecord], rule: OptionRule, threshold: float) -> list[ProblemData]:
    """Returns what each search finished as data for critics: right from an ORM score of `threshold` on.

    Steps are as `rule` cuts them: a rollout is one option of many lines.
    """
    return [_graded(record, rule, threshold) for record in records]


def _graded(record: SearchRecord, rule: OptionRule, threshold: float) -> ProblemData:
    def sample_of(trajectory: Trajectory) -> Sample:
        steps = tuple(split_options(trajectory.state.text, rule))
        return Sample(record.problem.id, record.problem.question, steps, trajectory.score >= threshold)

    samples = tuple(sample_of(found) for found in record.kept)
    ends = {sample.steps for sample in samples}
    steps = tuple(
        LabelledStep(record.problem.question, prefix[:-1], prefix[-1], right / visits)
        for prefix, (visits, right) in prefix_counts(samples).items()
        if prefix and (visits >= _MIN_VISITS or prefix in ends)
    )
    return ProblemData(samples, steps)


def split(data: Sequence[ProblemData], seed: int) -> dict[str, list[ProblemData]]:
    """Returns the data by split: two thirds to fit, a sixth to calibrate, a sixth to measure. Problems are not cut."""
    parts: dict[str, list[ProblemData]] = {name: [] for name in _SPLITS}
    for entry in data:
        parts[_SPLITS[derive_seed(seed, entry.samples[0].problem_id) % len(_SPLITS)]].append(entry)
    return parts


def lacking(parts: dict[str, list[ProblemData]]) -> str:
    """Returns what is missing to fit, calibrate and measure: both outcomes, of each critic, in each split."""
    for name, part in parts.items():
        for critic, items in items_of(part, _GOOD).items():
            if len({item.outcome for item in items}) < 2:
                return f"{len(items)} states for the {critic} in the {name} part, all of one outcome"
    return ""


def fit(
    policy: str,
    device: str,
    parts: dict[str, list[ProblemData]],
    folder: Path,
    level_of: Callable[[str], str | None],
    seed: int,
) -> None:
    """Fits value function, PRM and ORM to a policy's hidden states; writes them, and what they are worth, to a folder.

    `level_of` names the level of a question.
    """
    lm = TransformersLM.load(policy, device, "float32")
    half = max(1, lm.num_layers // 2)
    trunk = ProbeTrunk(lm, template_for(lm.tokenizer), sorted({half, lm.num_layers}))
    development, test = fit_probes(trunk, policy, parts, _GOOD, folder, seed, lambda _: None)
    scored = calibrate(development, test, folder / "critics", "platt")
    shutil.rmtree(folder / "read")
    measures = [
        _measure(critic, level, found)
        for critic, levels in within_levels(scored, parts["test"], _GOOD, level_of).items()
        for level, found in levels.items()
    ]
    write_json(folder / _MEASURES, {"measures": [asdict(measure) for measure in measures]})


def _measure(critic: str, level: str, found: Scored) -> Measure:
    measured = quality(found.scores, found.outcomes)
    bins = tuple(
        (part.num_scores, part.mean_score, part.mean_outcome)
        for part in reliability_bins(found.scores, [float(outcome) for outcome in found.outcomes])
        if part.num_scores
    )
    return Measure(critic, level, measured.auc, measured.ece, measured.num_scores, bins)


def measures_in(folder: Path) -> list[Measure]:
    """Returns what `fit` measured."""
    read = json.loads((folder / _MEASURES).read_text())["measures"]
    return [replace(Measure(**fields), bins=tuple(tuple(part) for part in fields.get("bins", ()))) for fields in read]
