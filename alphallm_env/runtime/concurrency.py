"""Awaits several coroutines at once, and leaves none running after a failure."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import TypeVar

Result = TypeVar("Result")


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
