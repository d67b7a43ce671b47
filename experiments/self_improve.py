"""The whole loop: imagine → search → criticise → fine-tune, with an evaluation before and after. PAPER §4.

    python -m experiments.self_improve --out runs/demo                     # Countdown: what `make demo` runs
    python -m experiments.self_improve --preset long --out runs/long       # the same for a night
    python -m experiments.self_improve --preset tiny --out runs/tiny       # word problems with learned critics
    python -m experiments.self_improve --preset gsm8k --policy FOLDER --train-problems TRAIN.jsonl \\
        --test-problems TEST.jsonl --out runs/gsm8k

Killed at any moment and started again by the same command, it resumes and ends with the same results.
`self_improve_flat.py` is the same loop to read: flat, in one file.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from experiments.loop.config import PRESETS, SelfImproveConfig, smoke
from experiments.loop.plan import expected_costs
from experiments.report.headline import gains_in_words
from experiments.runs.results import ResultRow, results_table, rounds_table
from experiments.runs.screen import Screen, quiet_libraries, results_console
from experiments.runs.settings import preset_of, settings_of, with_file, with_flat_flags


@with_flat_flags
@dataclass(frozen=True)
class CommandLine:
    """Runs the self-improvement loop: imagine, search, criticise, fine-tune; evaluates before and after."""

    preset: Literal["countdown", "long", "tiny", "gsm8k"] = "countdown"
    """the defaults of all other flags"""
    smoke: bool = False
    """cut down to a few problems and tokens, to see whether it runs"""
    out: Path = Path("runs/self_improve")
    """the run's folder, from which the same command resumes"""
    config: Annotated[SelfImproveConfig, tyro.conf.arg(name="")] = PRESETS["countdown"]


def parse(arguments: Sequence[str]) -> tuple[SelfImproveConfig, Path]:
    """Returns the settings and the folder. `--preset` and `--smoke` choose the defaults of all other flags."""
    arguments = with_file(arguments, CommandLine())
    preset = PRESETS[preset_of(arguments, PRESETS)]
    default = CommandLine(config=smoke(preset) if "--smoke" in arguments else preset)
    parsed = settings_of(CommandLine, arguments, default)
    if not parsed.config.models.policy:
        raise SystemExit(f"--preset {parsed.preset} needs --policy, the folder or hub name of a causal LM")
    return parsed.config, parsed.out


def main(arguments: Sequence[str]) -> list[ResultRow]:
    """Runs the loop and prints the table."""
    config, out = parse(arguments)
    screen = Screen(expected_costs(config))
    screen.say(
        f"self-improvement of {config.models.policy}: {config.rounds} rounds of {config.imagination.imagined} imagined "
        f"problems, into {out}"
    )
    # Here, as they load torch: what runs is said first.
    import torch

    from experiments.loop.improvement import SelfImprovement

    torch.set_num_threads(config.threads)
    quiet_libraries()
    with SelfImprovement(config, out, screen) as run:
        rows = run.run()
    console = results_console()
    table = rounds_table if config.is_countdown else results_table
    console.print(table(rows, f"self-improvement of {config.models.policy}"))
    for line in gains_in_words(out, config.rounds):
        console.print(line)
    screen.say(f"Report: {out / 'report.html'}   tensorboard --logdir {out / 'tensorboard'}")
    return rows


if __name__ == "__main__":
    main(sys.argv[1:])
