"""The sandbox: what programs may do, what stops them, and that it outlives them.

The attack on it is in `tests/experiments/bench/test_attacks.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from alphallm_env import SandboxError
from alphallm_env.sandbox import Limits, Sandbox, Status, worker

if sys.platform != "linux":
    pytest.skip("programs are run on Linux only", allow_module_level=True)

PLENTY = Limits(seconds=60.0, cpu_seconds=20.0)
SECRET_VARIABLE = "ALPHALLM_TEST_SECRET"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with pytest.MonkeyPatch.context() as patched, Sandbox(PLENTY) as made:
        patched.setenv(SECRET_VARIABLE, "secret")
        made.layers()
        yield made


def processes_under(session: int) -> list[int]:
    """Returns the processes of a session but its leader and those that are zombies."""
    found: list[int] = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != session:
            with contextlib.suppress(OSError):
                state, _, _, of_session = (folder / "stat").read_text().rpartition(") ")[2].split()[:4]
                if int(of_session) == session and state != "Z":
                    found.append(int(folder.name))
    return found


def test_a_program_prints_what_it_computes(sandbox: Sandbox) -> None:
    result = sandbox.run("from sympy import *\nx = symbols('x')\nprint(solve(x**2 - 5*x + 6, x))")
    assert (result.status, result.stdout, result.stderr) == (Status.OK, "[2, 3]\n", "")
    assert 0.0 < result.cpu_seconds <= result.seconds + 1.0


def test_an_error_comes_with_its_traceback(sandbox: Sandbox) -> None:
    result = sandbox.run("print(1, flush=True)\ndef f():\n    return 1 / 0\nf()")
    assert result.status is Status.ERROR
    assert result.stdout == "1\n"
    assert "return 1 / 0" in result.stderr
    assert result.stderr.splitlines()[-1] == "ZeroDivisionError: division by zero"
    assert "jail" not in result.stderr


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("import sys; sys.exit()", Status.OK),
        ("import sys; sys.exit(2)", Status.ERROR),
        ("import os; os.abort()", Status.ERROR),
        ("x = bytes(10**12)", Status.OUT_OF_MEMORY),
        ("while True: print('x' * 99)", Status.TOO_MUCH_OUTPUT),
        ("1 +", Status.ERROR),
        ("x = '\0'\ud800", Status.ERROR),
    ],
)
def test_every_end_has_its_status(sandbox: Sandbox, code: str, status: Status) -> None:
    assert sandbox.run(code).status is status


@pytest.mark.parametrize(
    "code",
    [
        "while True: pass",
        "import time; time.sleep(99)",
        "x = 10**10**8",
        "import re; re.match('(a+)+$', 'a' * 60 + 'b')",
    ],
)
def test_a_program_that_does_not_end_is_ended(sandbox: Sandbox, code: str) -> None:
    result = sandbox.run(code, Limits(seconds=0.5, cpu_seconds=1.0))
    assert result.status is Status.TIMEOUT
    assert result.seconds >= 0.5


def test_processor_time_is_limited_too(sandbox: Sandbox) -> None:
    result = sandbox.run("while True: pass", Limits(seconds=60.0, cpu_seconds=0.5))  # whole seconds: rounded up
    assert result.status is Status.TIMEOUT
    assert 0.5 <= result.cpu_seconds < 3.0


def test_output_is_cut_at_the_limit(sandbox: Sandbox) -> None:
    result = sandbox.run("print('x' * 100_000)", replace(PLENTY, output_bytes=1_000))
    assert result.stdout == "x" * 1_000


def test_it_has_a_folder_of_its_own_and_nothing_of_it_is_left(sandbox: Sandbox) -> None:
    if "namespaces" not in sandbox.layers().holding:
        pytest.skip("without namespaces a program has no folder")
    code = "import os\nprint(os.listdir('.'))\nopen('a', 'w').write('b')\nprint(open('a').read())"
    assert [sandbox.run(code).stdout for _ in range(2)] == ["[]\nb\n", "[]\nb\n"]


def test_only_what_is_promised_can_be_imported(sandbox: Sandbox) -> None:
    assert sandbox.run("import sympy.physics.quantum, mpmath, colorsys; print(1)").stdout == "1\n"
    for module in ("numpy", "pip", "alphallm_env"):
        assert sandbox.run(f"import {module}").stderr.splitlines()[-1].startswith("ModuleNotFoundError")


def test_no_variable_of_this_process_is_handed_on(sandbox: Sandbox) -> None:
    assert SECRET_VARIABLE in os.environ
    assert sandbox.run("import os; print(sorted(os.environ))").stdout == (
        "['LANG', 'PYTHONDONTWRITEBYTECODE', 'PYTHONHASHSEED', 'PYTHONUTF8']\n"
    )


def test_every_program_draws_the_same_random_numbers_and_hashes(sandbox: Sandbox) -> None:
    code = "import random; random.random(); print(random.random(), hash('a'), {'a', 'b', 'c'})"
    assert len({sandbox.run(code).stdout for _ in range(2)}) == 1


def test_an_input_that_is_read_is_empty(sandbox: Sandbox) -> None:
    assert sandbox.run("import sys; print(repr(sys.stdin.read()))").stdout == "''\n"


def test_limits_must_be_positive() -> None:
    with pytest.raises(ValueError, match="seconds must be positive and finite, got 0"):
        Limits(seconds=0)
    with pytest.raises(ValueError, match="num_workers must be >= 1, got 0"):
        Sandbox(num_workers=0)
    with pytest.raises(ValueError, match="got \\['walls'\\]"):
        Sandbox(without=["walls"])


def test_a_program_of_many_megabytes_is_refused_before_it_is_sent(sandbox: Sandbox) -> None:
    with pytest.raises(ValueError, match="at most 33554432 bytes"):
        sandbox.run("#" * (33 << 20))
    assert sandbox.run("print(1)").stdout == "1\n"


def test_workers_serve_threads_and_coroutines_at_once(sandbox: Sandbox) -> None:
    with ThreadPoolExecutor(4) as threads:
        printed = list(threads.map(lambda n: sandbox.run(f"print({n})").stdout, range(8)))
    assert printed == [f"{n}\n" for n in range(8)]

    async def both() -> list[str]:
        return [r.stdout for r in await asyncio.gather(*(sandbox.run_async(f"print({n})") for n in range(2)))]

    assert asyncio.run(both()) == ["0\n", "1\n"]


def test_a_worker_that_is_killed_is_replaced() -> None:
    with Sandbox(PLENTY) as mortal:
        assert mortal.run("print(1)").stdout == "1\n"
        os.kill(mortal.process_ids()[0], signal.SIGKILL)  # while it waits
        assert mortal.run("print(2)").stdout == "2\n"
        with ThreadPoolExecutor(1) as threads:  # and while it runs a program, which is run again
            running = threads.submit(mortal.run, "import time; time.sleep(1); print(3)")
            time.sleep(0.5)
            os.kill(mortal.process_ids()[0], signal.SIGKILL)
            assert running.result().stdout == "3\n"
        assert 1 <= mortal.num_lost <= 2  # the first death may be noticed before anything was asked
    with pytest.raises(SandboxError, match="closed"):
        mortal.run("print(4)")
    mortal.close()


def test_no_process_outlives_the_sandbox() -> None:
    made = Sandbox(Limits(seconds=60.0, cpu_seconds=60.0))
    made.layers()
    [zygote] = made.process_ids()
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(made.run, "while True: pass")
        deadline = time.monotonic() + 30
        while len(processes_under(zygote)) < 2 and time.monotonic() < deadline:  # the warden and the program
            time.sleep(0.02)
        assert len(processes_under(zygote)) == 2
        made.close()
        with pytest.raises(SandboxError, match="closed"):
            running.result()
    while processes_under(zygote) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not processes_under(zygote)


@pytest.mark.parametrize("without", [["seccomp"], ["namespaces", "landlock"]])
def test_nothing_is_run_without_enough_layers(without: list[str]) -> None:
    with Sandbox(without=without) as helpless, pytest.raises(SandboxError, match=f"for want of {without[0]}"):
        helpless.run("print(1)")


# As a container's default filter has it: no namespaces; with a second number, no Landlock either.
KERNEL_THAT_REFUSES = """
import sys
from alphallm_env.errors import SandboxError
from alphallm_env.sandbox import Sandbox
from alphallm_env.sandbox.jail import seccomp, system
refused = {refused}
rules = [step for number in refused for step in ((0x15, 0, 1, number), (6, 0, 0, 0x00050001))]
system.prctl("no_new_privs", system.PR_SET_NO_NEW_PRIVS, 1)
seccomp.install([(0x20, 0, 0, 0), *rules, (6, 0, 0, 0x7FFF0000)])
with Sandbox() as sandbox:
    try:
        print(sandbox.layers().holding, sandbox.run("print(6 * 7)").stdout)
    except SandboxError as error:
        print("refused:", error)
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers of system calls are those of x86_64")
@pytest.mark.parametrize(
    ("refused", "printed"),
    [
        ([272, 165], "('landlock', 'seccomp', 'privileges', 'limits') 42"),
        ([272, 165, 444], "refused: no program is run here, for want of namespaces (unshare: Operation not permitted"),
        ([317], "refused: no program is run here, for want of seccomp (seccomp: Operation not permitted"),
    ],
)
def test_what_the_kernel_refuses_is_found_out(sandbox: Sandbox, root: Path, refused: list[int], printed: str) -> None:
    if sandbox.layers().missing:
        pytest.skip(f"this machine refuses some of it already: {sandbox.layers().missing}")
    program = KERNEL_THAT_REFUSES.replace("{refused}", str(refused))
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=root, check=True)
    assert ran.stdout.replace("[Errno 1] ", "").startswith(printed)


def test_the_librarys_side_can_be_imported_anywhere(root: Path) -> None:
    jail = "[name for name in sys.modules if name.endswith(('lockdown', 'seccomp', 'warden'))]"
    program = f"import sys, alphallm_env.sandbox; print({jail})"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=root, check=True)
    assert ran.stdout == "[]\n"


def test_other_systems_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(SandboxError, match=r"on Linux only.*darwin"):
        Sandbox()


LACKS = {
    "a limit of memory": """
import resource
set_any = resource.setrlimit
def set_some(kind, amounts):
    if kind == resource.RLIMIT_AS: raise ValueError('current limit exceeds maximum limit')
    set_any(kind, amounts)
resource.setrlimit = set_some
""",
    "prctl": """
import jail.system
def refuse(what, option, argument): raise jail.system.LockdownError(38, f'{what}: Function not implemented')
jail.system.prctl = refuse
""",
    "seccomp": """
import jail.system
call_any = jail.system.syscall
def call_some(name, *arguments):
    if name == 'seccomp': raise jail.system.LockdownError(38, 'seccomp: Function not implemented')
    return call_any(name, *arguments)
jail.system.syscall = call_some
""",
    "files of /proc": """
import builtins
open_any = builtins.open
def open_some(file, *arguments, **keywords):
    if str(file).startswith('/proc/'): raise FileNotFoundError(2, 'No such file or directory', str(file))
    return open_any(file, *arguments, **keywords)
builtins.open = open_some
""",
    "handles of processes": "import os; del os.pidfd_open",
}


@pytest.mark.parametrize("lacks", LACKS)
def test_where_a_protection_is_missing_no_program_runs(lacks: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    head, sign, tail = worker._START.partition("from jail.zygote")
    monkeypatch.setattr(worker, "_START", f"{head}\n{LACKS[lacks]}\n{sign}{tail}")
    mark = tmp_path / "mark"
    with Sandbox() as sandbox, pytest.raises(SandboxError, match=r"for want of|was not run|did not start"):
        sandbox.run(f"open({str(mark)!r}, 'w')")
    assert not mark.exists()
