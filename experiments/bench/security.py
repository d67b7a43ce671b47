"""Attacks the sandbox with hostile programs and the grader with hostile answers; each must be contained, in time.

    python -m experiments.bench.security --json FILE
    python -m experiments.bench.security --without namespaces      # the layers that are left, as in most containers

An escape is seen from outside: a canary's text in the output, a file changed, a connection, a process that is left,
a signal that came, the next program seeing another world; of an answer, that a wrong one passes or text is executed.
A hang is a call that outlives its limit. A worker is lost where the next request is not served.
"""

from __future__ import annotations

import json
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import tyro
from rich.console import Console
from rich.table import Table

from alphallm_env.grading import Grader, Verdict, extract_answer
from alphallm_env.runtime.files import write_whole
from alphallm_env.sandbox import Limits, ProgramResult, Sandbox, Status
from experiments.bench.attacks import PROGRAMS, Attack
from experiments.bench.attacks.answers import ANSWERS, HostileAnswer
from experiments.bench.attacks.outside import Outside

SLACK_SECONDS = 15.0  # beyond a limit: what forking, killing and waiting take on a machine that is busy
PLENTY = Limits(seconds=60.0, cpu_seconds=20.0)  # so that what stops an attack is never the clock
LITTLE = Limits(seconds=2.0, cpu_seconds=1.0)  # for attacks that only spin
GRADING_SECONDS = 2.0
_WIDTH = 120  # of the tables where there is no terminal
NEXT = """
import builtins, decimal, gc, math, os, random, signal, sys, threading, sympy
print(sympy.factorint(360), sympy.sqrt(8), sympy.S(1) + 2, 7 + 1, math.pi, os.path.exists('left'))
print(random.random(), len(sys.path), sys.getrecursionlimit(), decimal.getcontext().prec, sorted(os.environ))
print([str(signal.getsignal(n)) for n in (2, 14, 15)], gc.isenabled(), builtins.open.__name__)
print(threading.active_count(), sys.get_int_max_str_digits())
"""
BENIGN = """
from sympy import symbols, solve, integrate
x = symbols('x')
print(solve(x**2 - 5*x + 6, x), integrate(x**2, x))
"""


@dataclass(frozen=True)
class SecurityConfig:
    """What to attack: everything, or kinds whose name contains `only`; `without` leaves out layers."""

    json: Path | None = None
    only: str = ""
    without: tuple[str, ...] = ()
    programs: bool = True
    answers: bool = True
    benign: int = 51  # calls that the time of a benign program is the median of


@dataclass
class Tally:
    """What came of the attacks of one kind."""

    attacks: int = 0
    escapes: list[str] = field(default_factory=list)
    hangs: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    outcomes: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    slowest: tuple[float, str] = (0.0, "")

    def count(self, name: str, outcome: str, seconds: float, limit: float, escapes: Iterable[str]) -> None:
        """Counts one attack."""
        self.attacks += 1
        self.outcomes[outcome] += 1
        self.slowest = max(self.slowest, (seconds, name))
        self.escapes += [f"{name}: {escape}" for escape in escapes]
        if seconds > limit + SLACK_SECONDS:
            self.hangs.append(f"{name}: {seconds:.1f} s")


Tallies = dict[str, Tally]


def attack_sandbox(
    sandbox: Sandbox, outside: Outside, attacks: Iterable[Attack], tell: Callable[[str], None]
) -> Tallies:
    """Runs the programs in turn, and after each a benign one that must find nothing changed."""
    sandbox.layers()
    usual = sandbox.run(NEXT, PLENTY)
    if usual.status is not Status.OK:
        raise RuntimeError(f"expected the benign program to run, got {usual}")
    tallies: Tallies = defaultdict(Tally)
    for attack in attacks:
        limits = LITTLE if attack.spins else PLENTY
        before, lost = outside.state(), sandbox.num_lost
        started = time.perf_counter()
        result = sandbox.run(attack.program(outside.places(sandbox)), limits)
        seconds = time.perf_counter() - started
        escapes = outside.escapes(result, before, sandbox)
        after = sandbox.run(NEXT, PLENTY)
        tally = tallies[attack.kind]
        if after.status is not Status.OK or sandbox.num_lost > lost:
            tally.lost.append(f"{attack.name}: {after}")
        elif after.stdout != usual.stdout:
            escapes.append(f"the next program saw {after.stdout!r}")
        tally.count(attack.name, outcome_of(result), seconds, limits.seconds, escapes)
        tell(f"{attack.kind}: {attack.name}: {outcome_of(result)} {seconds:.2f} s {'; '.join(escapes)}")
    return tallies


def outcome_of(result: ProgramResult) -> str:
    """Returns what stopped a program: the exception's name where there is one, else its status."""
    if result.status is not Status.ERROR:
        return result.status.value
    last = result.stderr.strip().rpartition("\n")[2].partition(":")[0].strip()
    return last.rpartition(".")[2] if last and len(last) < 60 and " " not in last else "crash"


def attack_grader(
    grader: Grader, answers: Iterable[HostileAnswer], outside: Outside, tell: Callable[[str], None]
) -> Tallies:
    """Grades the answers in turn, and after each a benign one that must be graded right."""
    grader.grade("1/2", "0.5")
    tallies: Tallies = defaultdict(Tally)
    for hostile in answers:
        before = outside.state()
        started = time.perf_counter()
        escapes: list[str] = []
        try:
            text = hostile.text.replace("{target}", outside.target)
            verdict = grader.grade(extract_answer(text), hostile.gold, timeout=GRADING_SECONDS).value
        except Exception as error:  # whatever it raises, an answer must not
            verdict = type(error).__name__
            escapes.append(f"raised {error!r:.200}")
        seconds = time.perf_counter() - started
        if verdict == Verdict.CORRECT.value and not hostile.may_pass:
            escapes.append(f"passed for {hostile.gold}")
        escapes += [f"changed: {name}" for name, text in outside.state().items() if before.get(name) != text]
        tally = tallies[hostile.kind]
        if grader.grade("2/4", "0.5") is not Verdict.CORRECT:
            tally.lost.append(hostile.name)
        tally.count(hostile.name, verdict, seconds, GRADING_SECONDS, escapes)
        tell(f"{hostile.kind}: {hostile.name}: {verdict} {seconds:.2f} s {'; '.join(escapes)}")
    return tallies


def benign_milliseconds(sandbox: Sandbox, calls: int) -> float:
    """Returns the median time of a call of a benign program, workers warm."""
    sandbox.run(BENIGN, PLENTY)
    times: list[float] = []
    for _ in range(calls):
        started = time.perf_counter()
        result = sandbox.run(BENIGN, PLENTY)
        times.append(time.perf_counter() - started)
        if result.status is not Status.OK:
            raise RuntimeError(f"expected the benign program to run, got {result}")
    return 1000 * statistics.median(times)


def results_table(title: str, tallies: Tallies) -> Table:
    """Returns the table that the terminal shows: a line a kind, and what stopped its attacks."""
    table = Table(title=title)
    for column in ("kind", "attacks", "escapes", "hangs", "lost", "slowest", "ended by"):
        table.add_column(column, justify="left" if column in ("kind", "ended by") else "right")
    for kind, tally in tallies.items():
        ended = ", ".join(
            f"{name} {count}" for name, count in sorted(tally.outcomes.items(), key=lambda item: -item[1])
        )
        numbers = (tally.attacks, len(tally.escapes), len(tally.hangs), len(tally.lost))
        table.add_row(kind, *map(str, numbers), f"{tally.slowest[0]:.2f} s", ended)
    return table


def figures_of(programs: Tallies, answers: Tallies) -> dict[str, object]:
    """Returns the totals, and the names of all that went wrong."""
    every = [*programs.values(), *answers.values()]
    return {
        "programs": sum(tally.attacks for tally in programs.values()),
        "answers": sum(tally.attacks for tally in answers.values()),
        "escapes": sum(len(tally.escapes) for tally in every),
        "hangs": sum(len(tally.hangs) for tally in every),
        "workers_lost": sum(len(tally.lost) for tally in every),
        "slowest": {kind: tally.slowest for kind, tally in (programs | answers).items()},
        "went_wrong": [what for tally in every for what in (*tally.escapes, *tally.hangs, *tally.lost)],
    }


def main(config: SecurityConfig) -> dict[str, object]:
    """Attacks, prints the tables and returns the figures."""
    console, log = Console(), Console(stderr=True)
    log.quiet = not log.is_terminal
    console = console if console.is_terminal else Console(width=_WIDTH)
    programs: Tallies = {}
    answers: Tallies = {}
    with Outside() as outside, Sandbox(without=config.without) as sandbox:
        layers = sandbox.layers()
        benign = benign_milliseconds(sandbox, config.benign)
        if config.programs:
            chosen = [attack for attack in PROGRAMS if config.only in attack.kind]
            programs = attack_sandbox(sandbox, outside, chosen, log.print)
            console.print(results_table("hostile programs", programs))
        if config.answers:
            with Grader() as grader:
                asked = [answer for answer in ANSWERS if config.only in answer.kind]
                answers = attack_grader(grader, asked, outside, log.print)
            console.print(results_table("hostile answers", answers))
    figures = figures_of(programs, answers) | {"benign_ms": round(benign, 2), "layers": list(layers.holding)}
    for name in ("programs", "answers", "escapes", "hangs", "workers_lost", "went_wrong", "benign_ms", "layers"):
        console.print(f"{name}: {figures[name]}", highlight=False, markup=False)
    if config.json:
        write_whole(config.json, json.dumps(figures, indent=2) + "\n")
    return figures


if __name__ == "__main__":
    main(tyro.cli(SecurityConfig))
