"""Waits for several things at once, and leaves nothing running behind a failure."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import TypeVar

Result = TypeVar("Result")


async def together(works: Iterable[Coroutine[object, object, Result]]) -> list[Result]:
    """Returns all results in order; the first failure cancels what is not done, and is raised.

    One work alone is awaited as it is, without a task of its own.
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
