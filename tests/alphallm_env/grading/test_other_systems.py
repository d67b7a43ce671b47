"""Systems that lack what Linux has: limits that are refused, calls that are missing. Real workers, real signals."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from alphallm_env.grading import workers
from alphallm_env.grading.grader import Grader
from alphallm_env.grading.verdict import Verdict
from alphallm_env.grading.workers import PROGRAM, Worker, WorkerLostError

LACKS = {
    "nothing": "",
    "waitid": "del os.waitid",
    "limits of memory": """
set_any = resource.setrlimit
def set_some(kind, amounts):
    if kind == resource.RLIMIT_AS:
        raise ValueError("current limit exceeds maximum limit")
    set_any(kind, amounts)
resource.setrlimit = set_some
""",
    "all limits": """
def refuse(kind, amounts):
    raise OSError(22, "Invalid argument")
resource.setrlimit = refuse
""",
    "a name of a limit": "del resource.RLIMIT_AS",
    "what Linux alone has": """
for name in ("waitid", "P_PID", "WNOWAIT", "pidfd_open", "sched_getaffinity", "posix_fadvise"):
    if hasattr(os, name):
        delattr(os, name)
""",
}
HEAVY = ("x^2", "(x+1)^{" + "9" * 6 + "}")  # the child may reply to it, be killed over it, or not have read it yet


def program(folder: Path, lacks: str) -> Path:
    path = folder / "worker.py"
    path.write_text(
        f"import os, resource, runpy\n{LACKS[lacks]}\nrunpy.run_path({str(PROGRAM)!r}, run_name='__main__')\n"
    )
    return path


@pytest.mark.parametrize("lacks", LACKS)
def test_the_grader_grades_and_replaces_workers(lacks: str, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    workers._say_once.cache_clear()
    with Grader(program=program(tmp_path, lacks)) as grader, caplog.at_level(logging.WARNING):
        assert grader.grade(r"\frac{y}{2}", r"\frac{3y}{6}") is Verdict.CORRECT
        assert grader.grade("(x+1)^2", "x^2+2x+2") is Verdict.INCORRECT
    refused = {
        "limits of memory": "RLIMIT_AS",
        "a name of a limit": "RLIMIT_AS",
        "all limits": "RLIMIT_AS, RLIMIT_CORE",
    }
    if lacks in refused:
        assert f"grading workers run without {refused[lacks]}" in caplog.text
    else:
        assert "without" not in caplog.text


@pytest.mark.parametrize("lacks", ["nothing", "what Linux alone has", "all limits"])
def test_a_request_that_takes_too_long_is_dropped_and_the_next_one_served(lacks: str, tmp_path: Path):
    worker = Worker(program(tmp_path, lacks))
    try:
        assert worker.ask([("y", "y")], 30.0) == [True]
        process = worker._process
        for _ in range(10):
            with pytest.raises(WorkerLostError):
                worker.ask([HEAVY] * 50, 0.0)
            assert worker.ask([("2y", "y+y")], 30.0) == [True]
        assert worker._process is process  # its child was replaced, not the whole
    finally:
        worker.kill()
