"""The attack on the sandbox: one program of each idea that is quickly over.

The whole is `python -m experiments.bench.security`.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from alphallm_env.sandbox import Limits, Sandbox, Status
from experiments.bench.attacks import PROGRAMS, Attack
from experiments.bench.attacks.outside import Outside
from experiments.bench.attacks.syscalls import raw_calls
from experiments.bench.security import NEXT

if sys.platform != "linux":
    pytest.skip("programs are run on Linux only", allow_module_level=True)

PLENTY = Limits(seconds=60.0, cpu_seconds=20.0)


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    with Outside() as made:
        yield made


@pytest.fixture(scope="module")
def sandbox(outside: Outside) -> Iterator[Sandbox]:
    with Sandbox(PLENTY) as made:
        made.layers()
        yield made


CORE = (
    "open", "symlink", "/proc/self/root", "every open descriptor as a folder", "own environment",
    "the library's memory", "/dev/shm", "overwrite", "rename over", "sympy itself", "many files",
    "a sparse file", "tcp", "udp", "abstract unix socket", "netlink", "descriptors as sockets", "fork",
    "subprocess", "exec a file in memory", "threading", "kill the library", "kill the zygote", "kill everyone",
    "trace the zygote", "limits of the library", "raise the memory's limit", "become root", "user namespace",
    "mount memory", "executable memory", "survive the warden", "forge a reply on every one", "read every one",
    "subclasses: os._wrap_close", "frames above", "its own filter", "the environment, in memory", "pickle",
    "read at 0", "write everywhere", "print", "small numbers", "an alarm", "sympify, shell", "sympify, file",
    "lambdify, a text", "system call without its place", "malloc", "deep source", "a large exception",
    "no text",
)  # fmt: skip


def attacks(names: tuple[str, ...]) -> list[Attack]:
    found = {attack.name: attack for attack in PROGRAMS if not attack.kind.startswith("raw")}
    return [found[name] for name in names]


@pytest.fixture(scope="module")
def usual(sandbox: Sandbox) -> str:
    """What the next program prints when there was none before."""
    result = sandbox.run(NEXT)
    assert result.status is Status.OK, result
    return result.stdout


def check(sandbox: Sandbox, outside: Outside, attack: Attack, usual: str) -> None:
    """Runs an attack and the next program, and holds that neither shows a trace outside."""
    before = outside.state()
    result = sandbox.run(attack.program(outside.places(sandbox)))
    assert outside.escapes(result, before, sandbox) == [], result
    assert sandbox.run(NEXT).stdout == usual
    assert sandbox.num_lost == 0


@pytest.mark.parametrize("attack", attacks(CORE), ids=lambda attack: attack.name)
def test_an_attack_is_contained(sandbox: Sandbox, outside: Outside, usual: str, attack: Attack) -> None:
    check(sandbox, outside, attack, usual)


@pytest.mark.skipif(not raw_calls(), reason="the numbers of system calls are those of x86_64")
def test_every_dangerous_system_call_is_refused(sandbox: Sandbox) -> None:
    calls = [
        f"try:\n{textwrap.indent(attack.code.strip(), '    ')}\n    print({attack.name!r})\n"
        "except PermissionError: refused += 1"
        for attack in raw_calls()
    ]
    result = sandbox.run("\n".join(["refused = 0", *calls, "print(refused)"]))
    assert (result.status, result.stdout, result.stderr) == (Status.OK, f"{len(calls)}\n", "")
    assert len(calls) > 150


def test_the_attacks_would_be_seen_without_a_sandbox(outside: Outside, sandbox: Sandbox) -> None:
    """The same programs, run as they are: what must not appear does, so its absence means something."""
    seen: dict[str, list[str]] = {}
    for attack in attacks(
        ("open", "overwrite", "tcp", "abstract unix socket", "fork", "sympify, file", "/dev/shm", "own environment")
    ):
        before = outside.state()
        ran = subprocess.run(
            [sys.executable, "-c", attack.program(outside.places(sandbox))], capture_output=True, text=True, check=False
        )
        result = replace(sandbox.run("pass"), stdout=ran.stdout, stderr=ran.stderr)
        seen[attack.name] = outside.escapes(result, before, sandbox)
        Path(outside.target).write_text("untouched")
    assert all(seen.values()), seen


@pytest.mark.parametrize("without", ["namespaces", "landlock"])
def test_either_layer_that_hides_files_suffices(outside: Outside, usual: str, without: str) -> None:
    with Sandbox(PLENTY, without=[without]) as weaker:
        layers = weaker.layers()
        if {"namespaces", "landlock"} - {without} - set(layers.holding):
            pytest.skip(f"not both layers are here: {layers.missing}")
        assert layers.missing[without] == "left out on request"
        for attack in attacks(
            (
                "open",
                "/proc/self/root",
                "the library's memory",
                "overwrite",
                "tcp",
                "fork",
                "kill the library",
                "sympify, file",
            )
        ):
            check(weaker, outside, attack, usual)
