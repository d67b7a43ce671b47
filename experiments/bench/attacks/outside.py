"""What is outside the sandbox while an attack runs, and how it is seen that one got there."""

from __future__ import annotations

import contextlib
import os
import resource
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import sympy

from alphallm_env.sandbox import ProgramResult, Sandbox
from experiments.bench.attacks.attack import REACHED

SECRET_VARIABLE = "ALPHALLM_BENCH_SECRET"
_LEAVING_SECONDS = 5.0


class Outside:
    """Canaries: files, listeners, a process and a variable that nothing in a sandbox may read, change or reach.

    Everything is open to every user of the machine: only the sandbox stands before it. Make it before the sandbox,
    whose processes would otherwise not have had a chance to inherit anything. Use as a context manager.
    """

    def __init__(self) -> None:
        self._closing = contextlib.ExitStack()
        self.secret = f"CANARY{secrets.token_hex(16)}"
        self.folder = Path(self._closing.enter_context(tempfile.TemporaryDirectory(prefix="outside")))
        self._open = self.folder / "open"
        self._make_files()
        os.environ[SECRET_VARIABLE] = self.secret
        self._closing.callback(os.environ.pop, SECRET_VARIABLE, None)
        self._shared = Path("/dev/shm") / f"outside{secrets.token_hex(4)}"
        self._shared.write_text(self.secret)
        self._closing.callback(self._shared.unlink, missing_ok=True)
        self._fifo = os.open(self._open / "fifo", os.O_RDONLY | os.O_NONBLOCK)
        self._closing.callback(os.close, self._fifo)
        self._abstract = f"outside{secrets.token_hex(4)}"
        self._streams = [
            self._listening(socket.AF_INET, ("127.0.0.1", 0)),
            self._listening(socket.AF_UNIX, str(self._open / "unix")),
            self._listening(socket.AF_UNIX, "\0" + self._abstract),
        ]
        self._datagrams = self._closing.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self._datagrams.bind(("127.0.0.1", 0))
        self._datagrams.setblocking(False)
        self._stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(86400)"])
        self._closing.callback(self._stranger.wait)
        self._closing.callback(self._stranger.kill)

    def __enter__(self) -> Outside:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def _make_files(self) -> None:
        self._open.mkdir()
        (self._open / "canary.txt").write_text(self.secret)
        (self._open / "target").write_text("untouched")
        (self._open / "evil.py").write_text(f"print({REACHED!r})")
        os.mkfifo(self._open / "fifo")
        for path in (self.folder, self._open, *self._open.iterdir()):
            path.chmod(0o777)

    def _listening(self, family: int, address: tuple[str, int] | str) -> socket.socket:
        listener = self._closing.enter_context(socket.socket(family))
        listener.bind(address)
        listener.listen()
        listener.setblocking(False)
        if isinstance(address, str) and address.startswith("/"):
            os.chmod(address, 0o777)
        return listener

    @property
    def target(self) -> str:
        """The path of the file that everybody may write and nobody must."""
        return str(self._open / "target")

    def places(self, sandbox: Sandbox) -> dict[str, str]:
        """Returns what the names in an attack's braces stand for."""
        [zygote] = sandbox.process_ids()
        return {
            "canary": str(self._open / "canary.txt"),
            "target": str(self._open / "target"),
            "folder": str(self._open),
            "fifo": str(self._open / "fifo"),
            "unix": str(self._open / "unix"),
            "abstract": self._abstract,
            "shm": self._shared.name,
            "port": str(self._streams[0].getsockname()[1]),
            "udp_port": str(self._datagrams.getsockname()[1]),
            "library": str(os.getpid()),
            "zygote": str(zygote),
            "stranger": str(self._stranger.pid),
            "secret_start": self.secret[:20],
        }

    def state(self) -> dict[str, str]:
        """Returns what an attack must leave as it is. Two states that are equal are equally well."""
        found = {f"file {path.name}": _file(path) for path in sorted(self._open.iterdir())}
        libraries = (Path(os.__file__), Path(sympy.__file__), Path(sympy.__file__).parent)
        return found | {
            "canary's text": (self._open / "canary.txt").read_text(),
            "target's text": (self._open / "target").read_text(),
            "shared memory": self._shared.read_text(),
            "libraries": str([_file(path) for path in libraries]),
            "host name": socket.gethostname(),
            "mounts": Path("/proc/self/mountinfo").read_text(),
            "limits": str([resource.getrlimit(kind) for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_AS)]),
            "scheduling": str((os.getpriority(os.PRIO_PROCESS, 0), os.sched_getaffinity(0), os.sched_getscheduler(0))),
            "stranger": str(self._stranger.poll()),
        }

    def escapes(self, result: ProgramResult, before: dict[str, str], sandbox: Sandbox) -> list[str]:
        """Returns in what ways a program got out, none where it did not. `before` is the state before it ran."""
        output = result.stdout + result.stderr
        found = [f"changed: {name}" for name, text in self.state().items() if before.get(name) != text]
        found += [f"read {len(self.secret)} secret characters"] if self.secret in output else []
        found += ["did what it must not"] if REACHED in output else []
        found += ["connected"] if any(_has_connection(listener) for listener in self._streams) else []
        found += ["sent a datagram"] if _has_datagram(self._datagrams) else []
        found += ["wrote to a pipe"] if _has_bytes(self._fifo) else []
        found += [f"left process {left}" for pid in sandbox.process_ids() for left in _left_under(pid)]
        return found


def _file(path: Path) -> str:
    status = path.lstat()
    return str((status.st_mode, status.st_uid, status.st_gid, status.st_size, status.st_mtime_ns, status.st_nlink))


def _has_connection(listener: socket.socket) -> bool:
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def _has_datagram(receiver: socket.socket) -> bool:
    try:
        receiver.recv(1)
    except BlockingIOError:
        return False
    return True


def _has_bytes(descriptor: int) -> bool:
    try:
        return bool(os.read(descriptor, 1))
    except BlockingIOError:
        return False


def _left_under(zygote: int) -> list[int]:
    """Returns the processes under a zygote that do not end by themselves: its warden does, once it has replied."""
    deadline = time.monotonic() + _LEAVING_SECONDS
    while (found := processes_under(zygote)) and time.monotonic() < deadline:
        time.sleep(0.005)
    return found


def processes_under(session: int) -> list[int]:
    """Returns the processes of a zygote's session but itself, those that have ended and are not waited for left out."""
    found: list[int] = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != session:
            with contextlib.suppress(OSError):
                state, _, _, of_session = (folder / "stat").read_text().rpartition(") ")[2].split()[:4]
                if int(of_session) == session and state != "Z":
                    found.append(int(folder.name))
    return found
