"""A loop in a thread of its own: shared by callers, closed and started again."""

from __future__ import annotations

import asyncio
from concurrent.futures import CancelledError

import pytest

from alphallm_env.runtime.concurrency import LoopThread


async def name_of_thread(thread: LoopThread) -> tuple[bool, int]:
    await asyncio.sleep(0)
    return thread.is_current, id(asyncio.get_running_loop())


def test_all_callers_share_one_loop_which_runs_in_its_own_thread():
    thread = LoopThread("shared")
    (is_own, one), (_, other) = thread.run(name_of_thread(thread)), asyncio.run(thread.wait(name_of_thread(thread)))
    assert is_own
    assert one == other
    assert not thread.is_current
    thread.close()


def test_closing_cancels_what_is_in_flight_and_the_next_use_starts_again():
    thread = LoopThread("closing")
    endless = thread.start(asyncio.sleep(60))
    thread.close()
    thread.close()
    with pytest.raises(CancelledError):
        endless.result(timeout=10)
    assert thread.run(asyncio.sleep(0, "again")) == "again"
    thread.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_ends_the_loop_leaves_no_caller_waiting():
    async def end() -> None:
        raise SystemExit

    thread = LoopThread("ended")
    endless = thread.start(asyncio.sleep(60))
    thread.start(end())
    with pytest.raises(CancelledError):
        endless.result(timeout=10)
    thread.close()
    assert thread.run(asyncio.sleep(0, "again")) == "again"
    thread.close()


def test_a_function_is_called_on_the_loop():
    thread, called = LoopThread("calls"), []
    thread.call(called.append, 7)
    thread.run(asyncio.sleep(0))
    thread.close()
    assert called == [7]
