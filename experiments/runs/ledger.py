"""What searches cost: tokens generated, prefilled and cached; seconds of the models and of waiting.

A run keeps the sums of each row of its table in `ledger.json`, apart from `results.json`, since seconds differ from
one machine to the next.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import cast

from alphallm_env.runtime.files import Json, write_whole
from alphallm_env.runtime.metering import Usage
from experiments.runs.search_records import SearchRecord

LedgerKey = tuple[str, str, str]  # stage, split, planner


def total(records: Sequence[SearchRecord]) -> Usage:
    """Returns the usage of all searches together."""
    return sum((record.usage for record in records), Usage())


def write_ledger(folder: Path, searches: Mapping[LedgerKey, Sequence[SearchRecord]]) -> None:
    """Writes the usage of each row's searches to `ledger.json` in a run's folder."""
    rows: list[Json] = [
        {"stage": stage, "split": split, "planner": planner, "searches": len(records)}
        | cast("dict[str, Json]", asdict(total(records)))
        for (stage, split, planner), records in searches.items()
    ]
    write_whole(folder / "ledger.json", json.dumps({"rows": rows}, indent=2) + "\n")


def figures(usage: Usage) -> dict[str, float]:
    """Returns the usage as numbers named `role/count`, with the tokens of rejected options and the seconds."""
    roles = {"policy": usage.policy, "rollout": usage.rollout, "critic": usage.critic}
    named = {f"{role}/{what}": float(value) for role, work in roles.items() for what, value in asdict(work).items()}
    return named | {"rejected_tokens": float(usage.rejected_tokens), "seconds": usage.seconds}
