"""Hostile programs and hostile answers, and what is watched outside while they run."""

from experiments.bench.attacks import algebra, files, interpreter, machine, network, processes, resources
from experiments.bench.attacks.attack import Attack
from experiments.bench.attacks.syscalls import raw_calls

PROGRAMS: tuple[Attack, ...] = (
    *files.ATTACKS,
    *network.ATTACKS,
    *processes.ATTACKS,
    *machine.ATTACKS,
    *resources.ATTACKS,
    *interpreter.ATTACKS,
    *algebra.ATTACKS,
    *raw_calls(),
)

__all__ = ["PROGRAMS", "Attack"]
