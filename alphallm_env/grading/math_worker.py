"""The program of a grading process: reads requests as JSON lines, and replies to each with which pairs are equal.

Run by its path, outside the package, so that it loads computer algebra and nothing else. The first process loads and
warms up the algebra, then keeps one child that serves requests. The child is expendable: when it is killed or exits, a
fork of the warm parent replaces it within milliseconds. Only the child parses model text.
"""

import contextlib
import gc
import importlib.util
import itertools
import json
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TextIO

MEMORY_BYTES = 1 << 30
END_OF_INPUT = 0
UNTRUSTED = 3  # exit status of a child that ran out of memory or stack
SIGNALS = (signal.SIGUSR1, signal.SIGCHLD)

# The parser caches its decisions: after these, most mathematics is parsed in a few milliseconds.
_WARM_UP = r"""
x+1 = \frac{1}{2}+\frac{x}{6}-0.5x
2x+ 1+x^2
2\frac{1}{2}-4\times 5\cdot 3
\frac{-b+\sqrt{b^2-4ac}}{2a}
3\sqrt{2}+\sqrt[3]{x}-\sqrt{\sqrt{11}+3}
\frac{\sqrt{\sqrt{11}+\sqrt{19}}}{2\sqrt{33}+15}
\sqrt[4]{x+1}\cdot e^{2x}
e^{i\pi}+e^{-2x}
x^2y+x^{-1}-x_1+x_{12}
2(x+1)^2-3(x-1)(2x+5)
-\frac{\pi}{6}+\frac{n(n+1)(2n+1)}{6}-\frac{\sqrt{7}}{2}i
\sin^2(x)+\cos^2 2x-\tan\left(\frac{\pi}{8}\right)+\cot\frac{x}{2}
\sec^2(y)+\tan^{-1}(x)+\arctan 2
\log_2 8+\log_{10}(x+1)-\ln(x)+\ln 2
f(2) < f(1) < f(4)
y \geq 2x
\frac{x^2-1}{x^2+1} \leq |2x-3|
\binom{n}{k}+n!-2^{n+1}+3^{2n}
\sum_{k=0}^{n-1} F_k F_A
\int_0^1 x dx
x/2+(a+b)/(c+d)
10^{\frac{\sqrt{13}-5}{6}}
2^{-\frac{3+\sqrt{5}}{4}}
2^{\frac{-3+\sqrt{5}}{4}}-3^{-2}
\frac{1}{x^{3/4}}-5y^{-1/2}+x^{-1}
x^{-1}
x^{3/4}
f(x)
g(x+1)-h(2)
f(x)=x^2
(x+5)(x-2)
(1+2i)(3-i)
2\ln x+\ln(x^2)
\frac{1}{3\sqrt[3]{x}^2}+x^{2/3}
y=-\frac{1}{2}x+\frac{3}{4}
2x+4y-3=0
y=-\frac{2}{3}x-\frac{5}{7}
x^2+y^2-3x+5y-7=0
(x-3)^2+(y+4)^2=25
-3x+4y-8z+6=0
3x-y+7=0
1+x+x^2+x^3-x^4+x^5+x^{16}
x^{9} + x^{8} - x^{7} + x^{6} + x^{5} + 1
|x-2|+|3-y|
-2+\exp(3)-e^{2}
\sec^2(t)+\csc^2(x)-\cot^2(y)
\lfloor x\rfloor+\infty
\frac{d}{dx}x^2
\begin{pmatrix}1 & 2 \\ 3 & x\end{pmatrix} + \begin{pmatrix}5 & 6 \\ 7 & 8\end{pmatrix}
""".strip().splitlines()
_SIDE_BY_SIDE = ["x", "2", "(x+1)", r"\frac{x}{2}", r"\sqrt{x}", "x^2", r"\sin x", r"\ln(x)", r"\pi", "x_1", "|x|"]
# The parser makes tens of thousands of short-lived cycles: collecting them often took two fifths of its time.
GARBAGE_THRESHOLD = 100_000


def main() -> None:
    """Keeps a child that serves requests, until the input ends."""
    replies = _own_stdout()
    gc.set_threshold(GARBAGE_THRESHOLD)
    module = _load_algebra()
    _warm_up(module)
    gc.freeze()
    # Blocked and waited for. SIGCHLD needs a handler, else some systems drop it, as it is ignored by default.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    signal.signal(signal.SIGCHLD, _ignored)
    while True:
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            _serve(module, replies)
            os._exit(END_OF_INPUT)
        if not _is_replaced(_await_end(child)):
            return


def _ignored(_signal: int, _frame: object) -> None:
    """Does nothing."""


def _await_end(child: int) -> int:
    """Returns the exit status of the child, which SIGUSR1 kills. Its id is reused only once this has seen its end."""
    while True:
        if signal.sigwait(SIGNALS) == signal.SIGUSR1:
            os.kill(child, signal.SIGKILL)
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status


def _warm_up(module: ModuleType) -> None:
    """Parses and compares expressions of every kind, to fill the parser's caches."""
    for text in _WARM_UP:
        module.equal(text, text.replace("2", "5"))
    for one, other in itertools.product(_SIDE_BY_SIDE, repeat=2):
        with contextlib.suppress(module.UnreadableError):
            module.read(f"{one} {other}")


def _is_replaced(status: int) -> bool:
    """Returns whether a child was lost over a request. At the end of input, or if it cannot work, none replaces it."""
    if os.WIFEXITED(status):
        return os.WEXITSTATUS(status) == UNTRUSTED
    return os.WTERMSIG(status) in (signal.SIGKILL, signal.SIGXCPU, signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS)


def _serve(module: ModuleType, replies: TextIO) -> None:
    """Serves requests until the input ends."""
    wanted = {"RLIMIT_AS": MEMORY_BYTES, "RLIMIT_CORE": 0, "RLIMIT_FSIZE": 0}
    refused = [name for name, amount in wanted.items() if not _limit(name, amount)]
    _reply(replies, {"ready": True, "refused": refused})
    for line in _lines(0):
        question = json.loads(line)
        _limit("RLIMIT_CPU", int(_cpu_seconds() + question["cpu_seconds"]) + 1)  # the library's clock holds anyway
        equal = [_equal(module, gold, answer) for gold, answer in question["pairs"]]
        _reply(replies, {"number": question["number"], "equal": equal})


def _equal(module: ModuleType, gold: str, answer: str) -> bool | None:
    """Returns whether two texts are equal, None where that cannot be decided."""
    try:
        return bool(module.equal(gold, answer))
    except (MemoryError, RecursionError):
        os._exit(UNTRUSTED)  # the state of the process may be corrupt: it must not serve another request
    except Exception:  # computer algebra raises exceptions of any kind on mathematics that it cannot compare
        return None


def _load_algebra() -> ModuleType:
    """Returns the algebra module beside this file, without importing the package."""
    spec = importlib.util.spec_from_file_location("algebra", Path(__file__).with_name("algebra.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _lines(descriptor: int) -> Iterator[bytes]:
    """Yields lines without reading ahead more than one request: the next may be for the next child."""
    buffer = b""
    while chunk := os.read(descriptor, 65_536):
        buffer += chunk
        *lines, buffer = buffer.split(b"\n")
        yield from lines


def _own_stdout() -> TextIO:
    """Returns a stream to the parent that no library can print to."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return replies


def _limit(name: str, amount: int) -> bool:
    """Lowers (or raises again) this process's soft limit, never past its hard limit; False where refused."""
    try:
        kind: int = getattr(resource, name)
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (amount if hard == resource.RLIM_INFINITY else min(amount, hard), hard))
    except (AttributeError, OSError, ValueError):  # macOS has limits that it does not set
        return False
    return True


def _cpu_seconds() -> float:
    """Returns the processor time this process has used."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _reply(replies: TextIO, message: dict[str, object]) -> None:
    """Sends one line to the parent. It begins on a new line: a killed child may have left half of one."""
    replies.write("\n" + json.dumps(message) + "\n")
    replies.flush()


if __name__ == "__main__":
    main()
