"""What the page of a run shows beside its results: the sums of each round, its losses, what the searches cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from experiments.loop.config import PRESETS, SelfImproveConfig
from experiments.loop.lessons import lessons_of, visited
from experiments.report.loop_page import PageDetails
from experiments.report.repeat import command_of
from experiments.report.rounds import Round
from experiments.runs.ledger import LedgerKey, total
from experiments.runs.search_records import SearchRecord
from experiments.runs.settings import flat

PROGRAM = "experiments.self_improve"


def page_details(
    config: SelfImproveConfig,
    imagined: Mapping[str, Mapping[str, Any]],
    searches: Mapping[LedgerKey, Sequence[SearchRecord]],
    logs: Path,
) -> PageDetails:
    """Returns what the page shows; `imagined` has the records of imagination by stage, `logs` the event files."""
    losses, planner = losses_in(logs, config.controls), config.search.training_planner
    rounds = [
        _round(config, number, imagined[stage], searches[stage, "imagined", planner], losses)
        for number in range(1, config.rounds + 1)
        for stage in [f"round{number}"]
    ]
    last = searches[f"round{config.rounds}", "imagined", planner]
    kept = [record for record in last if record.best.score >= config.search.orm_threshold]
    ledger = {key: total(records) for key, records in searches.items()}
    tokens = {stage: int(record["tokens"]) for stage, record in imagined.items()}
    return PageDetails(rounds, kept, ledger, tokens, repeating_command(config))


def repeating_command(config: SelfImproveConfig) -> str:
    """Returns the command that runs the loop with these settings."""
    return command_of(PROGRAM, flat(config), {name: flat(preset) for name, preset in PRESETS.items()})


def _round(
    config: SelfImproveConfig,
    number: int,
    imagined: Mapping[str, Any],
    records: Sequence[SearchRecord],
    losses: Mapping[str, Mapping[int, float]],
) -> Round:
    threshold = config.search.orm_threshold
    num_lessons = len(lessons_of(records, threshold, number, config.search.solutions))
    if config.fine_tuning.targets == "visits":
        num_lessons += len(visited(records, threshold, number, config.seed))
    return Round(
        imagined=imagined,
        num_searches=len(records),
        num_solved=sum(record.best.score >= threshold for record in records),
        num_simulations=sum(record.usage.simulations for record in records),
        num_lessons=num_lessons,
        loss=losses[""].get(number),
        control_losses={name: found[number] for name, found in losses.items() if name and number in found},
    )


def losses_in(logs: Path, controls: Sequence[str]) -> dict[str, dict[int, float]]:
    """Returns the mean loss of each round's fine-tuning, by control, the loop's own under an empty name.

    They are read from the event files; a round that was stopped before its loss was on disk is left out.
    """
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(logs))
    events.Reload()
    tags = {name: f"{name}-distil/loss" if name else "distil/loss" for name in ("", *controls)}
    known = cast("list[str]", events.Tags()["scalars"])
    return {
        name: {found.step: found.value for found in events.Scalars(tag)} if tag in known else {}
        for name, tag in tags.items()
    }
