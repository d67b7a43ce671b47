"""An event loop in a thread of its own, so that one client serves callers from any loop or thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import TypeVar

Result = TypeVar("Result")


class LoopThread:
    """Starts on first use, in a daemon thread. `close` may be called twice; the next use starts it again."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def start(self, work: Coroutine[object, object, Result]) -> Future[Result]:
        """Returns the future of a coroutine that runs on the loop. Cancelling the one cancels the other."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name=self.name, daemon=True)
                self._thread.start()
            return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[object, object, Result]) -> Result:
        """Returns the coroutine's result. Blocks the calling thread, which must not be the loop's."""
        future = self.start(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    async def wait(self, work: Coroutine[object, object, Result]) -> Result:
        """Returns the coroutine's result to a caller on another loop, without blocking that one."""
        return await asyncio.wrap_future(self.start(work))

    def close(self) -> None:
        """Stops the loop. What still runs on it is cancelled."""
        with self._lock:
            if self._loop is None or self._thread is None:
                return
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        asyncio.run_coroutine_threadsafe(_cancel_others(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _cancel_others() -> None:
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
