"""Prints how long a new user waits: the seconds from `git clone` to the first line of the loop of `make demo`.

The committed project is cloned into an empty folder and runs with a bare environment and no cache of packages. The
run is stopped at that line. What libraries write to the standard error does not count.
"""

import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

LOOP = "-m experiments.self_improve"  # in the command that make shows before it runs it
KEPT = ("PIP_", "SSL_", "REQUESTS_")  # a machine's own settings of package clients


def bare_environment(home: Path) -> dict[str, str]:
    """Returns the environment of a user who has set nothing."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(KEPT)}
    return kept | {"HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TERM": "dumb"}


def loop_begins(lines: Iterable[str]) -> bool:
    """Prints lines up to the first of the loop, and returns whether there was one."""
    begun = False
    for line in lines:
        print(line, end="", flush=True)
        if begun and line.strip():
            return True
        begun = begun or LOOP in line
    return False


def main() -> None:
    """Clones, runs, stops the run, prints the seconds; exits with 1 where the loop printed nothing."""
    project = Path(__file__).resolve().parent.parent
    with tempfile.TemporaryDirectory() as work:
        clone, home = Path(work, "clone"), Path(work, "home")
        home.mkdir()
        start = time.perf_counter()
        subprocess.run(["git", "clone", "--quiet", str(project), str(clone)], check=True)
        command = ["make", "--no-print-directory", "-C", str(clone), "demo"]
        demo = subprocess.Popen(
            command, env=bare_environment(home), stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert demo.stdout is not None
        try:
            begun = loop_begins(demo.stdout)
            seconds = time.perf_counter() - start
        finally:
            os.killpg(demo.pid, signal.SIGTERM)
            demo.wait()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    if not begun:
        sys.exit("make demo ended before the loop printed a line")
    print(f"clone to first line of the loop: {seconds:.0f} s (processors: {used.ru_utime + used.ru_stime:.0f} s)")


if __name__ == "__main__":
    main()
