"""Real forks of processes whose engine, grader, sandbox or server client was used: the child works, the parent too."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection

import gymnasium as gym
import pytest

import alphallm_env  # noqa: F401  registers the environments
from alphallm_env.grading.grader import Grader
from alphallm_env.grading.verdict import Verdict
from alphallm_env.lm.backends import load_lm
from alphallm_env.lm.base import GenerationRequest
from alphallm_env.lm.prompts import FewShotTemplate
from alphallm_env.lm.server.client import ServerLM
from alphallm_env.lm.shipped import TINY_POLICY
from alphallm_env.mdp.options import TO_THE_END
from alphallm_env.runtime import engine as engine_module
from alphallm_env.runtime.concurrency import LoopThread
from alphallm_env.runtime.engine import Engine
from alphallm_env.sandbox import Sandbox
from alphallm_env.testing.faulty_server import FaultServer

FORK = multiprocessing.get_context("fork")
SECONDS = 120  # a child that waits for a thread of its parent would never end


def in_child(work: Callable[[], object]) -> object:
    """Returns what `work` returns in a forked child, or the error it raised there. Fails where the child hangs."""
    receiver, sender = FORK.Pipe(duplex=False)

    def report(connection: Connection) -> None:
        try:
            connection.send(work())
        except BaseException as error:
            traceback.print_exc()
            connection.send(error)

    child = FORK.Process(target=report, args=(sender,))
    child.start()
    try:
        assert receiver.poll(SECONDS), "the child waits for ever"
        return receiver.recv()
    finally:
        child.kill()
        child.join()


async def double(items: list[int], engine: Engine) -> list[int]:
    return await engine.submit(doubled, items)


def doubled(items: list[int]) -> list[int]:
    return [2 * item for item in items]


def test_a_used_loop_runs_in_the_child_and_still_in_the_parent():
    thread = LoopThread("forked")
    waiting = thread.start(asyncio.sleep(3_600))
    assert in_child(lambda: thread.run(asyncio.sleep(0, "child"))) == "child"
    assert in_child(thread.close) is None
    assert thread.run(asyncio.sleep(0.01, "parent")) == "parent"
    assert not waiting.done()
    thread.close()


def test_a_child_of_a_child_has_a_loop_too():
    thread = LoopThread("twice")
    thread.run(asyncio.sleep(0))

    def child() -> object:
        thread.run(asyncio.sleep(0))
        return in_child(lambda: thread.run(asyncio.sleep(0, os.getppid()))) == os.getpid()

    assert in_child(child) is True
    thread.close()


def test_a_fork_while_another_thread_holds_the_lock_leaves_the_child_none_held():
    thread = LoopThread("locked")
    thread.run(asyncio.sleep(0))
    with thread._lock:  # as a thread does that starts work at the moment of the fork
        assert in_child(lambda: thread.run(asyncio.sleep(0, "child"))) == "child"
    thread.close()


def test_a_loop_that_serves_one_process_says_so_in_the_child():
    thread = LoopThread("its engine", serves_one_process=True)
    thread.run(asyncio.sleep(0))
    error = in_child(lambda: thread.run(asyncio.sleep(0)))
    assert isinstance(error, RuntimeError)
    assert f"its engine belongs to process {os.getpid()}" in str(error)
    assert "spawn" in str(error)
    thread.close()


def test_a_used_engine_computes_in_the_child_and_still_in_the_parent():
    with Engine() as engine:
        assert engine.run(double([1, 2], engine)) == [2, 4]
        assert in_child(lambda: engine.run(double([3], engine))) == [6]
        with engine.participant():  # a planner's thread that forks
            assert in_child(lambda: engine.run(double([4], engine))) == [8]
        assert engine.run(double([5], engine)) == [10]


def test_a_fork_waits_for_the_batch_that_is_computed():
    begun, allowed = threading.Event(), threading.Event()

    def slow(items: list[int]) -> list[int]:
        begun.set()
        allowed.wait()
        return items

    async def submit() -> list[int]:
        return await engine.submit(slow, [7])

    with Engine() as engine:
        searching = threading.Thread(target=lambda: engine.run(submit()))
        searching.start()
        begun.wait()
        threading.Timer(0.2, allowed.set).start()
        assert in_child(lambda: engine.run(double([3], engine))) == [6]
        assert allowed.is_set()
        searching.join()


def test_a_fork_amid_a_batch_that_does_not_end_makes_the_child_refuse(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(engine_module, "_FORK_SECONDS", 0.01)
    begun, allowed = threading.Event(), threading.Event()

    def endless(items: list[int]) -> list[int]:
        begun.set()
        allowed.wait()
        return items

    async def submit() -> list[int]:
        return await engine.submit(endless, [7])

    with Engine() as engine:
        results: list[list[int]] = []
        searching = threading.Thread(target=lambda: results.append(engine.run(submit())))
        searching.start()
        begun.wait()
        error = in_child(lambda: engine.run(double([3], engine)))
        assert isinstance(error, RuntimeError)
        assert f"process {os.getpid()} was forked amid a batch" in str(error)
        allowed.set()
        searching.join()
        assert results == [[7]]
        assert engine.run(double([3], engine)) == [6]
        assert in_child(lambda: engine.run(double([3], engine))) == [6]


def test_a_grader_whose_only_worker_is_busy_grades_in_the_child():
    with Grader(num_workers=1) as grader:
        assert grader.grade(r"\frac{x}{2}", r"\frac{2x}{4}") is Verdict.CORRECT
        [worker] = grader._finalizer.peek()[1].__self__._workers
        taken = grader._finalizer.peek()[1].__self__._free.get()  # as a thread does that grades at the fork
        assert in_child(lambda: grader.grade(r"\frac{x}{3}", r"\frac{2x}{6}")) is Verdict.CORRECT
        grader._finalizer.peek()[1].__self__._free.put(taken)
        before = worker._process.pid
        assert grader.grade(r"\frac{x}{5}", r"\frac{2x}{10}") is Verdict.CORRECT
        assert worker._process.pid == before


def test_a_used_sandbox_runs_programs_in_the_child_and_still_in_the_parent():
    with Sandbox(num_workers=1) as sandbox:
        assert sandbox.run("print(1)").stdout == "1\n"
        [before] = sandbox.process_ids()
        worker = sandbox._take()  # as a thread does that runs a program at the fork
        found = in_child(lambda: (sandbox.run("print(2)").stdout, *sandbox.process_ids()))
        sandbox._release(worker)
        assert isinstance(found, tuple)
        assert found[0] == "2\n"
        assert found[1] != before
        assert sandbox.run("print(3)").stdout == "3\n"
        assert sandbox.process_ids() == [before]


def requests() -> list[GenerationRequest]:
    prompt = FewShotTemplate().solve("What is 2 + 3?", "")
    return [GenerationRequest(prompt, seed, 12, TO_THE_END, 1.0) for seed in range(3)]


@pytest.mark.parametrize("backend", ["transformers", "continuous"])
def test_a_used_model_writes_the_same_in_the_child(backend: str):
    lm = load_lm(str(TINY_POLICY), "cpu", "float32", backend)
    before = [completion.text for completion in lm.generate(requests())]
    assert in_child(lambda: [completion.text for completion in lm.generate(requests())]) == before
    assert [completion.text for completion in lm.generate(requests())] == before


def test_a_used_server_client_asks_in_the_child():
    with FaultServer() as server:
        lm = ServerLM([server.url])
        before = [completion.text for completion in lm.generate(requests())]
        assert in_child(lambda: [completion.text for completion in lm.generate(requests())]) == before
        assert [completion.text for completion in lm.generate(requests())] == before
        lm.close()


@pytest.mark.parametrize("name", ["AlphaLLM/GSMSymbolic-v0", "AlphaLLM/GSMSymbolicChoice-v0"])
def test_async_vector_environments_step_after_the_parent_has(name: str):
    def make() -> gym.Env:
        return gym.make(name, limit=4)

    env = make()
    env.reset(seed=3)
    action = "2 + 3 = 5\n" if name.endswith("c-v0") else 0
    alone = env.step(action)
    together = gym.vector.AsyncVectorEnv([make, make], context="fork", shared_memory=False)
    try:
        together.reset_async(seed=[3, 4])
        together.reset_wait(timeout=SECONDS)
        together.step_async([action, action])
        _, rewards, *_ = together.step_wait(timeout=SECONDS)
        assert rewards[0] == pytest.approx(alone[1], abs=1e-4)  # in another batch the last bits differ
    finally:
        together.close(terminate=True)
    env.step(action)
    env.close()
