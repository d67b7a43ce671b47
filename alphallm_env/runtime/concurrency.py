"""Concurrent coroutines that are all cancelled if one fails, and an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Future
from typing import TypeVar

from alphallm_env.runtime.forking import ForkAware

Result = TypeVar("Result")

# The loops of parents. Closing one would take its file descriptors out of the kernel's queue that the parent waits on,
# so a forked child keeps them as they are.
_inherited: list[asyncio.AbstractEventLoop] = []


async def gather(works: Iterable[Coroutine[object, object, Result]]) -> list[Result]:
    """Returns all results in order; the first failure cancels the others, and is raised.

    A single coroutine is awaited directly, without a task.
    """
    several = list(works)
    if len(several) == 1:
        return [await several[0]]
    tasks = [asyncio.ensure_future(work) for work in several]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


class LoopThread(ForkAware):
    """An event loop in a daemon thread, started on first use.

    `close` may be called twice; the next use starts the loop again, as does the first one in a forked child. With
    `serves_one_process`, what the loop serves cannot be used by a child: there every use raises RuntimeError, which
    says what to do.
    """

    def __init__(self, name: str, *, serves_one_process: bool = False) -> None:
        self.name = name
        self._owner = os.getpid() if serves_one_process else None
        self._reset()
        self.follow_forks()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def after_fork_in_child(self) -> None:
        """Forgets the parent's loop."""
        if self._loop is not None:
            _inherited.append(self._loop)
        self._reset()

    @property
    def is_current(self) -> bool:
        """Whether the caller runs on this thread."""
        return threading.current_thread() is self._thread

    def start(self, work: Coroutine[object, object, Result]) -> Future[Result]:
        """Runs a coroutine on the loop and returns its future. Cancelling the future cancels the coroutine."""
        with self._lock:
            return asyncio.run_coroutine_threadsafe(work, self._started())

    def call(self, function: Callable[..., object], *args: object) -> None:
        """Schedules a call of a function on the loop."""
        with self._lock:
            self._started().call_soon_threadsafe(function, *args)

    def _started(self) -> asyncio.AbstractEventLoop:
        """Returns the running loop. Called with the lock held."""
        if self._owner not in (None, os.getpid()):
            raise RuntimeError(
                f"{self.name} belongs to process {self._owner}, and this one was forked from it: make it anew here, or "
                'start processes by "spawn"'
            )
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=_run_until_stopped, args=(self._loop,), name=self.name, daemon=True)
            self._thread.start()
        return self._loop

    def run(self, work: Coroutine[object, object, Result]) -> Result:
        """Returns the coroutine's result. Blocks the calling thread, which must not be the loop's."""
        future = self.start(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    async def wait(self, work: Coroutine[object, object, Result]) -> Result:
        """Returns the coroutine's result to a caller on another loop, without blocking that loop."""
        return await asyncio.wrap_future(self.start(work))

    def close(self) -> None:
        """Stops the loop and cancels what is in flight. Returns once its thread has ended."""
        with self._lock:
            if self._loop is None or self._thread is None:
                return
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        with contextlib.suppress(RuntimeError):  # the loop has ended by itself
            loop.call_soon_threadsafe(loop.stop)
        thread.join()


def _run_until_stopped(loop: asyncio.AbstractEventLoop) -> None:
    """Runs the loop until it is stopped, then cancels what is in flight, so that no caller waits forever."""
    try:
        loop.run_forever()
    finally:
        while tasks := asyncio.all_tasks(loop):
            for task in tasks:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.close()
