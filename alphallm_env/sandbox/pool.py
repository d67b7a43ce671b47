"""The sandbox: a pool of warm workers, each of which runs one program at a time."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sys
import weakref
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from alphallm_env.errors import SandboxError
from alphallm_env.runtime.forking import ForkAware
from alphallm_env.sandbox.jail.protocol import OPTIONAL_LAYERS
from alphallm_env.sandbox.limits import Limits, ProgramResult
from alphallm_env.sandbox.worker import Layers, Worker, WorkerLostError

_ATTEMPTS = 2


class Sandbox(ForkAware):
    """Runs programs that a model wrote, confined. Thread-safe; a context manager.

    Each program runs in a fresh process and finds nothing of earlier ones. Workers start when first needed, which
    takes seconds; then a program costs milliseconds. A forked child starts workers of its own. `without` leaves out
    layers, to test the others.

    >>> with Sandbox() as sandbox:
    ...     print(sandbox.run("from sympy import *; print(factorint(360))").stdout)
    {2: 3, 3: 2, 5: 1}
    """

    def __init__(self, limits: Limits | None = None, num_workers: int = 1, *, without: Iterable[str] = ()) -> None:
        if sys.platform != "linux":
            raise SandboxError(
                f"programs are run on Linux only, by its namespaces, Landlock and seccomp; this is {sys.platform}"
            )
        if num_workers < 1:
            raise ValueError(f"num_workers must be >= 1, got {num_workers}")
        avoided = tuple(without)
        if unknown := set(avoided) - set(OPTIONAL_LAYERS):
            raise ValueError(f"layers that can be left out are {', '.join(OPTIONAL_LAYERS)}, got {sorted(unknown)}")
        self.limits = limits or Limits()
        self.num_lost = 0  # workers that were lost, and replaced when next needed
        self._workers = [Worker(avoided) for _ in range(num_workers)]
        self._free_all()
        self._is_closed = False
        self.follow_forks()
        # Also runs at interpreter exit, and when the sandbox is garbage-collected.
        self._finalizer = weakref.finalize(self, _end_all, self._workers)

    def _free_all(self) -> None:
        self._free: queue.LifoQueue[Worker] = queue.LifoQueue()  # a stack: only as many start as are needed at once
        for worker in self._workers:
            self._free.put(worker)

    def after_fork_in_child(self) -> None:
        """Leaves the processes to the parent, also those that run its programs."""
        for worker in self._workers:
            worker.forget()
        self._free_all()

    def __deepcopy__(self, memo: dict[int, object]) -> Sandbox:
        return self  # a copied environment shares it

    def layers(self) -> Layers:
        """Returns the layers that work on this machine. Raises SandboxError where they do not suffice."""
        worker = self._take()
        try:
            return worker.layers()
        finally:
            self._release(worker)

    def process_ids(self) -> list[int]:
        """Returns the ids of the running workers' processes."""
        return [worker.process_id for worker in self._workers if worker.process_id is not None]

    def run(self, code: str, limits: Limits | None = None) -> ProgramResult:
        """Returns the result of a program, whatever it does. The wait for a free worker is not timed.

        Raises SandboxError where no program can be run, and ValueError for one of more than 32 MiB. A program whose
        worker is lost (killed from outside) is retried once.
        """
        worker = self._take()
        try:
            return self._attempt(worker, code, limits or self.limits)
        finally:
            self._release(worker)

    async def run_async(self, code: str, limits: Limits | None = None) -> ProgramResult:
        """Returns what `run` returns, without blocking the event loop."""
        return await asyncio.to_thread(self.run, code, limits)

    def _take(self) -> Worker:
        """Waits for a free worker and returns it. Raises SandboxError if the sandbox is closed by then."""
        self._refuse_if_closed()
        worker = self._free.get()
        if self._is_closed:
            self._release(worker)
        self._refuse_if_closed()
        return worker

    def _release(self, *workers: Worker) -> None:
        """Makes workers free again; those of a closed sandbox are ended, and waiting callers are woken."""
        idle = list(workers)
        with contextlib.suppress(queue.Empty):
            while self._is_closed:
                idle.append(self._free.get_nowait())
        for worker in idle:
            if self._is_closed:
                worker.kill()
            self._free.put(worker)

    def _refuse_if_closed(self) -> None:
        if self._is_closed:
            raise SandboxError("this sandbox is closed")

    def _attempt(self, worker: Worker, code: str, limits: Limits) -> ProgramResult:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return worker.run(code, limits)
            except WorkerLostError as error:
                self._refuse_if_closed()
                self.num_lost += 1
                if attempt == _ATTEMPTS:
                    raise SandboxError(f"{error}, {attempt} times over one program") from error
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Ends the workers. May be called twice. Callers that wait for a program get SandboxError."""
        self._is_closed = True
        self._finalizer()
        self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _end_all(workers: Iterable[Worker]) -> None:
    """Ends every worker's process."""
    for worker in workers:
        worker.end()
